"""The only module that knows the layout of a results folder.

Every write goes to a temporary name first, is flushed to the disk, and then takes its place in one step, so a file that
is there is whole.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from clrbench.errors import ResultsError
from clrbench.records import Evaluation, RunLog, Split

INDEX = "experiment.json"
BOUNDS = "bounds.json"
SPEC_FILE = "spec.yaml"

RUN_COLUMNS = ("step", "lr", "train_loss", "train_accuracy")
EVALUATION_COLUMNS = (
    "epoch",
    "step",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
)


@dataclass(frozen=True)
class StoredRun:
    """A run as it lies on disk.

    Attributes:
        folder: Where it lies.
        evaluation_steps: Which of its evaluations count, by the updates done; None for all of them.
        arm: Which arm it stands for; None for the one that it was made for.
    """

    folder: Path
    evaluation_steps: tuple[int, ...] | None = None
    arm: str | None = None

    @cached_property
    def info(self) -> dict[str, Any]:
        """What `run.json` says: identity, status, provenance, timing."""
        found = _read_json(self.folder / "run.json")
        return found if self.arm is None else {**found, "spec": {**found["spec"], "arm": self.arm}}

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The raw values of every update."""
        return self._read("steps.csv", RUN_COLUMNS, self.info["spec"]["num_steps"])

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """The evaluations, in order."""
        found = self._read("evaluations.csv", EVALUATION_COLUMNS, len(self.info["spec"]["evaluation_steps"]))
        if self.evaluation_steps is None:
            return found
        return found[found["step"].isin(self.evaluation_steps)].reset_index(drop=True)

    def _read(self, name: str, columns: tuple[str, ...], num_rows: int) -> pd.DataFrame:
        table = _read_csv(self.folder / name, columns)
        if len(table) != num_rows:
            raise ResultsError(f"{self.folder / name}: got {len(table)} rows, expected {num_rows}; {_REDO}")
        return table


@dataclass(frozen=True)
class ResultsFolder:
    """The folder of one experiment, or of one of its range tests."""

    root: Path

    def range_test(self, arm: str | None) -> "ResultsFolder":
        """Return the folder of the range test that all arms share (None), or of one arm's own."""
        folder = self.root / "range-test"
        return ResultsFolder(folder if arm is None else folder / arm)

    def half_length(self) -> "ResultsFolder":
        """Return the folder of the same range test at half its length."""
        return ResultsFolder(self.root / "half")

    def search(self) -> "ResultsFolder":
        """Return the folder of the runs that tuned arms: the tries, and those at the rates given."""
        return ResultsFolder(self.root / "search")

    def has_runs(self) -> bool:
        """Return whether the folder of runs is there."""
        return (self.root / "runs").is_dir()

    def is_finished(self, run_id: str) -> bool:
        """Return whether a run lies here whole; one whose `run.json` is damaged is to be made again."""
        try:
            return bool(StoredRun(self._run_folder(run_id)).info)
        except ResultsError:
            return False

    def has_evaluations(self, run_id: str, steps: tuple[int, ...]) -> bool:
        """Return whether a finished run was evaluated after all of these numbers of updates."""
        return set(steps) <= set(StoredRun(self._run_folder(run_id)).info["spec"]["evaluation_steps"])

    @contextmanager
    def run_lock(self, run_id: str) -> Iterator[None]:
        """Hold a run against other processes; a process that dies lets go of it."""
        with _lock(self.root / ".locks" / f"{run_id}.lock"):
            yield

    @contextmanager
    def tables_lock(self) -> Iterator[None]:
        """Hold all tables and plots against other processes; a process that dies lets go of them."""
        with _lock(self.root / ".locks" / "tables.lock"):
            yield

    def write_run(self, run_id: str, steps_per_epoch: int, log: RunLog, info: Mapping[str, Any]) -> None:
        """Write a run, `run.json` last, in place of whatever lies there.

        Args:
            run_id: Names its folder.
            steps_per_epoch: Turns steps into epochs.
            log: What the run left behind.
            info: What goes into `run.json`.

        Raises:
            ResultsError: If the disk does not take it.
        """
        target = self._run_folder(run_id)
        with _disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{run_id}-", dir=target.parent))
            replaced = temporary.with_name(f"{temporary.name}-replaced")
            try:
                _write_synced(temporary / "steps.csv", to_csv(_steps_table(log)))
                _write_synced(temporary / "evaluations.csv", to_csv(_evaluations_table(log, steps_per_epoch)))
                _write_synced(temporary / "run.json", _to_json(info))
                temporary.chmod(0o755)
                if target.exists():
                    target.replace(replaced)
                temporary.replace(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
                shutil.rmtree(replaced, ignore_errors=True)
            _sync_folder(target.parent)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as a CSV file of the results folder."""
        self.write_bytes(name, to_csv(table))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file of the results folder."""
        self.write_bytes(name, _to_json(content))

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
        target = self.root / name
        with _disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                _write_synced(temporary, content)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file of the results folder, if it is there.

        Raises:
            ResultsError: If the disk does not let go of it.
        """
        with _disk_errors(self.root / name):
            (self.root / name).unlink(missing_ok=True)

    def index(self) -> dict[str, Any]:
        """Return what `experiment.json` says: with what the experiment was started, and the runs of each backend.

        Raises:
            ResultsError: If it cannot be read.
        """
        path = self.root / INDEX
        return _read_json(path) if path.exists() else {}

    def update_index(self, changes: Mapping[str, Any]) -> None:
        """Change entries of `experiment.json`; in an entry with entries of its own, those not named stay.

        Raises:
            ResultsError: If the disk does not take it.
        """
        with _lock(self.root / ".locks" / "index.lock"):
            index = self.index()
            for key, value in changes.items():
                index[key] = {**index.get(key, {}), **value} if isinstance(value, dict) else value
            self.write_json(INDEX, index)

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
        return _read_json(path) if path.exists() else {}

    def indexed_runs(self) -> list[StoredRun]:
        """Return the finished runs of the experiment as it was last asked for, in the order of its spec.

        Raises:
            ResultsError: If nothing was ever started here.
        """
        if not self.has_runs():
            raise ResultsError(
                f"{self.root}: no folder runs/ lies there; run `clrbench compare` first, or name its folder"
            )
        index = self.index()
        run_ids = [run_id for ids in index.get("runs", {}).values() for run_id in ids]
        if not run_ids:
            run_ids = sorted(path.name for path in (self.root / "runs").iterdir())
        runs = [StoredRun(self._run_folder(run_id)) for run_id in run_ids if self.is_finished(run_id)]
        points = index.get("evaluation_steps", {})
        return [replace(run, evaluation_steps=points.get(run.info["spec"]["arm"])) for run in runs]

    def _run_folder(self, run_id: str) -> Path:
        return self.root / "runs" / run_id


_REMOVE = "remove this file and run the same command again; finished runs are kept"
_REDO = "remove the folder of this run and run clrbench compare again"


def to_csv(table: pd.DataFrame) -> bytes:
    """Return a table as CSV: floats in the shortest form that reads back the same, nan as `nan`."""
    return table.to_csv(index=False, na_rep="nan", lineterminator="\n").encode()


def _steps_table(log: RunLog) -> pd.DataFrame:
    steps = np.arange(1, len(log.steps.lr) + 1)
    values = (steps, log.steps.lr, log.steps.loss, log.steps.accuracy)
    return pd.DataFrame(dict(zip(RUN_COLUMNS, values, strict=True)))


def _evaluations_table(log: RunLog, steps_per_epoch: int) -> pd.DataFrame:
    nothing = (Evaluation(np.nan, np.nan),) * len(log.evaluation_steps)
    table = {"epoch": log.evaluation_steps / steps_per_epoch, "step": log.evaluation_steps}
    for split in (Split.VALIDATION, Split.TEST):
        found = log.evaluations.get(split, nothing)
        table[f"{split}_loss"] = np.array([evaluation.loss for evaluation in found])
        table[f"{split}_accuracy"] = np.array([evaluation.accuracy for evaluation in found])
    return pd.DataFrame(table, columns=list(EVALUATION_COLUMNS))


def _to_json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ResultsError(f"{path}: cannot be read ({err}); {_REMOVE}") from err
    if not isinstance(content, dict):
        raise ResultsError(f"{path}: got no JSON object; {_REMOVE}")
    return content


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, usecols=list(columns))
    except (OSError, ValueError) as err:
        raise ResultsError(f"{path}: cannot be read ({err}); {_REDO}") from err


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise ResultsError(
            f"{path}: cannot be written ({err.strerror or err}); free or unlock the place, or name another with --out; "
            "finished runs are kept"
        ) from err


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
