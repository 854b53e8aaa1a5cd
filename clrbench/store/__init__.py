"""The only room that knows the layout of a results folder.

Every write goes to a temporary name first, is flushed to the disk, and then takes its place in one step, so a file that
is there is whole.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from clrbench.errors import ResultsError
from clrbench.files import checksum
from clrbench.planning.plan import PROTOCOL
from clrbench.records import RunLog
from clrbench.store import files
from clrbench.store.checkpoints import Checkpoints
from clrbench.store.run import StoredRun, is_whole, run_files, to_csv

__all__ = ["BOUNDS", "SPEC_FILE", "Checkpoints", "ResultsFolder", "StoredRun", "to_csv"]

INDEX = "experiment.json"
BOUNDS = "bounds.json"
SPEC_FILE = "spec.yaml"

_REMOVE = "remove this file and run the same command again; finished runs are kept"


@dataclass(frozen=True)
class ResultsFolder:
    """The folder of one experiment, or of one of its range tests."""

    root: Path

    def range_test(self, arm: str | None) -> "ResultsFolder":
        """Return the folder of the range test that all arms share (None), or of one arm's own."""
        return ResultsFolder(self._path("range-test" if arm is None else f"range-test/{arm}"))

    def half_length(self) -> "ResultsFolder":
        """Return the folder of the same range test at half its length."""
        return ResultsFolder(self._path("half"))

    def search(self) -> "ResultsFolder":
        """Return the folder of the runs that tuned arms: the tries, and those at the rates given."""
        return ResultsFolder(self._path("search"))

    def create(self) -> None:
        """Make the folder, unless it is there.

        Raises:
            ResultsError: If the disk does not take it.
        """
        with files.disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)

    def check_there(self) -> None:
        """Raise ResultsError if the folder has gone."""
        if not self.root.is_dir():
            raise ResultsError(f"{self.root}: {files.GONE}")

    def has_runs(self) -> bool:
        """Return whether the folder of runs is there."""
        return (self.root / "runs").is_dir()

    def find_run(self, run_id: str) -> StoredRun | None:
        """Return a finished run, or None where there is none.

        Raises:
            ResultsError: If a file of it is missing, or is not what was written.
        """
        folder = self._path(f"runs/{run_id}")
        if not folder.exists():
            return None
        run = StoredRun(folder)
        run.check()
        return run

    def is_finished(self, run_id: str, evaluation_steps: tuple[int, ...] = ()) -> bool:
        """Return whether a run lies here whole, evaluated after all of these numbers of updates."""
        try:
            run = self.find_run(run_id)
        except ResultsError:
            return False
        return run is not None and run.has_evaluations(evaluation_steps)

    @contextmanager
    def run_lock(self, run_id: str, give_up: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Hold a run against other processes; a process that dies lets go of it, and what it left half-written goes.

        Args:
            run_id: The run.
            give_up: Is asked, while another process holds the run, whether to wait no longer.

        Yields:
            Whether it is held.
        """
        with self._lock(run_id, give_up) as held:
            if held:
                files.recover_folder(self._path(f"runs/{run_id}"), is_whole)
            yield held

    @contextmanager
    def tables_lock(self) -> Iterator[None]:
        """Hold all tables and plots against other processes; a process that dies lets go of them."""
        with self._lock("tables"):
            yield

    def checkpoints(self, run_id: str, belongs_to: Mapping[str, Any]) -> Checkpoints:
        """Return the checkpoints of a run under way.

        Args:
            run_id: The run.
            belongs_to: What decides whether a checkpoint is this run's, as plain data.
        """
        return Checkpoints(self._path(".checkpoints"), run_id, belongs_to)

    def has_checkpoint(self, run_id: str) -> bool:
        """Return whether there is a checkpoint of a run."""
        return any((self.root / ".checkpoints").glob(f"{run_id}.*.json"))

    def is_left_untidy(self, run_id: str) -> bool:
        """Return whether a process that made a run is still at it, or died before it had cleared up."""
        return self.has_checkpoint(run_id) or self._lock_path(run_id).exists()

    def write_run(self, run_id: str, steps_per_epoch: int, log: RunLog, info: Mapping[str, Any]) -> None:
        """Write a run, `run.json` last, in place of whatever lies there; the caller holds its lock.

        Args:
            run_id: Names its folder.
            steps_per_epoch: Turns steps into epochs.
            log: What the run left behind.
            info: What goes into `run.json`.

        Raises:
            ResultsError: If the disk does not take it.
        """
        self.check_there()
        files.write_folder(self._path(f"runs/{run_id}"), run_files(steps_per_epoch, log, info))

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as a CSV file of the results folder."""
        self.write_bytes(name, to_csv(table))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file of the results folder."""
        self.write_bytes(name, files.to_json(content))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the results folder in one step.

        Raises:
            ResultsError: If the disk does not take it.
        """
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file of the results folder in one step.

        Raises:
            ResultsError: If the disk does not take it.
        """
        self.check_there()
        target = self.root / name
        files.refuse_symlinks(self.root, target.parent)
        files.write_file(target, content)

    def remove(self, name: str) -> None:
        """Remove a file of the results folder, if it is there.

        Raises:
            ResultsError: If the disk does not let go of it.
        """
        files.remove(self.root / name)

    def index(self) -> dict[str, Any]:
        """Return what `experiment.json` says: with what the experiment was started, and the runs of each backend.

        Raises:
            ResultsError: If it cannot be read, or a newer clrbench wrote it.
        """
        path = self.root / INDEX
        found = files.read_json(path, _REMOVE) if path.exists() else {}
        if not _is_index(found):
            raise ResultsError(f"{path}: is not what clrbench writes; {_REMOVE}")
        if found.get("protocol", PROTOCOL) > PROTOCOL:
            raise ResultsError(
                f"{self.root}: was made by a newer clrbench, whose runs go by protocol {found['protocol']}; this one knows "
                f"protocols up to {PROTOCOL}; update clrbench, or name another folder with --out"
            )
        return found

    def begin(self, spec: str, changes: Mapping[str, Any]) -> None:
        """Write down what is about to be done: the spec, and entries of `experiment.json`.

        Raises:
            ResultsError: If the disk does not take it.
        """
        with self._lock("index"):
            self.write_text(SPEC_FILE, spec)
            self._write_index({**changes, "spec": checksum(spec.encode())})

    def is_of_another(self, spec: str) -> bool:
        """Return whether a spec other than this one is the last that was begun here."""
        digest = checksum(spec.encode())
        return bool(self.index().get("spec", digest) != digest)

    def update_index(self, changes: Mapping[str, Any]) -> None:
        """Change entries of `experiment.json`; in an entry with entries of its own, those not named stay.

        Raises:
            ResultsError: If the disk does not take it.
        """
        with self._lock("index"):
            self._write_index(changes)

    def remember(self, spec: str, runs: Mapping[str, list[str]], points: Mapping[str, tuple[int, ...]]) -> None:
        """Keep which runs belong to the experiment; another process's longer list for the same spec stays.

        A search asks for more runs from round to round, and processes that share it may be at different ones.

        Args:
            spec: That was begun.
            runs: By backend.
            points: After how many updates the runs of each arm are evaluated.

        Raises:
            ResultsError: If the disk does not take it.
        """
        digest = checksum(spec.encode())
        with self._lock("index"):
            index = self.index()
            before = index.get("runs", {}) if index.get("runs_of") == digest else {}
            longer = {backend: ids for backend, ids in before.items() if set(runs.get(backend, ids)) <= set(ids)}
            self._write_index({"runs": {**runs, **longer}, "runs_of": digest, "evaluation_steps": points})

    def settle(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Fix settings at their first mention; return those of these names that now hold, for every process alike.

        Args:
            wanted: What to settle on where nothing was; entries of a setting are settled one by one.

        Raises:
            ResultsError: If the disk does not take it.
        """
        with self._lock("index"):
            index = self.index()
            held = {
                key: {**value, **index.get(key, {})} if isinstance(value, dict) else index.get(key, value)
                for key, value in wanted.items()
            }
            if any(index.get(key) != value for key, value in held.items()):
                self._write_index(held)
        return held

    def record_look(self, backend: str, seeds: list[int]) -> int:
        """Keep that a verdict was looked at with these seeds; return with how many sets of seeds it ever was.

        Raises:
            ResultsError: If the disk does not take it.
        """
        found: list[list[int]] = self.index().get("looks", {}).get(backend, [])
        if seeds not in found:
            found = [*found, seeds]
            self.update_index({"looks": {backend: found}})
        return len(found)

    def bounds(self) -> dict[str, Any]:
        """Return what `bounds.json` of a range test says, by backend; nothing where there is none.

        Raises:
            ResultsError: If it cannot be read.
        """
        path = self.root / BOUNDS
        return files.read_json(path, _REMOVE) if path.exists() else {}

    def indexed_runs(self) -> list[StoredRun]:
        """Return the finished runs of the experiment as it was last asked for, in the order of its spec.

        Raises:
            ResultsError: If nothing was ever started here, or a run is damaged.
        """
        if not self.has_runs():
            raise ResultsError(
                f"{self.root}: no folder runs/ lies there; run `clrbench compare` first, or name its folder"
            )
        index = self.index()
        run_ids = [run_id for ids in index.get("runs", {}).values() for run_id in ids] or self._all_run_ids()
        points = index.get("evaluation_steps", {})
        runs = [run for run in map(self._find_settled, run_ids) if run is not None]
        return [replace(run, evaluation_steps=points.get(run.info["spec"]["arm"])) for run in runs]

    def _find_settled(self, run_id: str) -> StoredRun | None:
        """Return a run also where another process is just putting a new one in its place, or died while it did."""
        if not files.is_being_replaced(self._path(f"runs/{run_id}")):
            return self.find_run(run_id)
        with self.run_lock(run_id):
            return self.find_run(run_id)

    def _all_run_ids(self) -> list[str]:
        """Return the runs that lie here, where no index says which of them count.

        Raises:
            ResultsError: If that is not plain, as two of them stand for one.
        """
        run_ids = sorted(path.name for path in (self.root / "runs").glob("[!.]*"))
        names = [run_id.rpartition("-")[0] for run_id in run_ids]
        for name, following in pairwise(names):
            if name == following:
                raise ResultsError(
                    f"{self.root}: {INDEX} does not say which of several runs {name} counts; run clrbench compare on the "
                    "spec again, which trains nothing that is finished"
                )
        return run_ids

    def _write_index(self, changes: Mapping[str, Any]) -> None:
        index = self.index()
        for key, value in changes.items():
            index[key] = {**index.get(key, {}), **value} if isinstance(value, dict) else value
        index.pop(files.SEAL, None)
        self.write_json(INDEX, files.sealed(index))

    @contextmanager
    def _lock(self, name: str, give_up: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        self.check_there()
        with files.lock(self._lock_path(name), give_up) as held:
            yield held

    def _lock_path(self, name: str) -> Path:
        # Not `.lock`: earlier versions left empty files of that name, which would look like locks of dead processes.
        return self._path(f".locks/{name}.lease")

    def _path(self, name: str) -> Path:
        path = self.root / name
        files.refuse_symlinks(self.root, path)
        return path


def _is_index(found: Mapping[str, Any]) -> bool:
    """Return whether `experiment.json`, which may bear no checksum, has the shape of one, and its runs have plain names."""
    runs, tables = found.get("runs", {}), [found.get(key, {}) for key in ("evaluation_steps", "devices", "looks")]
    return (
        all(isinstance(found.get(key, 1), int) for key in ("protocol", "threads"))
        and all(isinstance(table, dict) for table in (runs, *tables))
        and all(isinstance(ids, list) and all(map(_is_run_id, ids)) for ids in runs.values())
    )


def _is_run_id(name: object) -> bool:
    return isinstance(name, str) and name == Path(name).name and not name.startswith(".")
