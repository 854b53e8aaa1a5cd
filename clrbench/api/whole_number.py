"""Whole numbers that a Python caller hands over, of whatever library."""

import operator
from typing import SupportsIndex


def whole_number(value: object) -> int | None:
    """Return a whole number of any library, such as NumPy's, as a plain one; None for anything else, truth values among it."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # such as an array of floats
        return None
