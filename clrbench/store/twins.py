"""The same run under other names: equal arms, and an arm that was renamed, ask for it in folders of their own.

The name of an arm is no part of the identity of its runs, whose first digits end the id of each run. So all
that an experiment holds of a run is found by these, whichever arm, search or range test it was made for.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from clrbench.errors import ResultsError
from clrbench.store import files
from clrbench.store.run import RUN_FILE, RunId, StoredRun, first_digits, id_pattern, read_run
from clrbench.store.scripts import script_runs

_ROOTS = ("", "search/", "range-test/", "range-test/*/")
"""The folders in an experiment that may hold runs."""

RunFolders: TypeAlias = Mapping[str, list[Path]]
"""The folders of runs by the digits of their ids."""


def run_folders(experiment: Path) -> RunFolders:
    """Return every folder of a run in the folder of an experiment."""
    found: dict[str, list[Path]] = {}
    for root in _ROOTS:
        for path in experiment.glob(f"{root}runs/[!.]*"):
            if (run_id := RunId.parse(path.name)) is not None:
                found.setdefault(run_id.digits, []).append(path)
    return found


def find_twin(
    experiment: Path, folders: RunFolders, identity: str, evaluation_steps: tuple[int, ...]
) -> tuple[StoredRun | None, list[str]]:
    """Return the run of an identity that was written last, and what is wrong with those that are damaged.

    It must be intact, and have evaluations after all of these numbers of updates.
    """
    problems: list[str] = []
    for path in _newest_first(folders.get(first_digits(identity), [])):
        try:
            files.refuse_symlinks(experiment, path)
            run = read_run(path)
        except ResultsError as err:
            problems.append(str(err))
            continue
        if run.record.identity == identity and run.has_evaluations(evaluation_steps):
            return run, problems
    return None, problems


def checkpointed_runs(experiment: Path, identity: str) -> list[tuple[Path, str]]:
    """Return where a run of an identity may have checkpoints: each results folder, and the name of the run there."""
    pattern = f".checkpoints/{id_pattern(first_digits(identity))}.*.json"
    found = [path for root in _ROOTS for path in experiment.glob(root + pattern)]
    return list(dict.fromkeys((path.parents[1], path.name.rsplit(".", 2)[0]) for path in sorted(found)))


def kept_by_scripts(experiment: Path, identity: str) -> list[tuple[Path, str]]:
    """Return likewise where the script of a run of an identity may have kept files of its own."""
    return script_runs(experiment, _ROOTS, first_digits(identity))


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    """Return the folders of runs in the order in which they were finished, the last one first."""

    def finished_at(path: Path) -> int:
        try:
            return (path / RUN_FILE).lstat().st_mtime_ns
        except OSError:
            return 0

    return sorted(paths, key=finished_at, reverse=True)
