"""YAML -> frozen pydantic models: the only parser of the house."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clrbench.errors import SpecError
from clrbench.metric_names import OWN_METRIC
from clrbench.spec.model import OVERRIDES, Optimizer, ResolvedArm, RunSpec, Spec
from clrbench.spec.names import BACKEND_NAMES, LOSSES, METRICS, TRAIN_SECONDS, BackendName, Metric
from clrbench.spec.network import OwnModel
from clrbench.spec.part import read_part
from clrbench.spec.quantities import NAME_PATTERN, Clock, Length, Share
from clrbench.spec.rates import MAX_RATE, as_float32
from clrbench.spec.reader import KeyPath, locate, write_yaml
from clrbench.spec.schedules import BaseCyclic, Ramp, Schedule
from clrbench.spec.sources import library_from_environment, load_sources
from clrbench.spec.train import PLACES

__all__ = [
    "BACKEND_NAMES",
    "LOSSES",
    "MAX_RATE",
    "METRICS",
    "NAME_PATTERN",
    "OVERRIDES",
    "TRAIN_SECONDS",
    "BackendName",
    "BaseCyclic",
    "Clock",
    "Length",
    "Metric",
    "Optimizer",
    "OwnModel",
    "Ramp",
    "ResolvedArm",
    "RunSpec",
    "Schedule",
    "Share",
    "Spec",
    "SpecFile",
    "as_float32",
    "json_schema",
    "library_from_environment",
    "load_sources",
    "load_spec",
    "to_yaml",
    "without_paths",
]


@dataclass(frozen=True)
class SpecFile:
    """A spec and the file it was read from; `lines` holds the line, from 1, of every key."""

    spec: Spec
    path: Path
    lines: Mapping[KeyPath, int] = field(repr=False)

    @contextmanager
    def locating(self) -> Iterator[None]:
        """Put the file, line and key in front of every SpecError that names a key."""
        try:
            yield
        except SpecError as err:
            if not err.key:
                raise
            raise SpecError(locate(self.path, self.lines, err.key, str(err))) from err


def load_spec(path: Path) -> SpecFile:
    """Return the spec in a YAML file.

    Raises:
        SpecError: If anything in it is not allowed; the message has one line for each thing found, up to 30.
    """
    spec, lines = read_part(path, Spec, "`clrbench init` writes a spec to start from")
    return SpecFile(spec, path, lines)


def to_yaml(spec: Spec) -> str:
    """Return a spec as YAML text that `load_spec` reads back as the same spec."""
    content = spec.model_dump(mode="json", exclude_none=True, by_alias=True)
    # That a loss has no margin does not go without saying, as all else that may be None does.
    content["verdict"] = spec.verdict.model_dump(mode="json")
    return write_yaml(content)


def without_paths(spec: Spec) -> Spec:
    """Return a spec that says of its data, and of a network of the user's own, no more than the name of file and function."""
    name = spec.data.dataset.rstrip("/").rpartition("/")[2]
    data = spec.data.model_copy(update={"dataset": name})
    model = spec.model.without_path() if isinstance(spec.model, OwnModel) else spec.model
    return spec.model_copy(update={"data": data, "model": model})


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of a spec, for editors that complete and check as one types."""
    schema = {key: _with_standard_bounds(part) for key, part in Spec.model_json_schema().items()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, **_ways(), "title": "clrbench spec"}


def _ways() -> dict[str, object]:
    """Return what keys go together: a model, or a script, which alone may name metrics of its own, once it declares any."""
    known, own = {"enum": list(METRICS)}, {"pattern": f"^{OWN_METRIC.pattern}$"}
    published = {"propertyNames": {"enum": [*METRICS, TRAIN_SECONDS]}}
    only_known = {
        "metrics": {"maxProperties": 0},
        "verdict": {"properties": {"metric": known}},
        "targets": {"propertyNames": known},
    }
    no_places = dict.fromkeys(PLACES, False)
    no_overrides = {"batch_size": False, "optimizer": False}

    def arms(of_each: dict[str, object]) -> dict[str, object]:
        return {"patternProperties": {"": {"properties": of_each}}}

    model = {"train": {"type": "null"}, **only_known, "arms": arms({"published": published})}
    script = {**no_places, **only_known, "arms": arms({"published": published, **no_overrides})}
    with_metrics = {
        **no_places,
        "metrics": {"minProperties": 1},
        "arms": arms({"published": {"propertyNames": own}, **no_overrides}),
    }
    return {
        "required": ["name"],
        "anyOf": [
            {"required": ["data", "model", "batch_size"], "properties": model},
            {"required": ["train"], "properties": script},
            {"required": ["train", "metrics"], "properties": with_metrics},
        ],
    }


_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _with_standard_bounds(schema: object) -> object:
    """Rename the bounds that pydantic leaves under its own names wherever a validator stands before them."""
    if isinstance(schema, dict):
        return {_BOUNDS.get(key, key): _with_standard_bounds(value) for key, value in schema.items()}
    return [_with_standard_bounds(item) for item in schema] if isinstance(schema, list) else schema
