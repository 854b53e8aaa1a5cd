"""What stands beside the verdict and shares none of its risk: time to target, cycles, costs."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from clrbench.analysis.cycles import best_table, cycle_lines, cycle_peaks_table, cycles_table
from clrbench.analysis.pairs import Pairs
from clrbench.analysis.targets import target_values, targets_table
from clrbench.analysis.time_to_target import seconds_table, time_to_target_table
from clrbench.report.target_words import target_lines
from clrbench.store import StoredRun


def exploratory_tables(
    pairs: Pairs, own_runs: Sequence[StoredRun], metrics: pd.DataFrame, costs: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return the tables by the name of their file.

    Args:
        pairs: What is compared, with the runs that serve as baselines only.
        own_runs: Those of the arms themselves.
        metrics: The table metrics.csv, of these.
        costs: The table costs.csv.
    """
    spec = pairs.spec
    targets = targets_table(pairs.metrics, target_values(spec, pairs.runs, pairs.metrics))
    before_training = {
        (str(row["backend"]), str(row["arm"])): float(row["total_steps"] - row["train_steps"])
        for row in costs.to_dict("records")
    }
    cycles = cycles_table(spec, own_runs, metrics)
    return {
        "time_to_target.csv": time_to_target_table(targets, pairs, before_training),
        "time_to_target/timing.csv": seconds_table(targets, pairs),
        "cycles.csv": cycles,
        "best.csv": best_table(metrics, cycles),
        "cycle_peaks.csv": cycle_peaks_table(metrics, cycles),
    }


def exploratory_lines(files: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Yield what the tables say in words."""
    yield from target_lines(files["time_to_target.csv"])
    yield from cycle_lines(files["cycle_peaks.csv"])
