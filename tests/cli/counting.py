"""The command line, which notes every run that is written, in its worker processes too."""

import os
from pathlib import Path

from clrbench.cli import main
from clrbench.store import ResultsFolder


def note_runs() -> None:
    usual = ResultsFolder.write_run

    def write_run(folder: ResultsFolder, run_id: str, *arguments: object) -> None:
        with Path(os.environ["RUNS_WRITTEN"]).open("a") as file:
            file.write(f"{run_id}\n")
        usual(folder, run_id, *arguments)

    ResultsFolder.write_run = write_run


if __name__ in {"__main__", "__mp_main__"}:
    note_runs()
if __name__ == "__main__":
    main(prog_name="clrbench")
