"""Results on disk; no other package knows the layout of a results folder."""

from clrbench.store.checkpoints import Checkpoints
from clrbench.store.folder import SPEC_FILE, ResultsFolder
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
    "to_csv",
]
