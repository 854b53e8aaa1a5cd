"""A finished run as it lies on disk: read only after its files are known to be those that were written."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clrbench.errors import ResultsError
from clrbench.files import checksum, read_file
from clrbench.records import Evaluation, RunLog, Split
from clrbench.store.files import SEAL, read_json, sealed, to_json

RUN_FILE = "run.json"
STEPS_FILE = "steps.csv"
EVALUATIONS_FILE = "evaluations.csv"
FILES_KEY = "files"

RUN_COLUMNS = ("step", "lr", "train_loss", "train_accuracy")
EVALUATION_COLUMNS = (
    "epoch",
    "step",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
)

_SPEC_KEYS = {"backend", "arm", "seed", "num_steps", "steps_per_epoch", "evaluation_steps"}
_REDO = "clrbench compare (or range-test) on its spec makes this run anew"


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
        found = read_json(self.folder / RUN_FILE, _REDO)
        if SEAL not in found and not _is_run(found):
            raise ResultsError(f"{self.folder / RUN_FILE}: does not say what a run is; {_REDO}")
        if found.get("run_id", self.folder.name) != self.folder.name:
            raise ResultsError(f"{self.folder / RUN_FILE}: is that of run {found['run_id']}; {_REDO}")
        return found if self.arm is None else {**found, "spec": {**found["spec"], "arm": self.arm}}

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The raw values of every update."""
        return self._table(STEPS_FILE, RUN_COLUMNS, self.info["spec"]["num_steps"])

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """The evaluations, in order."""
        found = self._table(EVALUATIONS_FILE, EVALUATION_COLUMNS, len(self.info["spec"]["evaluation_steps"]))
        if self.evaluation_steps is None:
            return found
        return found[found["step"].isin(self.evaluation_steps)].reset_index(drop=True)

    def has_evaluations(self, steps: tuple[int, ...]) -> bool:
        """Return whether it was evaluated after all of these numbers of updates."""
        return set(steps) <= set(self.info["spec"]["evaluation_steps"])

    def check(self) -> None:
        """Raise ResultsError unless every file is there, and is what was written."""
        for name in (STEPS_FILE, EVALUATIONS_FILE):
            self._content(name)

    def _table(self, name: str, columns: tuple[str, ...], num_rows: int) -> pd.DataFrame:
        path = self.folder / name
        try:
            table = pd.read_csv(io.BytesIO(self._content(name)), usecols=list(columns))
        except ValueError as err:
            raise ResultsError(f"{path}: cannot be read ({err}); {_REDO}") from err
        if len(table) != num_rows:
            raise ResultsError(f"{path}: got {len(table)} rows, expected {num_rows}; {_REDO}")
        return table

    def _content(self, name: str) -> bytes:
        """Return a file's content; runs of earlier versions bear no checksums, and are taken as they are."""
        path, expected = self.folder / name, self.info.get(FILES_KEY, {}).get(name)
        try:
            content = read_file(path)
        except OSError as err:
            raise ResultsError(f"{path}: cannot be read ({err.strerror or err}); {_REDO}") from err
        if expected not in {None, checksum(content)}:
            raise ResultsError(f"{path}: is not what was written, by its checksum; {_REDO}")
        return content


def _is_run(info: Mapping[str, Any]) -> bool:
    """Return whether the `run.json` of an earlier version, which bears no checksum, has what is read of it."""
    spec = info.get("spec")
    parts = (info.get("provenance"), info.get("timing"), spec)
    return all(isinstance(part, dict) for part in parts) and set(spec or ()) >= _SPEC_KEYS and "status" in info


def is_whole(folder: Path) -> bool:
    """Return whether a folder holds a finished run."""
    try:
        StoredRun(folder).check()
    except ResultsError:
        return False
    return True


def run_files(steps_per_epoch: int, log: RunLog, info: Mapping[str, Any]) -> dict[str, bytes]:
    """Return what the files of a run hold, by name, `run.json` last.

    Args:
        steps_per_epoch: Turns steps into epochs.
        log: What the run left behind.
        info: What goes into `run.json`, beside the checksums of the other files.
    """
    tables = {
        STEPS_FILE: to_csv(_steps_table(log)),
        EVALUATIONS_FILE: to_csv(_evaluations_table(log, steps_per_epoch)),
    }
    checksums = {name: checksum(content) for name, content in tables.items()}
    return {**tables, RUN_FILE: to_json(sealed({**info, FILES_KEY: checksums}))}


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
