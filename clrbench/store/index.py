"""`experiment.json`: what an experiment was started with, which runs it has, and how often its verdict was looked at."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from clrbench.errors import ResultsError
from clrbench.planning.plan import PROTOCOL
from clrbench.records import Json
from clrbench.store.files import SEAL, read_json, sealed, to_json

INDEX_FILE = "experiment.json"
REMEDY = "remove this file and run the same command again; finished runs are kept"


@dataclass(frozen=True)
class Index:
    """What `experiment.json` says; an entry that is empty is left out of the file.

    Attributes:
        protocol: `planning.plan.PROTOCOL` of the version that last began the experiment.
        warnings: What may mislead in the outcome of its spec.
        spec: sha256 of the resolved spec that was last begun, in hex.
        threads: Threads of each run.
        devices: Device by backend: cpu, cuda or mps.
        runs: Ids of the runs that count, by backend, in the order of the spec.
        runs_of: sha256 of the spec that asked for these runs, in hex.
        evaluation_steps: After how many updates the runs of each arm are evaluated.
        looks: Each list of seeds that the verdict of a backend was looked at with.
    """

    protocol: int | None = None
    warnings: list[str] | None = None
    spec: str | None = None
    threads: int | None = None
    devices: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, list[str]] = field(default_factory=dict)
    runs_of: str | None = None
    evaluation_steps: Mapping[str, list[int]] = field(default_factory=dict)
    looks: Mapping[str, list[list[int]]] = field(default_factory=dict)

    def with_runs(
        self, spec: str, backend: str, run_ids: list[str], evaluation_steps: Mapping[str, list[int]]
    ) -> "Index":
        """Return the index with the runs that a spec asks for; another process's longer list for the same spec stays.

        A search asks for more runs from round to round, and processes that share it may be at different ones.

        Args:
            spec: sha256 of the spec.
            backend: What makes the runs.
            run_ids: In the order of the spec.
            evaluation_steps: Of each arm.
        """
        runs = {**self.runs, backend: run_ids}
        if self.runs_of == spec:
            runs |= {name: ids for name, ids in self.runs.items() if set(runs[name]) <= set(ids)}
        points = {**self.evaluation_steps, **evaluation_steps}
        return replace(self, runs=runs, runs_of=spec, evaluation_steps=points)

    def with_look(self, backend: str, seeds: list[int]) -> "Index":
        """Return the index with a set of seeds that the verdict of a backend was looked at with, each set once."""
        before = self.looks.get(backend, [])
        return self if seeds in before else replace(self, looks={**self.looks, backend: [*before, seeds]})

    def to_json(self) -> bytes:
        """Return the content of the file."""
        content: dict[str, Json] = {key: value for key, value in asdict(self).items() if value not in (None, {})}
        return to_json(sealed(content))


def read_index(root: Path) -> Index:
    """Return the index of a results folder, read once as long as nobody writes it anew; an empty one where there is none.

    Raises:
        ResultsError: If it cannot be read, or a newer clrbench wrote it.
    """
    path = root / INDEX_FILE
    if not path.exists():
        return Index()
    status = path.stat()
    return _read_index(path, (status.st_ino, status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=64)
def _read_index(path: Path, _stamp: tuple[int, int, int]) -> Index:
    content: dict[str, Any] = read_json(path, REMEDY, must_be_sealed=True)
    del content[SEAL]
    if content.get("protocol", PROTOCOL) > PROTOCOL:
        raise ResultsError(
            f"{path.parent}: was made by a newer clrbench, whose runs go by protocol {content['protocol']}; this one knows "
            f"protocols up to {PROTOCOL}; update clrbench, or name another folder with --out"
        )
    try:
        found = Index(**content)
    except TypeError as err:
        raise ResultsError(f"{path}: is not what clrbench writes; {REMEDY}") from err
    if not all(map(_is_run_id, (run_id for run_ids in found.runs.values() for run_id in run_ids))):
        raise ResultsError(f"{path}: is not what clrbench writes; {REMEDY}")
    return found


def _is_run_id(name: str) -> bool:
    return name == Path(name).name and not name.startswith(".")
