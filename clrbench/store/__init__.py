"""Results on disk; no other package knows the layout of a results folder."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clrbench.store.checkpoints import Checkpoints
    from clrbench.store.folder import ResultsFolder
    from clrbench.store.index import SPEC_FILE, spec_folder
    from clrbench.store.look import Look
    from clrbench.store.run import RunId, RunKey, RunRecord, RunTiming, StoredRun, to_csv

__all__ = [
    "SPEC_FILE",
    "Checkpoints",
    "Look",
    "ResultsFolder",
    "RunId",
    "RunKey",
    "RunRecord",
    "RunTiming",
    "StoredRun",
    "spec_folder",
    "to_csv",
]

_MODULES = {
    "checkpoints": ("Checkpoints",),
    "folder": ("ResultsFolder",),
    "index": ("SPEC_FILE", "spec_folder"),
    "look": ("Look",),
    "run": ("RunId", "RunKey", "RunRecord", "RunTiming", "StoredRun", "to_csv"),
}
_PLACES = {name: f"clrbench.store.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Return what a module of the package holds; `clrbench validate` needs no run, nor the pandas that reads one."""
    if name not in _PLACES:
        raise AttributeError(f"module 'clrbench.store' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
