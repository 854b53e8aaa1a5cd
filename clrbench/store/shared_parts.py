"""Parts of a run's record that thousands of runs have in common: each is held once, however many were read."""

import json
from functools import lru_cache

from clrbench.layers import BuiltNetwork
from clrbench.records import Json, Provenance, SplitSizes, T
from clrbench.spec import RunSpec

MAX_SHARED_PARTS = 1_000


@lru_cache(maxsize=MAX_SHARED_PARTS, typed=True)
def shared(part: T) -> T:
    """Return what is equal to a part and was read first."""
    return part


def spec_from(content: Json) -> RunSpec:
    """Return the spec of a run, its data, model and other parts shared."""
    spec = RunSpec.model_validate(content)
    return spec.model_copy(update={name: shared(getattr(spec, name)) for name in spec.model_fields_set})


def provenance_from(content: Json) -> Provenance:
    """Return what a run was made with, shared by all that were made with the same."""
    return _provenance_from(json.dumps(content))


@lru_cache(maxsize=MAX_SHARED_PARTS)
def _provenance_from(text: str) -> Provenance:
    content = {**json.loads(text)}
    network = content.get("network")
    if network is not None:
        content["network"] = BuiltNetwork(**{**network, "warnings": tuple(network["warnings"])})
    return Provenance(**{**content, "rows": SplitSizes(**content["rows"])})
