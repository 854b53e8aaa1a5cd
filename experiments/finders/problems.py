"""The settings of the bake-off."""

from settings import HALVES, Setting

GROUPS = ("final", "new")
"""Of the halves in `benchmarks/settings.py`, those that clrbench's rules were not tuned to."""


def chosen() -> list[tuple[Setting, str]]:
    """Return each setting and the group that it is of."""
    return [(setting, group) for group in GROUPS for setting in HALVES[group]]
