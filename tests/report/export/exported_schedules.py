"""Schedules to export, of every kind, and what runs an exported file as a script of somebody else's would."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import TypeAdapter

from clrbench.report.export import Exported, Format, export_source
from clrbench.spec import Clock, Length, Optimizer, Schedule
from clrbench.spec.rate_file import packed

CLOCK = Clock(steps_per_epoch=19, num_steps=95)
FIVE_EPOCHS = Length(5, "epochs")
BOUNDS = {"base_lr": 0.001, "max_lr": 0.6}
RATES = np.geomspace(0.3, 0.01, 95)

SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant", "lr": 0.03},
    {"name": "piecewise", "lr": 0.1, "milestones": {"2 epochs": 0.5, "3.5 epochs": 0.01}},
    {"name": "table", "file": "lr.csv", "rates": packed(RATES)},
    {"name": "triangular", **BOUNDS, "cycles": 3},
    {"name": "triangular", **BOUNDS, "step_size": "1 epoch", "step_size_down": "30 steps"},
    {"name": "triangular2", **BOUNDS, "step_size": "10 steps"},
    {"name": "triangular2", **BOUNDS, "cycles": 2.5},
    {"name": "exp_range", **BOUNDS, "step_size": "0.7 epochs", "gamma": 0.97},
    {"name": "exp_range_paper", **BOUNDS, "cycles": 2, "gamma": 0.98},
    {"name": "one_cycle", "max_lr": 0.6},
    {
        "name": "one_cycle",
        "max_lr": 0.6,
        "anneal": "linear",
        "pct_start": 0.45,
        "div_factor": 10,
        "final_div_factor": 7,
    },
    {"name": "linear_decay", "lr": 0.1},
    {"name": "cosine", "lr": 0.1, "end_lr": 0.02},
    {"name": "step_decay", "lr": 0.1, "factor": 0.5, "every": "1.5 epochs"},
    {"name": "exponential_decay", "lr": 0.1, "gamma": 0.5},
    {"name": "cosine_restarts", "lr": 0.1, "period": "1 epoch"},
    {"name": "cosine_restarts", "lr": 0.1, "period": "7 steps", "multiplier": 2},
    {"name": "polynomial", "lr": 0.1, "power": 2.5},
    {"name": "wsd", "lr": 0.1},
    {"name": "wsd", "lr": 0.1, "decay": "100 %", "shape": "cosine"},
    {"name": "wsd", "lr": 0.1, "decay": "35 %", "shape": "sqrt"},
]
EVERY_KIND = SCHEDULES + [
    {**keys, "warmup": "0.5 epochs"}
    if keys["name"] != "table"
    else {**keys, "rates": packed(RATES[:85]), "warmup": "10 steps"}
    for keys in SCHEDULES
]


def exported(keys: dict[str, Any], clock: Clock = CLOCK, duration: Length = FIVE_EPOCHS, **changes: Any) -> Exported:
    """Return a schedule as the command would hand it on."""
    content: dict[str, Any] = {
        "experiment": "mnist-mlp",
        "arm": "clr",
        "backend": "torch",
        "schedule": TypeAdapter(Schedule).validate_python(keys),
        "clock": clock,
        "duration": duration,
        "batch_size": 50,
        "optimizer": TypeAdapter(Optimizer).validate_python({"name": "sgd", "momentum": 0.9}),
        "verdict": "clr against constant: better",
    }
    return Exported(**{**content, **changes})


def run(found: Exported, to: Format) -> dict[str, Any]:
    """Return the names that an exported file defines."""
    source = export_source(found, to)
    assert "import clrbench" not in source
    assert "from clrbench" not in source
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(source, "exported.py", "exec"), names)
    return names


def table(found: Exported) -> Any:
    """Return the rates that were trained at, float32."""
    return found.schedule.table(found.clock).astype(np.float32)
