"""`clrbench schedule`: the learning rate of each arm, before anything is trained."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from clrbench.analysis.summary import thinned_steps
from clrbench.answer import Answer
from clrbench.commands.opening import open_spec
from clrbench.data import Library
from clrbench.planning.experiment import Experiment
from clrbench.planning.runs import arm_clock, lr_table, range_test_group, split_sizes, with_bounds
from clrbench.rates import Rates
from clrbench.report.figures.schedule import draw_schedules
from clrbench.report.figures.style import to_png
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.store import ResultsFolder

COLUMNS = ("arm", "step", "epoch", "lr")


def schedule(path: Path, out: Path, library: Library) -> Answer:
    """Write the rate of every update of every arm of a spec as a table and a plot, and return them as text curves."""
    experiment = open_spec(path, out, library)
    experiment.check_has_arms()
    with experiment.locating():
        tables = {name: _table(experiment, name) for name in experiment.spec.arms}
    known = {name: table for name, table in tables.items() if table is not None}
    _write(experiment, known)
    left_out = [name for name in tables if name not in known]
    arms = {name: _summary(rates["lr"]) for name, rates in known.items()}
    data = {"arms": arms, "left_out": left_out, "warnings": experiment.warnings}
    return Answer(_text(experiment, known, left_out), data)


def _table(experiment: Experiment, name: str) -> pd.DataFrame | None:
    """Return the rates of an arm, one row per update; None where a range test has yet to find them."""
    spec = experiment.spec
    arm, clock = spec.resolved_arm(name), arm_clock(spec, name, split_sizes(spec, experiment.sizes).train)
    if arm.schedule.needs_range_test:
        found = known_bounds(experiment, name)
        if found is None:
            return None
        arm = replace(arm, schedule=with_bounds(arm.schedule, found))
    step = np.arange(1, clock.num_steps + 1)
    lr = lr_table(arm, clock).astype(np.float32)
    return pd.DataFrame({"arm": name, "step": step, "epoch": step / clock.steps_per_epoch, "lr": lr})


def known_bounds(experiment: Experiment, arm: str, backend: str | None = None) -> Rates | None:
    """Return the bounds that the range test of an arm found on a backend, or on the first one that has any; or None."""
    folder = ResultsFolder(experiment.root).range_test(range_test_group(experiment.spec, arm).arm)
    found = folder.bounds().items()
    return next((rates for name, rates in found if rates.reason is None and backend in {None, name}), None)


def _write(experiment: Experiment, tables: Mapping[str, pd.DataFrame]) -> None:
    folder = ResultsFolder(experiment.root)
    table = pd.concat(tables.values(), ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
    folder.create()
    with folder.tables_lock():
        folder.write_table("schedule/schedule.csv", table)
        if tables:
            thinned = [rates.iloc[thinned_steps(rates["lr"].to_numpy())] for rates in tables.values()]
            curves = pd.concat(thinned, ignore_index=True).assign(backend="")
            figure = draw_schedules(curves, list(experiment.spec.arms))
            folder.write_bytes("schedule/lr_schedule.png", to_png(figure))


def _text(experiment: Experiment, tables: Mapping[str, pd.DataFrame], left_out: list[str]) -> str:
    x_axis, y_axis = TextAxis("epoch"), TextAxis("learning rate")
    parts = [
        text_curve(rates["epoch"].to_numpy(), {name: rates["lr"].to_numpy()}, x_axis=x_axis, y_axis=y_axis)
        for name, rates in tables.items()
    ]
    parts += [
        f"{name}: its rates come from a range test, which has not been made yet: clrbench range-test"
        for name in left_out
    ]
    parts += [f"Warning: {warning}" for warning in experiment.warnings]
    return "\n\n".join([*parts, f"Table and plot: {experiment.root / 'schedule'}"])


def _summary(lr: "pd.Series[float]") -> dict[str, float]:
    first, highest, last = map(float, (lr.iloc[0], lr.max(), lr.iloc[-1]))
    return {"steps": len(lr), "first_lr": first, "highest_lr": highest, "last_lr": last}
