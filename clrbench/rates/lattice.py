"""The rates that are trained at: four a decade, the same ones whatever ramp led there, so that runs are shared."""

from __future__ import annotations

import math

PER_DECADE = 4
LOWEST, HIGHEST = -8 * PER_DECADE, 3 * PER_DECADE
"""Places beyond which nothing is tried."""


def rate_at(place: int) -> float:
    """Return the rate at a place, to three digits: 0.01, 0.0178, 0.0316, 0.0562, 0.1."""
    return float(f"{10 ** (place / PER_DECADE):.3g}")


def place_of(lr: float) -> float:
    """Return where a rate lies, whole numbers being the places of the lattice."""
    return PER_DECADE * math.log10(lr)


def nearest(lr: float) -> int:
    """Return the place nearest to a rate, among those that are ever tried."""
    return min(max(round(place_of(lr)), LOWEST), HIGHEST)
