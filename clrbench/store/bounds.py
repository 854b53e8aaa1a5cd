"""`bounds.json`: the rates that a range test comes to, by backend."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from math import inf, nan
from pathlib import Path
from typing import Any

from clrbench.errors import ResultsError
from clrbench.rates import Rates, Tried
from clrbench.records import Json, json_value
from clrbench.spec import BackendName
from clrbench.store.files import read_json, to_json

BOUNDS_FILE = "bounds.json"
_ADVICE = "remove this file and run clrbench range-test again; finished runs are kept"
_CONFIRMATION = ("num_steps", "constants", "triangles")


def bounds_to_json(bounds: Mapping[BackendName, Rates]) -> bytes:
    """Return the content of the file; see `rates_to_json`."""
    return to_json({backend: rates_to_json(found) for backend, found in bounds.items()})


def rates_to_json(rates: Rates) -> dict[str, Json]:
    """Return rates as plain data: the fields of `Rates`, those that tell of trainings at rates under `confirmation`.

    What is not known is null: the accuracy of a training that has none, the loss of one that diverged.
    """
    content: dict[str, Any] = asdict(rates)
    trainings = {name: content.pop(name) for name in _CONFIRMATION}
    trainings |= {kind: [_finite(tried) for tried in trainings[kind]] for kind in ("constants", "triangles")}
    return {
        **content,
        "caveats": list(rates.caveats),
        "limits": None if rates.limits is None else list(rates.limits),
        "finds": [_finite(tried) for tried in content["finds"]],
        "seed_max_lr": {str(seed): rate for seed, rate in rates.seed_max_lr.items()},
        "loss_rules": dict(rates.loss_rules),
        "confirmation": trainings if rates.constants else None,
    }


def read_bounds(path: Path) -> dict[str, Rates]:
    """Return the rates in a file, by backend; empty where there is no file."""
    if not path.exists():
        return {}
    try:
        return {backend: _from_json(content) for backend, content in read_json(path, _ADVICE).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise ResultsError(f"{path}: is not what clrbench writes ({err}); {_ADVICE}") from err


def _finite(tried: dict[str, Any]) -> dict[str, Json]:
    return {name: list(value) if name in _LISTS else json_value(value) for name, value in tried.items()}


_LISTS = ("seeds", "collapsed")


def _from_json(content: dict[str, Any]) -> Rates:
    confirmation = content.pop("confirmation") or {"num_steps": 0, "constants": [], "triangles": []}
    limits = content["limits"]
    rates = Rates(**{**content, "caveats": tuple(content["caveats"])})
    return replace(
        rates,
        limits=None if limits is None else (limits[0], limits[1]),
        seed_max_lr={int(seed): rate for seed, rate in content["seed_max_lr"].items()},
        num_steps=confirmation["num_steps"],
        finds=tuple(map(_tried, content["finds"])),
        constants=tuple(map(_tried, confirmation["constants"])),
        triangles=tuple(map(_tried, confirmation["triangles"])),
    )


def _tried(content: dict[str, Any]) -> Tried:
    known: dict[str, Any] = {name: tuple(value) if name in _LISTS else value for name, value in content.items()}
    loss, accuracy = content["loss"], content["accuracy"]
    return Tried(**{**known, "loss": inf if loss is None else loss, "accuracy": nan if accuracy is None else accuracy})
