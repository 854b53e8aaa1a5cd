"""Loss and accuracy of the mini-batches of every run, from the first one on: what the plots of training draw."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clrbench.analysis.metrics import TRAIN_COLUMNS, means_of_known
from clrbench.analysis.results import Results
from clrbench.store import StoredRun

MAX_TRAIN_POINTS = 50
TRAIN_CURVE_COLUMNS = ("backend", "arm", "seed", "epoch", "from_step", "to_step", *TRAIN_COLUMNS, "status")


def train_curve(results: Results) -> pd.DataFrame:
    """Return the training of every run in stretches of mini-batches, short ones at its start and longer ones later.

    A row has the mean over the mini-batches after `from_step` to `to_step` updates, and `epoch` is their middle. The first
    row is the first mini-batch alone: the untrained network. A run that diverged ends with the mini-batch on which it did.
    """
    if not results.runs:
        return pd.DataFrame(columns=list(TRAIN_CURVE_COLUMNS))
    parts = [_of_run(run) for run in results.runs]
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in TRAIN_CURVE_COLUMNS})


def _of_run(run: StoredRun) -> Mapping[str, npt.NDArray[Any]]:
    """Return the columns of one run; a table of its own for each run would take ten times as long."""
    starts = stretches(run.spec.num_steps)
    ends = np.append(starts[1:], run.spec.num_steps)
    of_run = {**run.key._asdict(), "status": run.status}
    return {
        **{name: np.full(len(starts), value, None if name == "seed" else object) for name, value in of_run.items()},
        "epoch": (starts + ends - 1) / 2 / run.spec.steps_per_epoch,
        "from_step": starts,
        "to_step": ends - 1,
        **{name: means_of_known(run.steps[name].to_numpy(np.float64), starts) for name in TRAIN_COLUMNS},
    }


def stretches(num_steps: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return with which mini-batch each stretch begins, int64[at most 50], from 0: the n-th after a share n^2 / 50^2."""
    shares = (np.arange(MAX_TRAIN_POINTS) / MAX_TRAIN_POINTS) ** 2
    starts = np.unique(np.concatenate([[0, 1], np.ceil(shares * num_steps)]).astype(np.int64))
    return starts[starts < num_steps]
