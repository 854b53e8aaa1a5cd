"""Finished runs of a script with a metric of its own that lie on no disk, and the results that they make up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from runs_in_memory import NO_SEARCH
from runs_on_disk import provenance, run_record, run_spec
from specs import CONSTANT

from clrbench.analysis.results import Results
from clrbench.records import SplitSizes
from clrbench.spec import Spec
from clrbench.store import StoredRun
from clrbench.store.run import EVALUATION_COLUMNS, RunTiming

TRAIN = {"command": "sh train.sh {seed}", "steps_per_epoch": 4}


def script_run(arm: str, seed: int, *, first_loss: float, **own: float) -> StoredRun:
    """Return a run of a script of four updates with these metrics at its end; it has diverged where one of them is nan."""
    spec = run_spec(arm, seed, "script", num_steps=4, steps_per_epoch=4, evaluation_steps=(4,), train=TRAIN)
    record = run_record(spec, provenance("script", rows=SplitSizes(train=0, validation=0, test=0)), ())
    diverged = any(map(math.isnan, own.values()))
    losses = np.full(4, first_loss)
    return StoredRun(
        folder=Path("nowhere"),
        record=replace(record, num_classes=0),
        status="diverged" if diverged else "finished",
        reason="it diverged" if diverged else None,
        timing=RunTiming(10.0, 0.0, 0.0, 0.0, 0.0),
        steps=pd.DataFrame({"step": np.arange(1, 5), "lr": 0.1, "train_loss": losses, "train_accuracy": np.nan}),
        evaluations=pd.DataFrame(
            [{**dict.fromkeys(EVALUATION_COLUMNS, np.nan), "epoch": 1.0, "step": 4, **own}],
        ),
        test_hits_by_class=None,
        packed_test_hits=None,
    )


def script_results(
    ends: Mapping[str, Sequence[float]], metric: str, direction: str, *, seed_is_used: bool = True, **changes: Any
) -> Results:
    """Return the results of arms of a script whose metric ends at these values, seed by seed; nan where a run diverged.

    Both arms start each seed at the same loss, and all seeds at one loss unless the seed is used.
    """
    runs = [
        script_run(arm, seed, first_loss=2.0 + seed * seed_is_used, **{metric: value})
        for arm, values in ends.items()
        for seed, value in enumerate(values)
    ]
    content = {
        "name": "own",
        "train": TRAIN,
        "duration": "1 epochs",
        "seeds": max(map(len, ends.values())),
        "metrics": {metric: direction},
        "arms": dict.fromkeys(ends, CONSTANT),
        **changes,
        "verdict": {"metric": metric, **changes.get("verdict", {})},
    }
    return Results(Spec.model_validate(content), tuple(runs), NO_SEARCH)
