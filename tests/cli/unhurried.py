"""The command line with stretches from one evaluation to the next, in its worker processes too: no checkpoint is near."""

from clrbench.cli import main
from clrbench.execution import session


def take_time() -> None:
    session.FIRST_STRETCH_STEPS = 10**9


if __name__ in {"__main__", "__mp_main__"}:
    take_time()
if __name__ == "__main__":
    main(prog_name="clrbench")
