"""What a finder suggests, and the names under which suggestions are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OURS: Mapping[str, str] = {
    "found, linear": "clrbench, no range",
    "linear": "clrbench, linear ramp",
    "exponential": "clrbench, exponential ramp",
}
"""The three ways of asking clrbench, by their names in `benchmarks/rates.py`; no range sweeps linearly, the default."""

PEERS: Mapping[str, tuple[str, ...]] = {
    "torch-lr-finder": ("steepest",),
    "fastai": ("valley", "steep", "minimum", "slide"),
    "lightning": ("suggestion",),
}
"""The rules of each peer, by the name of its package."""

DEFAULT_UPDATES = 100
"""Length of a sweep that every peer has by default."""

LENGTHS = ("equal", "default")
"""A peer's own default length, and a sweep as long as all that clrbench trained."""


@dataclass(frozen=True)
class Suggestion:
    """Rates to train at.

    Attributes:
        rule: As in `finders.csv`.
        constant_lr: Rate of a constant training; None where the rule refuses, as all rates.
        base_lr: Lower bound of triangles.
        max_lr: Upper bound of triangles.
        updates: Updates made to come to it.
    """

    rule: str
    constant_lr: float | None
    base_lr: float | None
    max_lr: float | None
    updates: int


def peer_rule(package: str, version: str, rule: str, length: str) -> str:
    """Return the name of a peer's rule after a sweep of one of `LENGTHS`."""
    named = f"{package} {version}" if rule == "suggestion" else f"{package} {version} {rule}"
    return f"{named}, {DEFAULT_UPDATES} updates" if length == "default" else f"{named}, equal updates"
