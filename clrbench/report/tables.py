"""Run files -> the tidy tables of an experiment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from clrbench.spec import METRICS, Metric, Spec
from clrbench.stats import PairedComparison, compare_paired, holm, pairs_needed
from clrbench.store import StoredRun

METRIC_COLUMNS = (
    "experiment",
    "backend",
    "arm",
    "seed",
    "epoch",
    "step",
    "lr",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
    "status",
)
COMPARISON_COLUMNS = (
    "backend",
    "metric",
    "candidate",
    "baseline",
    "pairs",
    "mean_difference",
    "ci_low",
    "ci_high",
    "p_value",
    "wins",
    "ties",
    "losses",
    "verdict",
)
RunKey: TypeAlias = tuple[str, str, int]
RUN_KEYS = ["backend", "arm", "seed"]
SCHEDULE_POINTS = 400
"""A plot of this many points shows every schedule; the whole table lies in each run's `steps.csv`."""


def is_accuracy(metric: str) -> bool:
    """Return whether more of a metric is better."""
    return metric.endswith("accuracy")


def metrics_table(experiment: str, runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return all evaluations of all runs, with the means of the updates since the evaluation before."""
    return pd.concat([_run_metrics(experiment, run) for run in runs], ignore_index=True)


def _run_metrics(experiment: str, run: StoredRun) -> pd.DataFrame:
    spec = run.info["spec"]
    evaluations = run.evaluations
    ends = evaluations["step"].to_numpy()
    starts = np.concatenate([[0], ends[:-1]])
    table = evaluations.assign(
        experiment=experiment,
        backend=spec["backend"],
        arm=spec["arm"],
        seed=spec["seed"],
        lr=run.steps["lr"].to_numpy(np.float32)[ends - 1],
        status=run.info["status"],
    )
    for column in ("train_loss", "train_accuracy"):
        values = run.steps[column].to_numpy(np.float64)
        table[column] = np.add.reduceat(values, starts) / (ends - starts)
    return table[list(METRIC_COLUMNS)]


def last_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the last evaluation of every run."""
    return metrics.groupby(RUN_KEYS, sort=False).tail(1)


def summary_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return mean, standard deviation and range of every metric at the end, over the runs that did not diverge."""
    rows = []
    for (backend, arm), runs in last_rows(metrics).groupby(["backend", "arm"], sort=False):
        row: dict[str, Any] = {"backend": backend, "arm": arm, "runs": len(runs)}
        row["diverged"] = int((runs["status"] == "diverged").sum())
        for metric in METRICS:
            values = runs[metric].dropna()
            row |= {f"{metric}_{name}": values.agg(how) for name, how in _STATISTICS.items()}
        rows.append(row)
    return pd.DataFrame(rows)


_STATISTICS = {"mean": "mean", "sd": "std", "min": "min", "max": "max"}


def differences_table(
    metrics: pd.DataFrame, runs: Sequence[StoredRun], comparisons: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Return candidate - baseline at the end, a row per backend, metric, candidate, baseline and seed.

    A diverged run counts as a blind guess in accuracy; in loss its pair is left out. So is, in every metric, a pair whose
    two runs were made with different versions of the framework.
    """
    ends = last_rows(metrics)
    keys = [_key(run) for run in runs]
    versions = {_key(run): run.info["provenance"]["versions"] for run in runs}
    chance = {_key(run): 1 / run.info["num_classes"] for run in runs}
    rows = []
    for metric in METRICS:
        values = dict(zip(keys, ends[metric].tolist(), strict=True))
        if is_accuracy(metric) and any(np.isfinite(value) for value in values.values()):
            values = {key: chance[key] if np.isnan(value) else value for key, value in values.items()}
        for candidate, baseline in comparisons:
            for backend, arm, seed in values:
                paired = (backend, baseline, seed)
                if arm != candidate or paired not in values or versions[backend, arm, seed] != versions[paired]:
                    continue
                rows.append((backend, metric, candidate, baseline, seed, values[backend, arm, seed] - values[paired]))
    table = pd.DataFrame(rows, columns=["backend", "metric", "candidate", "baseline", "seed", "difference"])
    return table.dropna()


def mixed_provenance(runs: Sequence[StoredRun], comparisons: Sequence[tuple[str, str]]) -> list[str]:
    """Return a sentence for each pair that is left out because its runs were made with different versions."""
    versions = {_key(run): run.info["provenance"]["versions"] for run in runs}
    return [
        f"mixed provenance: {backend}, seed {seed}: {candidate} and {baseline} were trained with different versions, so "
        "this pair is left out; run `clrbench compare --redo` to train both anew"
        for candidate, baseline in comparisons
        for backend, arm, seed in versions
        if arm == candidate and _differ(versions, (backend, candidate, seed), (backend, baseline, seed))
    ]


def _differ(versions: Mapping[RunKey, Any], first: RunKey, second: RunKey) -> bool:
    return second in versions and versions[first] != versions[second]


def comparison_table(
    differences: pd.DataFrame, spec: Spec, backends: Sequence[str], comparisons: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Return the paired comparison of every backend, measured metric, candidate and baseline.

    Within a backend, the verdicts on the primary metric share the risk alpha, by Holm's method; all other metrics are
    exploratory. The p-values and intervals are those of each comparison alone.
    """
    measured = [metric for metric in METRICS if metric in set(differences["metric"])] or [spec.verdict.metric]
    rows = [
        row
        for backend in backends
        for metric in measured
        for row in _family(
            differences[(differences["backend"] == backend) & (differences["metric"] == metric)],
            metric,
            spec,
            comparisons,
            backend,
        )
    ]
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS)).astype(_COMPARISON_TYPES)


_COMPARISON_TYPES = dict.fromkeys(("pairs", "wins", "ties", "losses"), "int64") | dict.fromkeys(
    ("mean_difference", "ci_low", "ci_high", "p_value"), "float64"
)


def _family(
    differences: pd.DataFrame, metric: str, spec: Spec, comparisons: Sequence[tuple[str, str]], backend: str
) -> list[dict[str, Any]]:
    """Return the comparisons of one backend and metric."""
    better_up, alpha = is_accuracy(metric), spec.verdict.alpha
    found = []
    for candidate, baseline in comparisons:
        chosen = (differences["candidate"] == candidate) & (differences["baseline"] == baseline)
        values = differences.loc[chosen, "difference"].to_numpy(np.float64)
        found.append(compare_paired(values, np.zeros_like(values), alpha=alpha, higher_is_better=better_up))
    p_values = np.array([one.p_value for one in found])
    primary = metric == spec.verdict.metric
    adjusted = holm(p_values) if primary and found else p_values
    margin = spec.verdict.margin if better_up == is_accuracy(spec.verdict.metric) else None
    question = Question(alpha, margin, better_up, comparisons=len(found) if primary else 1)
    return [
        {"backend": backend, "metric": metric, "candidate": candidate, "baseline": baseline}
        | asdict(one)
        | {"verdict": verdict_word(one, float(p_value), question)}
        for (candidate, baseline), one, p_value in zip(comparisons, found, adjusted, strict=True)
    ]


@dataclass(frozen=True)
class Question:
    """What a comparison is asked.

    Attributes:
        alpha: Risk of a false "better" or "worse" in the whole family.
        margin: Differences up to this size do not matter; None where it is given in another unit.
        higher_is_better: Whether a positive difference is good.
        comparisons: How many comparisons share the risk.
    """

    alpha: float
    margin: float | None
    higher_is_better: bool
    comparisons: int = 1


def verdict_word(found: PairedComparison, p_value: float, question: Question) -> str:
    """Return what a comparison shows.

    Args:
        found: The comparison.
        p_value: Its p-value, adjusted for the others of its family.
        question: What it is asked.
    """
    if found.pairs < pairs_needed(question.alpha, question.comparisons):
        return "cannot tell"
    margin = question.margin
    if margin is not None and -margin <= found.ci_low and found.ci_high <= margin:
        return "equivalent"
    if p_value > question.alpha:
        return "no difference shown"
    return "better" if (found.mean_difference > 0) == question.higher_is_better else "worse"


def targets_table(metrics: pd.DataFrame, targets: Mapping[Metric, Sequence[float]]) -> pd.DataFrame:
    """Return when each run first reached each target, and from when on it stayed there, in epochs and steps.

    A miss is `inf`: the run would have needed longer than it was given.
    """
    rows = [
        {"backend": backend, "arm": arm, "metric": metric, "target": target, "seed": seed}
        | _crossings(run, metric, target)
        for (backend, arm, seed), run in metrics.groupby(RUN_KEYS, sort=False)
        for metric, values in targets.items()
        for target in values
    ]
    columns = [
        "backend",
        "arm",
        "metric",
        "target",
        "seed",
        "first_epoch",
        "first_step",
        "sustained_epoch",
        "sustained_step",
    ]
    return pd.DataFrame(rows, columns=columns)


def _crossings(run: pd.DataFrame, metric: str, target: float) -> dict[str, float]:
    values = run[metric].to_numpy()
    reached = values >= target if is_accuracy(metric) else values <= target
    stays = np.logical_and.accumulate(reached[::-1])[::-1]
    found: dict[str, float] = {}
    for name, there in (("first", reached), ("sustained", stays)):
        at = int(np.argmax(there)) if there.any() else None
        for unit in ("epoch", "step"):
            found[f"{name}_{unit}"] = np.inf if at is None else float(run[unit].iloc[at])
    return found


def timing_table(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return where the time of every run went."""
    rows = []
    for run in runs:
        timing, provenance = run.info["timing"], run.info["provenance"]
        backend, arm, seed = _key(run)
        rows.append(
            {"backend": backend, "arm": arm, "seed": seed}
            | {key: round(timing[key], 4) for key in TIMING_KEYS}
            | {"images_per_second": round(timing["images_per_second"])}
            | {key: provenance[key] for key in ("threads", "device", "executor")}
        )
    return pd.DataFrame(rows)


TIMING_KEYS = ("train_seconds", "evaluation_seconds", "compile_seconds", "load_seconds")


def published_table(metrics: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Return where values published elsewhere lie among the runs of their arm."""
    ends = last_rows(metrics)
    rows = [
        {
            "backend": backend,
            "arm": name,
            "metric": metric,
            "value": value,
            "runs": int(runs[metric].notna().sum()),
            "runs_below": int((runs[metric] < value).sum()),
            "min": runs[metric].min(),
            "median": runs[metric].median(),
            "max": runs[metric].max(),
        }
        for (backend, name), runs in ends.groupby(["backend", "arm"], sort=False)
        for metric, value in spec.arms[str(name)].published.items()
    ]
    columns = ["backend", "arm", "metric", "value", "runs", "runs_below", "min", "median", "max"]
    return pd.DataFrame(rows, columns=columns)


def schedule_table(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return the rate of each arm over its steps, thinned, as its first run used it; one that did not diverge, if any."""
    first: dict[tuple[str, str], StoredRun] = {}
    for run in sorted(runs, key=lambda run: bool(run.info["status"] != "finished")):
        first.setdefault(_key(run)[:2], run)
    return pd.concat([_thinned(*key, run) for key, run in first.items()], ignore_index=True)


def _thinned(backend: str, arm: str, run: StoredRun) -> pd.DataFrame:
    steps = run.steps
    kept = thinned_steps(steps["lr"].to_numpy())
    epoch = steps["step"].to_numpy()[kept] / run.info["spec"]["steps_per_epoch"]
    return pd.DataFrame(
        {
            "backend": backend,
            "arm": arm,
            "epoch": epoch,
            "step": steps["step"].to_numpy()[kept],
            "lr": steps["lr"].to_numpy(np.float32)[kept],
        }
    )


def thinned_steps(lr: np.ndarray[tuple[int], np.dtype[Any]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return indices that show the shape of a table of rates: evenly spaced ones, and every turning point."""
    evenly = np.linspace(0, len(lr) - 1, min(SCHEDULE_POINTS, len(lr))).astype(np.int64)
    turns = np.flatnonzero(np.diff(np.sign(np.diff(lr)))) + 1
    return np.union1d(evenly, turns) if len(turns) <= SCHEDULE_POINTS else evenly


def _key(run: StoredRun) -> RunKey:
    spec = run.info["spec"]
    return spec["backend"], spec["arm"], spec["seed"]


@dataclass(frozen=True)
class Tables:
    """Every table of an experiment, by the name of its file."""

    metrics: pd.DataFrame
    summary: pd.DataFrame
    comparison: pd.DataFrame
    differences: pd.DataFrame
    targets: pd.DataFrame
    timing: pd.DataFrame
    published: pd.DataFrame
    schedule: pd.DataFrame

    def files(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield the name of each file and its table."""
        for name, table in vars(self).items():
            yield f"{name}.csv", table


def make_tables(spec: Spec, runs: Sequence[StoredRun], comparisons: Sequence[tuple[str, str]]) -> Tables:
    """Return every table of an experiment.

    Args:
        spec: The experiment, resolved.
        runs: Its finished runs, in the order of the spec.
        comparisons: Each candidate and its baseline.
    """
    metrics = metrics_table(spec.name, runs)
    differences = differences_table(metrics, runs, comparisons)
    return Tables(
        metrics=metrics,
        summary=summary_table(metrics),
        comparison=comparison_table(differences, spec, list(metrics["backend"].unique()), comparisons),
        differences=differences,
        targets=targets_table(metrics, spec.targets),
        timing=timing_table(runs),
        published=published_table(metrics, spec),
        schedule=schedule_table(runs),
    )
