"""What each arm costs in updates: its training, and the range test and the search that found its rates."""

import pandas as pd

from clrbench.analysis.curves import bands_table
from clrbench.analysis.metrics import of_arm
from clrbench.analysis.results import Results, own_metrics
from clrbench.analysis.summary import summary_table
from clrbench.planning.runs import range_test_group


def costs_table(results: Results) -> pd.DataFrame:
    """Return the updates of each arm on each backend: of one run, of its range test, of its search, and together."""
    train_steps = {run.key[:2]: run.spec.num_steps for run in results.runs}
    search_steps = results.search.chosen.set_index(["backend", "arm"])["search_steps"].to_dict()
    summary = results.once(summary_table)
    keys = list(summary[["backend", "arm"]].itertuples(index=False, name=None))
    table = summary[["backend", "arm", "runs", f"{results.spec.verdict.metric}_mean"]].assign(
        train_steps=[train_steps[key] for key in keys],
        range_test_steps=[_range_test_steps(results, *key) for key in keys],
        search_steps=[search_steps.get(key, 0) for key in keys],
    )
    return table.assign(total_steps=table["train_steps"] + table["range_test_steps"] + table["search_steps"])


def steps_before_training(results: Results) -> dict[tuple[str, str], float]:
    """Return how many updates found the rates of each backend and arm."""
    rows = results.once(costs_table).to_dict("records")
    return {(row["backend"], row["arm"]): float(row["total_steps"] - row["train_steps"]) for row in rows}


def cost_curve(results: Results) -> pd.DataFrame | None:
    """Return the mean of the metric of the verdict over the updates, those that found the rates counted first.

    A row an evaluation; None where no arm had to find its rates.
    """
    before = results.once(steps_before_training)
    if not any(before.values()):
        return None
    bands, metrics = results.once(bands_table), results.once(own_metrics)
    bands = bands[bands["metric"] == results.spec.verdict.metric]
    tables = []
    for (backend, arm), band in bands.groupby(["backend", "arm"], sort=False):
        evaluations = of_arm(metrics, str(backend), str(arm)).groupby("epoch")["step"].first()
        steps = evaluations.to_numpy() + int(before[str(backend), str(arm)])
        columns = {"backend": backend, "arm": arm, "total_step": steps, "mean": band["mean"].to_numpy()}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _range_test_steps(results: Results, backend: str, arm: str) -> int:
    group = range_test_group(results.spec, arm).arm
    if not results.spec.arms[arm].needs_range_test or group not in results.range_tests:
        return 0
    return sum(run.updates_made for run in results.range_tests[group].runs if run.key.backend == backend)
