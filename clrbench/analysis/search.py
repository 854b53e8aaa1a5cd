"""The runs that tried rates for tuned arms -> their table, and the rates chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from clrbench.analysis.metrics import diverged_value, is_accuracy, of_arm
from clrbench.errors import ResultsError
from clrbench.planning.advice import comparisons
from clrbench.planning.runs import BoundsTable, range_test_group
from clrbench.planning.script import validation_metric
from clrbench.planning.tuning import Choice, RateKey, at_rate, choose, given_label, given_rate
from clrbench.spec import Schedule, Spec
from clrbench.store import ResultsFolder, StoredRun


class Try(NamedTuple):
    """A row of search.csv: a run that tried a rate for a tuned arm.

    Attributes:
        steps: Number of updates that it made.
        validation_accuracy: At its end, as a fraction; of a diverged run what it counts as, see `metrics.diverged_value`.
        validation_loss: Likewise.
    """

    backend: str
    arm: str
    lr: float
    seed: int
    validation_accuracy: float
    steps: int
    validation_loss: float


SEARCH_COLUMNS = Try._fields
CHOSEN_COLUMNS = ("backend", "arm", "given_lr", "lr", "tries", "at_edge", "search_steps")


@dataclass(frozen=True, eq=False)
class Search:
    """How the rates of tuned arms were found.

    Attributes:
        runs: Every run in the search folder that counts: the tries, and the runs at the rates given.
        tries: The table search.csv.
        chosen: The table chosen.csv.
        given_runs: The runs of tuned arms at the rates that they were given, labelled `constant@0.01` or the like.
    """

    runs: tuple[StoredRun, ...]
    tries: pd.DataFrame
    chosen: pd.DataFrame
    given_runs: tuple[StoredRun, ...]


def read_search(folder: ResultsFolder, spec: Spec, runs: Sequence[StoredRun], bounds: BoundsTable) -> Search:
    """Return how the rates of tuned arms were found.

    Raises:
        ResultsError: If a tuned arm was trained, but its search is not finished.
    """
    stored = read_search_runs(folder, spec)
    tries = search_table(spec, stored)
    chosen = _chosen_table(spec, tries, bounds)
    labels = {given_label(spec, arm) for arm in spec.tuned_arms}
    as_given = set(chosen[chosen["given_lr"] == chosen["lr"]][["backend", "arm"]].itertuples(index=False, name=None))
    given_runs = (
        *(run for run in stored if run.key.seed in spec.seeds and run.key.arm in labels),
        *(run.standing_for(given_label(spec, run.key.arm)) for run in runs if run.key[:2] in as_given),
    )
    found = Search(tuple(stored), tries, chosen, given_runs)
    _check_finished(folder, spec, runs, found)
    return found


def read_search_runs(folder: ResultsFolder, spec: Spec) -> list[StoredRun]:
    """Return the runs in the search folder of an experiment that its tuned arms ask for; none where it has none."""
    search = folder.search()
    runs = search.counted_runs() if search.has_runs() else []
    return [run for run in runs if run.key.backend in spec.backends and run.key.arm in _names(spec, run)]


def tries_by_arm(spec: Spec, search: Search) -> dict[tuple[str, str], list[StoredRun]]:
    """Return the runs that tried rates, by backend and arm."""
    found: dict[tuple[str, str], list[StoredRun]] = {}
    for run in search.runs:
        if run.key.seed not in spec.seeds:
            found.setdefault((run.spec.backend, _names(spec, run)[run.key.arm]), []).append(run)
    return found


def search_table(spec: Spec, runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return the tries, a row each: validation accuracy and loss at the end, and the updates made.

    Where the metric of the verdict is one that only a script knows, its value on validation rows stands in a further column.
    """
    backends, arms = list(spec.backends), list(spec.arms)
    tries = [(_try(spec, run), run) for run in runs if run.key.seed not in spec.seeds]
    tries.sort(key=lambda one: (backends.index(one[0].backend), arms.index(one[0].arm), one[0].lr, one[0].seed))
    table = pd.DataFrame([row for row, _ in tries], columns=list(SEARCH_COLUMNS))
    own = validation_metric(spec)
    return table if own is None else table.assign(**{own: [_own_value(spec, run, own) for _, run in tries]})


def scores(spec: Spec, tries: pd.DataFrame) -> dict[RateKey, dict[float, float]]:
    """Return the score of each rate tried, by backend and arm: the mean over its seeds."""
    scored = tries.assign(score=_score(spec, tries))
    means = scored.groupby(["backend", "arm", "lr"], sort=False, as_index=False)["score"].mean()
    found: dict[RateKey, dict[float, float]] = {}
    for backend, arm, rate, mean in means.itertuples(index=False, name=None):
        found.setdefault((backend, arm), {})[rate] = mean
    return found


def best_rate(spec: Spec, by_rate: Mapping[float, float]) -> Choice:
    """Return the best of the rates of one arm by their scores."""
    return choose(by_rate, higher_is_better=is_accuracy(spec.verdict.metric))


def _score(spec: Spec, tries: pd.DataFrame) -> pd.Series[float]:
    """Return the score of every try: validation accuracy or loss, as the metric of the verdict is one or not.

    Where a script writes only the other one, that stands for it, with its sign turned. A metric that only the script knows is
    its own score, where the script writes it for validation rows.
    """
    own = score_metric(spec, tries)
    if own is not None:
        same_way = spec.higher_is_better(spec.verdict.metric) == is_accuracy(spec.verdict.metric)
        return tries[own] if same_way else -tries[own]
    wanted = ("validation_accuracy", "validation_loss")
    first, other = wanted if is_accuracy(spec.verdict.metric) else wanted[::-1]
    turned = spec.train is not None and not np.isfinite(tries[first].to_numpy(np.float64)).any()
    return -tries[other] if turned else tries[first]


def score_metric(spec: Spec, tries: pd.DataFrame) -> str | None:
    """Return the metric that only a script knows, and that rates are chosen by; None where some try has no value in it."""
    own = validation_metric(spec)
    return None if own is None or tries.empty or tries[own].isna().any() else own


def _own_value(spec: Spec, run: StoredRun, metric: str) -> float:
    """Return a metric at the end of a try: nan where the script has not written it, and the worst where it has diverged."""
    if run.has_diverged:
        return -np.inf if spec.higher_is_better(spec.verdict.metric) else np.inf
    return float(run.evaluations[metric].iloc[-1]) if metric in run.evaluations else np.nan


def _chosen_table(spec: Spec, tries: pd.DataFrame, bounds: BoundsTable) -> pd.DataFrame:
    """Return the rate chosen for each tuned arm on each backend, and what the search for it took."""
    rows = []
    for (backend, arm), by_rate in scores(spec, tries).items():
        choice = best_rate(spec, by_rate)
        here = of_arm(tries, backend, arm)
        known = not spec.arms[arm].schedule.needs_range_test or (backend, range_test_group(spec, arm).arm) in bounds
        given = given_rate(spec, arm, backend, bounds) if known else np.nan
        rows.append((backend, arm, given, choice.rate, len(here), choice.at_edge, int(here["steps"].sum())))
    return pd.DataFrame(rows, columns=list(CHOSEN_COLUMNS))


def _try(spec: Spec, run: StoredRun) -> Try:
    last = run.evaluations.iloc[-1]
    accuracy, loss = (
        diverged_value(metric, run.record.num_classes) if run.has_diverged else float(last[metric])
        for metric in ("validation_accuracy", "validation_loss")
    )
    arm = _names(spec, run)[run.key.arm]
    return Try(run.spec.backend, arm, _rate(run), run.key.seed, accuracy, run.updates_made, loss)


def _names(spec: Spec, run: StoredRun) -> dict[str, str]:
    """Return each tuned arm by what it is called at the rate of a run of the search, and at the rate given."""
    return {name: arm for arm in spec.tuned_arms for name in (at_rate(arm, _rate(run)), given_label(spec, arm))}


def _rate(run: StoredRun) -> float:
    return float(cast(Schedule, run.spec.schedule).rate)


def _check_finished(folder: ResultsFolder, spec: Spec, runs: Sequence[StoredRun], found: Search) -> None:
    """Raise ResultsError where a tuned arm has runs, but the tries or the runs at the rate given are missing."""
    tried = set(found.chosen[["backend", "arm"]].itertuples(index=False, name=None))
    given = {run.key[:2] for run in found.given_runs}
    baselines = {baseline for _, baseline in comparisons(spec)}
    for backend, arm in dict.fromkeys(run.key[:2] for run in runs if run.key.arm in spec.tuned_arms):
        label = given_label(spec, arm)
        if (backend, arm) not in tried or (label in baselines and (backend, label) not in given):
            what = f"the search for the rate of {arm} on {backend}"
            raise ResultsError(f"{folder.search().root}: {what} is not finished; run `clrbench compare` again")
