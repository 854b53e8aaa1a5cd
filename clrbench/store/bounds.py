"""`bounds.json`: the bounds that a range test suggests, by backend."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clrbench.errors import ResultsError
from clrbench.records import Bounds, HalfLengthBounds, Json, StoppedSweep
from clrbench.spec import BackendName
from clrbench.store.files import read_json, to_json

BOUNDS_FILE = "bounds.json"
_ADVICE = "remove this file and run clrbench range-test again; finished runs are kept"


def bounds_to_json(bounds: Mapping[BackendName, Bounds]) -> bytes:
    """Return the content of the file: the fields of `Bounds` by backend; `half_length` only where it was measured."""
    return to_json({backend: _to_json(found) for backend, found in bounds.items()})


def read_bounds(path: Path) -> dict[str, Bounds]:
    """Return the bounds in a file, by backend; empty where there is no file."""
    if not path.exists():
        return {}
    try:
        return {backend: _from_json(content) for backend, content in read_json(path, _ADVICE).items()}
    except (AttributeError, KeyError, TypeError) as err:
        raise ResultsError(f"{path}: is not what clrbench writes ({err}); {_ADVICE}") from err


def _to_json(bounds: Bounds) -> Json:
    return {name: value for name, value in asdict(bounds).items() if name != "half_length" or value is not None}


def _from_json(content: dict[str, Any]) -> Bounds:
    half_length = content.get("half_length")
    return Bounds(
        **{
            **content,
            "seed_base_lr": tuple(content["seed_base_lr"]),
            "seed_max_lr": tuple(content["seed_max_lr"]),
            "stopped": tuple(StoppedSweep(**stopped) for stopped in content["stopped"]),
            "caveats": tuple(content.get("caveats", ())),
            "half_length": half_length and HalfLengthBounds(**half_length),
        }
    )
