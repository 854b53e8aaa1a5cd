"""The command line with short stretches and a checkpoint after each, in its worker processes too: there is more to kill."""

from clrbench.cli import main
from clrbench.execution import session


def make_haste() -> None:
    session.STRETCH_SECONDS = 0.05
    session.CHECKPOINT_SECONDS = 0.0
    session.CHECKPOINT_SHARE = 1.0


if __name__ in {"__main__", "__mp_main__"}:
    make_haste()
if __name__ == "__main__":
    main(prog_name="clrbench")
