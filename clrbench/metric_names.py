"""What a metric of a training script may be called, in a spec, in its file and from Python."""

import re

OWN_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
NO_METRICS = ("step", "lr", "epoch", "seed", "arm", "backend", "status", "experiment")
"""Columns of the tables of runs, which no metric may be called."""
COLUMNS = ("step", "lr")
"""Those among them that a script writes itself."""
ALLOWED_COLUMNS = "allowed: at most 50 letters, digits and '_', starting with a letter, and none of " + ", ".join(
    name for name in NO_METRICS if name not in COLUMNS
)


def is_column(name: str) -> bool:
    """Return whether a script may write a column of this name: a metric, the step or the rate."""
    return bool(OWN_METRIC.fullmatch(name)) and (name in COLUMNS or name not in NO_METRICS)
