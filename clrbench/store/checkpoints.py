"""The checkpoints of a run in progress: a pair of files each, arrays as npz and the rest as JSON."""

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from clrbench.errors import ResultsError
from clrbench.files import checksum, find_temporary
from clrbench.records import Checkpoint, Evaluation, Json, Split, StepLog, Timing
from clrbench.store.files import read_checked_file, read_file, read_sealed_json, remove, to_sealed_json, write_file

MAX_CHECKPOINTS = 2
"""The last one, and the one before it in case the disk loses the last."""

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_STATE, _STEPS, _EVALUATIONS = "state/", "steps/", "evaluations/"
_ADVICE = "it is left out"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run, each named after the number of updates done.

    The caller of every method holds the lock of the run. Where the disk refuses, they raise a ResultsError.

    Attributes:
        folder: The folder of all checkpoints, those of other runs included.
        belongs_to: What a checkpoint must have been made with to serve this run: its identity, versions and the like.
    """

    folder: Path
    run_id: str
    belongs_to: Mapping[str, Json]

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, the JSON file last, and remove those that it makes useless."""
        arrays = _to_npz(checkpoint)
        about: dict[str, Json] = {
            "belongs_to": dict(self.belongs_to),
            "updates_done": checkpoint.updates_done,
            "timing": asdict(checkpoint.timing),
            "arrays": checksum(arrays),
        }
        path = self.folder / f"{self.run_id}.{checkpoint.updates_done:09d}.json"
        write_file(path.with_suffix(".npz"), arrays)
        write_file(path, to_sealed_json(about))
        paths = self.paths()
        # One that is further on was of no use to the process that wrote this one.
        here = paths.index(path)
        for old in (*paths[:here], *paths[here + MAX_CHECKPOINTS :]):
            _remove_pair(old)

    def read(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the last checkpoint that can be used, if any, and what is wrong with each later one."""
        problems: list[str] = []
        for path in self.paths():
            try:
                return self._read(path), problems
            except ResultsError as err:
                problems.append(str(err))
                _remove_pair(path)
        return None, problems

    def find(self) -> Checkpoint | None:
        """Return the last checkpoint that can be used, if any, and leave all of them as they are."""
        for path in self.paths():
            with suppress(ResultsError):
                return self._read(path)
        return None

    def contents(self) -> dict[str, bytes]:
        """Return the files of all of them by name, as they are; those that cannot be read are left out."""
        found: dict[str, bytes] = {}
        for path in self.paths():
            with suppress(ResultsError):
                pair = {part.name: read_file(part, _ADVICE) for part in (path, path.with_suffix(".npz"))}
                found |= pair
        return found

    def take_over(self, other: "Checkpoints", identity: str, evaluation_steps: tuple[int, ...]) -> bool:
        """Take the files of another run's checkpoints over, as they are; return whether there were any of this identity.

        Whether they can be used is found out where the run is made, which may be another machine.
        """
        found = other.contents()
        wanted = {"identity": identity, "evaluation_steps": list(evaluation_steps)}
        taken = False
        for path in other.paths():
            pair = {part: found.get(part.name) for part in (path.with_suffix(".npz"), path)}
            about = _about(pair[path])
            if None not in pair.values() and wanted.items() <= about.items():
                for part, content in pair.items():
                    name = f"{self.run_id}{part.name.removeprefix(other.run_id)}"
                    write_file(self.folder / name, content or b"")
                taken = True
        if taken:
            other.remove()
        return taken

    def remove(self) -> None:
        """Remove all of them, and what a dead process left half-written."""
        pattern = f"{self.run_id}.*"
        for path in (*self.folder.glob(pattern), *find_temporary(self.folder, pattern)):
            remove(path)

    def paths(self) -> list[Path]:
        """Return the JSON file of each, that of the last checkpoint first."""
        return sorted(self.folder.glob(f"{self.run_id}.*.json"), reverse=True)

    def _read(self, path: Path) -> Checkpoint:
        about = read_sealed_json(path, _ADVICE)
        if about.get("belongs_to") != self.belongs_to:
            raise ResultsError(f"{path}: was made with other versions, on another processor or for other evaluations")
        arrays = read_checked_file(path.with_suffix(".npz"), about["arrays"], _ADVICE)
        return _from_npz(arrays, Timing(**about["timing"]))


def _about(content: bytes | None) -> dict[str, Any]:
    """Return what a checkpoint belongs to, by the content of its JSON file; nothing where that is damaged."""
    try:
        return dict(json.loads(content or b"{}").get("belongs_to", {}))
    except (ValueError, TypeError, AttributeError):
        return {}


def _remove_pair(path: Path) -> None:
    """Remove a checkpoint, first the file without which it does not count."""
    remove(path)
    remove(path.with_suffix(".npz"))


def _to_npz(checkpoint: Checkpoint) -> bytes:
    arrays: Arrays = {_STATE + name: array for name, array in checkpoint.state.items()}
    arrays |= {_STEPS + name: getattr(checkpoint.steps, name) for name in ("lr", "loss", "accuracy")}
    for split, made in checkpoint.evaluations.items():
        arrays[_EVALUATIONS + split] = np.array([astuple(one) for one in made]).reshape(-1, len(fields(Evaluation)))
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _from_npz(content: bytes, timing: Timing) -> Checkpoint:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file.items())

    def under(prefix: str) -> Arrays:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    return Checkpoint(
        state=under(_STATE),
        steps=StepLog(**under(_STEPS)),
        evaluations={
            Split(split): tuple(Evaluation(*values) for values in made.tolist())
            for split, made in under(_EVALUATIONS).items()
        },
        timing=timing,
    )
