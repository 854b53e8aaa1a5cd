"""clrbench: what learning rate should I use, and does a cyclical one beat my constant one?"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clrbench.api.current_run import current_run as current_run
    from clrbench.api.experiment import compare as compare
    from clrbench.api.experiment import load as load
    from clrbench.api.judgement import judge as judge
    from clrbench.api.range_test import RangeTest as RangeTest
    from clrbench.range_test import suggest_bounds as suggest_bounds

__version__ = "0.2.0"
__all__ = ["RangeTest", "__version__", "compare", "current_run", "judge", "load", "suggest_bounds"]

_PLACES = {
    "RangeTest": "clrbench.api.range_test",
    "compare": "clrbench.api.experiment",
    "current_run": "clrbench.api.current_run",
    "judge": "clrbench.api.judgement",
    "load": "clrbench.api.experiment",
    "suggest_bounds": "clrbench.range_test",
}


def __getattr__(name: str) -> object:
    """Return a public name; what it needs is loaded now and not before."""
    if name not in _PLACES:
        raise AttributeError(f"module 'clrbench' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
