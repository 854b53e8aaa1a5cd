"""A finished run on disk: its files, and the record that they are parsed into once they are known to be intact."""

import io
import re
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from clrbench.counted import counted
from clrbench.errors import ResultsError
from clrbench.files import checksum
from clrbench.hits import pack, unpack
from clrbench.records import BoolArray, ByteArray, Evaluation, Json, Provenance, RunLog, RunStatus, Split
from clrbench.spec import RunSpec
from clrbench.store.files import Stamp, file_stamp, read_checked_file, read_sealed_json, to_sealed_json
from clrbench.store.shared_parts import provenance_from, shared, spec_from

RUN_FILE = "run.json"
STEPS_FILE = "steps.csv"
EVALUATIONS_FILE = "evaluations.csv"
TEST_HITS_FILE = "test_hits.npy"
WRITTEN_FILE = "metrics.csv"
"""What the script of a run wrote, as it did."""
LOG_FILE = "train.log"
"""What it printed, or the end of that."""
_DATA_FILES = (STEPS_FILE, EVALUATIONS_FILE, TEST_HITS_FILE, WRITTEN_FILE, LOG_FILE)
MAX_CACHED_RUNS = 20_000

RUN_COLUMNS = ("step", "lr", "train_loss", "train_accuracy")
TEST_COLUMNS = ("test_loss", "test_accuracy", "test_balanced_accuracy")
VALIDATION_COLUMNS = ("validation_loss", "validation_accuracy")
EVALUATION_COLUMNS = ("epoch", "step", *VALIDATION_COLUMNS, *TEST_COLUMNS, "validation_balanced_accuracy")

HASH_DIGITS = 8
"""Of an identity, at the end of the id of a run."""
_RUN_ID = re.compile(rf"([a-z]+)-(.+)-s(\d+)-([0-9a-f]{{{HASH_DIGITS}}})")

_FILES_KEY = "files"
_ADVICE = "clrbench compare (or range-test) on its spec redoes this run"


class RunKey(NamedTuple):
    """The name of a run in the tables of an experiment.

    Attributes:
        arm: Name of its arm; `constant@0.01` for a tuned arm at another rate than the one chosen.
    """

    backend: str
    arm: str
    seed: int


@dataclass(frozen=True)
class RunId:
    """What the folder of a run is called, such as `torch-constant-s0-1a2b3c4d`.

    Attributes:
        digits: The first `HASH_DIGITS` of the identity of the run.
    """

    key: RunKey
    digits: str

    @classmethod
    def of(cls, run: RunSpec, identity: str) -> "RunId":
        """Return the id of a run with this identity, SHA-256 in hex."""
        return cls(RunKey(run.backend, run.arm, run.seed), first_digits(identity))

    @classmethod
    def parse(cls, name: str) -> "RunId | None":
        """Return the id that the name of a folder stands for; None for that of no run."""
        match = _RUN_ID.fullmatch(name)
        return None if match is None else cls(RunKey(match[1], match[2], int(match[3])), match[4])

    def __str__(self) -> str:
        """Return the name of the folder."""
        return f"{self.name}-{self.digits}"

    @property
    def name(self) -> str:
        """The id without its digits, which runs of other data, settings or code share."""
        return f"{self.key.backend}-{self.key.arm}-s{self.key.seed}"


def first_digits(identity: str) -> str:
    """Return the digits of an identity that end the ids of its runs."""
    return identity[:HASH_DIGITS]


def id_pattern(digits: str) -> str:
    """Return a pattern for `glob` that fits the id of every run with these digits."""
    return f"[!.]*-{digits}"


@dataclass(frozen=True)
class RunTiming:
    """The seconds that each part of a run took, and its speed in training."""

    train_seconds: float
    evaluation_seconds: float
    compile_seconds: float
    load_seconds: float
    images_per_second: float


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run before it is made.

    Attributes:
        run_id: Name of its folder; see `RunId`.
        identity: SHA-256, in hex, of everything that decides its numbers.
        spec: The resolved spec of this run alone.
        validation_rows_by_class: How many rows of the validation split each of the `num_classes` has.
        test_rows_by_class: Likewise of the test split.
    """

    run_id: str
    identity: str
    spec: RunSpec
    num_classes: int
    validation_rows_by_class: tuple[int, ...]
    test_rows_by_class: tuple[int, ...]
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A finished run.

    Attributes:
        folder: Its folder, named after the run's id.
        record: What was known of it before it was made.
        reason: Why it diverged; None where it did not.
        steps: `RUN_COLUMNS`, a row for each planned update; nan after a divergence.
        evaluations: `EVALUATION_COLUMNS` and the metrics of a script's own, a row for each planned evaluation; nan after a
            divergence.
        test_hits_by_class: How many test rows of each class are right at the end; None as for `test_hits`.
        packed_test_hits: `test_hits` as bits, which take an eighth of the memory; see `hits.pack`.
    """

    folder: Path
    record: RunRecord
    status: RunStatus
    reason: str | None
    timing: RunTiming
    steps: pd.DataFrame
    evaluations: pd.DataFrame
    test_hits_by_class: tuple[int, ...] | None
    packed_test_hits: ByteArray | None

    @property
    def key(self) -> RunKey:
        """Its backend, arm and seed."""
        spec = self.record.spec
        return RunKey(spec.backend, spec.arm, spec.seed)

    @property
    def spec(self) -> RunSpec:
        """The resolved spec of this run alone."""
        return self.record.spec

    @property
    def provenance(self) -> Provenance:
        """The software, machine and data that it was made with."""
        return self.record.provenance

    @property
    def has_diverged(self) -> bool:
        """Whether it diverged."""
        return self.status == "diverged"

    @property
    def test_hits(self) -> BoolArray | None:
        """bool[test rows], which are right at the end; None where it diverged, or was not evaluated on test rows."""
        if self.packed_test_hits is None:
            return None
        return unpack(self.packed_test_hits, sum(self.record.test_rows_by_class))

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """The metrics that only the script of a run knows; none where it has none."""
        return tuple(name for name in map(str, self.evaluations) if name not in EVALUATION_COLUMNS)

    @property
    def updates_made(self) -> int:
        """The number of updates: all that were planned, or those up to the divergence."""
        return int(np.count_nonzero(~np.isnan(self.steps["lr"].to_numpy(np.float64))))

    def has_evaluations(self, steps: tuple[int, ...]) -> bool:
        """Return whether it was evaluated after all of these numbers of updates."""
        return set(steps) <= set(self.spec.evaluation_steps)

    def evaluated_at(self, steps: tuple[int, ...]) -> "StoredRun":
        """Return the run with its evaluations after these numbers of updates alone."""
        if steps == self.spec.evaluation_steps:
            return self
        rows = self.evaluations["step"].isin(steps)
        return replace(self, evaluations=self.evaluations[rows].reset_index(drop=True))

    def standing_for(self, arm: str) -> "StoredRun":
        """Return the run under the name of another arm."""
        spec = self.spec.model_copy(update={"arm": arm})
        return replace(self, record=replace(self.record, spec=spec))


def read_run(folder: Path) -> StoredRun:
    """Return the run in a folder; its files are read once, until they are written again."""
    run = _read_current(folder)
    if run.record.run_id != folder.name:
        raise ResultsError(f"{folder / RUN_FILE}: is that of run {run.record.run_id}; {_ADVICE}")
    return run


def is_run(folder: Path) -> bool:
    """Return whether a folder, whatever its name, holds a finished run."""
    try:
        _read_current(folder)
    except ResultsError:
        return False
    return True


def run_files(record: RunRecord, log: RunLog) -> dict[str, bytes]:
    """Return the content of the files of a run by their names, `run.json` last."""
    files = {
        STEPS_FILE: to_csv(_steps_table(log)),
        EVALUATIONS_FILE: to_csv(_evaluations_table(log, record.spec.steps_per_epoch)),
        **log.kept,
    }
    if log.test_hits is not None:
        files[TEST_HITS_FILE] = _to_npy(pack(log.test_hits.rows))
    checksums: Json = {name: checksum(content) for name, content in files.items()}
    return {**files, RUN_FILE: to_sealed_json({**_to_json(record, log), _FILES_KEY: checksums})}


def renamed_files(run: StoredRun, run_id: str, arm: str) -> dict[str, bytes]:
    """Return the content of the files of a stored run as one of another name and arm, `run.json` last.

    Raises:
        ResultsError: If they are not what was written.
    """
    content = read_sealed_json(run.folder / RUN_FILE, _ADVICE)
    checksums = {name: content[_FILES_KEY][name] for name in _DATA_FILES if name in content[_FILES_KEY]}
    files = {name: read_checked_file(run.folder / name, found, _ADVICE) for name, found in checksums.items()}
    renamed = {**content, "run_id": run_id, "spec": {**content["spec"], "arm": arm}, _FILES_KEY: checksums}
    return {**files, RUN_FILE: to_sealed_json(renamed)}


def to_csv(table: pd.DataFrame) -> bytes:
    """Return a table as CSV: floats in the shortest form that reads back the same, nan as `nan`."""
    return table.to_csv(index=False, na_rep="nan", lineterminator="\n").encode()


def _to_json(record: RunRecord, log: RunLog) -> dict[str, Json]:
    seconds = asdict(log.timing)
    num_images = seconds.pop("num_images")
    return {
        "run_id": record.run_id,
        "identity": record.identity,
        "status": log.status,
        "reason": log.reason,
        "num_classes": record.num_classes,
        "validation_rows_by_class": list(record.validation_rows_by_class),
        "test_rows_by_class": list(record.test_rows_by_class),
        "test_hits_by_class": None if log.test_hits is None else list(log.test_hits.by_class),
        "spec": record.spec.model_dump(mode="json", exclude_none=True),
        "provenance": _provenance(record.provenance),
        "timing": {**seconds, "images_per_second": num_images / log.timing.train_seconds},
    }


def _provenance(found: Provenance) -> dict[str, Json]:
    """Return a provenance as plain data; only a network of the user's own is spoken of."""
    return {key: value for key, value in asdict(found).items() if key != "network" or value is not None}


def _from_json(folder: Path, content: dict[str, Any]) -> StoredRun:
    spec, checksums = spec_from(content["spec"]), content[_FILES_KEY]
    rows, hits = shared(tuple(content["test_rows_by_class"])), content["test_hits_by_class"]
    of_script = spec.train is not None
    return StoredRun(
        folder=folder,
        record=RunRecord(
            spec=spec,
            provenance=provenance_from(content["provenance"]),
            validation_rows_by_class=shared(tuple(content["validation_rows_by_class"])),
            test_rows_by_class=rows,
            **{name: content[name] for name in ("run_id", "identity", "num_classes")},
        ),
        status=content["status"],
        reason=content["reason"],
        timing=RunTiming(**content["timing"]),
        steps=_read_table(folder / STEPS_FILE, RUN_COLUMNS, spec.num_steps, checksums, of_script=of_script),
        evaluations=_read_table(
            folder / EVALUATIONS_FILE, EVALUATION_COLUMNS, len(spec.evaluation_steps), checksums, of_script=of_script
        ),
        test_hits_by_class=None if hits is None else tuple(hits),
        packed_test_hits=None if hits is None else _read_hits(folder / TEST_HITS_FILE, sum(rows), checksums),
    )


def _read_current(folder: Path) -> StoredRun:
    names = [RUN_FILE, STEPS_FILE, EVALUATIONS_FILE]
    # Not every run has hits; whether this one should, its content says.
    names += [TEST_HITS_FILE] if (folder / TEST_HITS_FILE).exists() else []
    return _read_run(folder, tuple(file_stamp(folder / name, _ADVICE) for name in names))


@lru_cache(maxsize=MAX_CACHED_RUNS)
def _read_run(folder: Path, _stamps: tuple[Stamp, ...]) -> StoredRun:
    content = read_sealed_json(folder / RUN_FILE, _ADVICE)
    try:
        return _from_json(folder, content)
    except (KeyError, TypeError, ValueError) as err:
        raise ResultsError(
            f"{folder / RUN_FILE}: another version of clrbench wrote it, and this one cannot read what was trained ({err}); "
            f"{_ADVICE}"
        ) from err


def _read_table(
    path: Path, columns: tuple[str, ...], num_rows: int, checksums: dict[str, str], *, of_script: bool
) -> pd.DataFrame:
    """Return a table of numbers from a CSV file; `step` is int64, all else float64.

    That of a script may have other columns, too, and empty fields.
    """
    content = read_checked_file(path, checksums[path.name], _ADVICE)
    header, _, body = content.partition(b"\n")
    names = header.decode().split(",")
    if missing := [name for name in columns if name not in names]:
        raise ValueError(f"{path.name} has no column {', '.join(missing)}")
    if (found := body.count(b"\n")) != num_rows:
        raise ResultsError(f"{path}: got {counted(found, 'row')}, expected {num_rows}; {_ADVICE}")
    if of_script:
        return pd.read_csv(io.BytesIO(content))
    # A run has few rows: pandas would take longer to begin than to read them.
    values = np.loadtxt(io.BytesIO(body), delimiter=",", ndmin=2)
    table = {name: values[:, names.index(name)] for name in columns}
    return pd.DataFrame({**table, "step": table["step"].astype(np.int64)})


def _read_hits(path: Path, num_rows: int, checksums: dict[str, str]) -> ByteArray:
    content = read_checked_file(path, checksums[path.name], _ADVICE)
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    shape, _, _ = np.lib.format.read_array_header_1_0(file)
    # `np.load` would make room for whatever shape the file claims.
    packed = np.frombuffer(content, np.uint8, offset=file.tell())
    if shape != packed.shape:
        raise ValueError(f"{path.name} claims the shape {shape}")
    unpack(packed, num_rows)
    return packed


def _to_npy(array: ByteArray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _steps_table(log: RunLog) -> pd.DataFrame:
    values = (np.arange(1, len(log.steps.lr) + 1), log.steps.lr, log.steps.loss, log.steps.accuracy)
    return pd.DataFrame(dict(zip(RUN_COLUMNS, values, strict=True)))


def _evaluations_table(log: RunLog, steps_per_epoch: int) -> pd.DataFrame:
    nothing = (Evaluation(np.nan, np.nan),) * len(log.evaluation_steps)
    table = {"epoch": log.evaluation_steps / steps_per_epoch, "step": log.evaluation_steps}
    for split in (Split.VALIDATION, Split.TEST):
        found = log.evaluations.get(split, nothing)
        table[f"{split}_loss"] = np.array([evaluation.loss for evaluation in found])
        table[f"{split}_accuracy"] = np.array([evaluation.accuracy for evaluation in found])
        table[f"{split}_balanced_accuracy"] = np.array([evaluation.balanced_accuracy for evaluation in found])
    return pd.DataFrame({**table, **log.own}, columns=[*EVALUATION_COLUMNS, *log.own])
