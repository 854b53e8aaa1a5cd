"""`experiment.json`: what an experiment was started with, which runs it has, and how often its verdict was looked at."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path

from clrbench.errors import ResultsError
from clrbench.planning.plan import PROTOCOL
from clrbench.records import Json
from clrbench.store.files import Stamp, file_stamp, read_sealed_json, to_sealed_json
from clrbench.store.look import Look, is_look, look_from_json, look_to_json

INDEX_FILE = "experiment.json"
SPEC_FILE = "spec.yaml"
MAX_CACHED_INDEXES = 64

_ADVICE = "remove this file and run the same command again; finished runs are kept"
_TYPES: Mapping[str, type] = {
    "protocol": int,
    "warnings": list,
    "spec": str,
    "spec_folder": str,
    "threads": int,
    "devices": dict,
    "runs": dict,
    "runs_of": str,
    "evaluation_steps": dict,
    "looks": list,
}


@dataclass(frozen=True)
class Index:
    """The content of `experiment.json`; what is empty is left out of the file.

    Attributes:
        protocol: `planning.plan.PROTOCOL` of the version that last began the experiment.
        spec: SHA-256, in hex, of the resolved spec that was last begun, without where its data lies.
        spec_folder: The folder of the file that it was read from, as a path from the results folder.
        devices: cpu, cuda or mps, by backend.
        runs: Ids of the runs that count, by backend, in the order of the spec.
        runs_of: SHA-256, in hex, of the spec that asked for these runs.
        evaluation_steps: The numbers of updates after which the runs of each arm are evaluated.
        looks: What was ever shown of the verdicts, in the order of its first time.
    """

    protocol: int | None = None
    warnings: list[str] | None = None
    spec: str | None = None
    spec_folder: str | None = None
    threads: int | None = None
    devices: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, list[str]] = field(default_factory=dict)
    runs_of: str | None = None
    evaluation_steps: Mapping[str, list[int]] = field(default_factory=dict)
    looks: tuple[Look, ...] = ()

    def with_runs(
        self, spec: str, backend: str, run_ids: list[str], evaluation_steps: Mapping[str, list[int]]
    ) -> "Index":
        """Return the index with the runs that a spec, by its SHA-256, asks for, unless it has more of them for that spec.

        A search asks for more runs from round to round, and processes that share it may be in different rounds.
        """
        runs = {**self.runs, backend: run_ids}
        if self.runs_of == spec:
            runs |= {name: ids for name, ids in self.runs.items() if set(runs[name]) <= set(ids)}
        points = {**self.evaluation_steps, **evaluation_steps}
        return replace(self, runs=runs, runs_of=spec, evaluation_steps=points)

    def to_json(self) -> bytes:
        """Return the content of the file."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        content["looks"] = [look_to_json(look) for look in self.looks] or None
        return to_sealed_json({key: value for key, value in content.items() if value not in (None, {})})


def read_index(root: Path) -> Index:
    """Return the index of a results folder, read once until it is written again; an empty one where there is none."""
    path = root / INDEX_FILE
    return _read_index(path, file_stamp(path, _ADVICE)) if path.exists() else Index()


def recorded_spec_folder(root: Path) -> Path | None:
    """Return the folder that relative paths in the spec of a results folder start from; None where it is not recorded."""
    where = read_index(root).spec_folder
    return None if where is None else (root.resolve() / where).resolve()


def spec_folder(path: Path) -> Path:
    """Return the folder that relative paths in a spec file start from.

    That is the folder of the file; or, of the resolved spec in a results folder, that of the file it was made from, which
    may have moved together with the results.
    """
    folder = path.resolve().parent
    with suppress(ResultsError):  # a damaged index says nothing
        return (recorded_spec_folder(folder) if path.name == SPEC_FILE else None) or folder
    return folder


@lru_cache(maxsize=MAX_CACHED_INDEXES)
def _read_index(path: Path, _stamp: Stamp) -> Index:
    content = read_sealed_json(path, _ADVICE)
    protocol = content.get("protocol")
    if isinstance(protocol, int) and protocol > PROTOCOL:
        raise ResultsError(
            f"{path.parent}: was made by a newer clrbench, whose runs follow protocol {protocol}; this one knows protocols up "
            f"to {PROTOCOL}; update clrbench, or use another results folder (out)"
        )
    if not _is_index(content):
        raise ResultsError(f"{path}: is not what clrbench writes; {_ADVICE}")
    return Index(**{**content, "looks": tuple(map(look_from_json, content.get("looks", ())))})


def _is_index(content: Mapping[str, Json]) -> bool:
    runs, looks = content.get("runs", {}), content.get("looks", [])
    return (
        all(key in _TYPES and isinstance(value, _TYPES[key]) for key, value in content.items())
        and isinstance(runs, dict)
        and all(isinstance(ids, list) and all(map(_is_run_id, ids)) for ids in runs.values())
        and isinstance(looks, list)
        and all(map(is_look, looks))
    )


def _is_run_id(name: Json) -> bool:
    return isinstance(name, str) and name == Path(name).name and not name.startswith(".")
