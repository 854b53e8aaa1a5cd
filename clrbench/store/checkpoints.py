"""The checkpoints of one run under way: arrays as npz and the rest as JSON, each pair whole or not taken."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clrbench.errors import ResultsError
from clrbench.files import checksum
from clrbench.records import Checkpoint, Evaluation, Split, StepLog, Timing
from clrbench.store.files import read_json, remove, sealed, to_json, write_file

KEPT = 2
"""The last one, and the one before it, should the disk lose the last."""

_STATE, _STEPS, _EVALUATIONS = "state/", "steps/", "evaluations/"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run, each named by how many updates were done.

    Whoever reads or writes them holds the lock of the run.

    Attributes:
        folder: Where they lie, with those of other runs.
        run_id: The run.
        belongs_to: What decides whether a checkpoint is this run's: its identity, and what it was made with.
    """

    folder: Path
    run_id: str
    belongs_to: Mapping[str, Any]

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, the JSON file last, and drop those that it makes useless.

        Raises:
            ResultsError: If the disk does not take it.
        """
        arrays = _to_npz(checkpoint)
        about = {
            "belongs_to": self.belongs_to,
            "updates_done": checkpoint.updates_done,
            "timing": asdict(checkpoint.timing),
            "arrays": checksum(arrays),
        }
        path = self.folder / f"{self.run_id}.{checkpoint.updates_done:09d}.json"
        write_file(path.with_suffix(".npz"), arrays)
        write_file(path, to_json(sealed(about)))
        for old in self.paths()[KEPT:]:
            _remove_pair(old)

    def read(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the last good checkpoint, if any, and why each later one is of no use."""
        problems: list[str] = []
        for path in self.paths():
            try:
                return self._read(path), problems
            except ResultsError as err:
                problems.append(str(err))
                _remove_pair(path)
        return None, problems

    def remove(self) -> None:
        """Remove all of them, and what a dead process left half-written, as the run is stored.

        Raises:
            ResultsError: If the disk does not let go of them.
        """
        for path in self.folder.glob(f"*{self.run_id}.*"):
            remove(path)

    def paths(self) -> list[Path]:
        """Return the JSON file of each, the last checkpoint first."""
        return sorted(self.folder.glob(f"{self.run_id}.*.json"), reverse=True)

    def _read(self, path: Path) -> Checkpoint:
        about = read_json(path, "it is left out", must_be_sealed=True)
        if about["belongs_to"] != self.belongs_to:
            raise ResultsError(f"{path}: was made with other versions, on another processor or for other evaluations")
        arrays = path.with_suffix(".npz")
        try:
            content = arrays.read_bytes()
        except OSError as err:
            raise ResultsError(f"{arrays}: cannot be read ({err.strerror or err})") from err
        if checksum(content) != about["arrays"]:
            raise ResultsError(f"{arrays}: is not what was written, by its checksum")
        return _from_npz(content, Timing(**about["timing"]))


def _remove_pair(path: Path) -> None:
    """Remove a checkpoint, the file first that makes it count."""
    remove(path)
    remove(path.with_suffix(".npz"))


def _to_npz(checkpoint: Checkpoint) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {_STATE + name: array for name, array in checkpoint.state.items()}
    arrays |= {_STEPS + name: getattr(checkpoint.steps, name) for name in ("lr", "loss", "accuracy")}
    for split, made in checkpoint.evaluations.items():
        arrays[_EVALUATIONS + split] = np.array([(one.loss, one.accuracy) for one in made]).reshape(-1, 2)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _from_npz(content: bytes, timing: Timing) -> Checkpoint:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file.items())

    def under(prefix: str) -> dict[str, npt.NDArray[Any]]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    return Checkpoint(
        state=under(_STATE),
        steps=StepLog(**under(_STEPS)),
        evaluations={
            Split(split): tuple(Evaluation(loss, accuracy) for loss, accuracy in made.tolist())
            for split, made in under(_EVALUATIONS).items()
        },
        timing=timing,
    )
