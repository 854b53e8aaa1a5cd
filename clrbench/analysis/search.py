"""The tries of tuned arms -> their tables, the rates chosen, and what is to be said about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.metrics_table import is_accuracy, run_key, run_status
from clrbench.errors import ResultsError
from clrbench.planning.advice import comparisons
from clrbench.planning.runs import BoundsTable, range_test_group
from clrbench.planning.tuning import AT_RATE, Choice, RateKey, choose, given_label, given_rate
from clrbench.records import Bounds
from clrbench.spec import BACKEND_NAMES, Spec
from clrbench.store import ResultsFolder, StoredRun

SEARCH_COLUMNS = ("backend", "arm", "lr", "seed", "validation_accuracy", "steps", "validation_loss")
CHOSEN_COLUMNS = ("backend", "arm", "given_lr", "lr", "tries", "at_edge", "search_steps")


@dataclass(frozen=True)
class Search:
    """How the rates of tuned arms were found.

    Attributes:
        tries: search.csv.
        chosen: chosen.csv.
        runs: Every run of the search folder that counts: the tries, and those at the rates given.
        given_runs: Those that stand for tuned arms at the rates given.
    """

    tries: pd.DataFrame
    chosen: pd.DataFrame
    runs: list[StoredRun]
    given_runs: list[StoredRun]

    def files(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield the name of each file and its table."""
        yield "search.csv", self.tries
        yield "chosen.csv", self.chosen

    @property
    def lines(self) -> list[str]:
        """A sentence for each rate chosen."""
        return [
            f"{row['backend']}: {row['arm']} was tuned on validation rows: the best of {row['rates']} rates is "
            f"{row['lr']:.9g} (given: {row['given_lr']:.9g}); the search took {row['search_steps']} updates."
            for row in self._rows()
        ]

    @property
    def warnings(self) -> list[str]:
        """A sentence for each arm some of whose tries diverged, and for each whose best rate may lie beyond those tried."""
        diverged = [
            f"arm {row['arm']}: {row['diverged']} of {row['tries']} tries of its search on {row['backend']} diverged"
            + ("; no rate is better than another, the lowest stands" if row["diverged"] == row["tries"] else "")
            for row in self._rows()
            if row["diverged"]
        ]
        return diverged + [
            f"arm {row['arm']}: not fully tuned on {row['backend']}: {row['lr']:.9g} is the best rate and the "
            f"{'highest' if row['is_highest'] else 'lowest'} of the {row['rates']} tried; list rates beyond it"
            for row in self._rows()
            if row["at_edge"] and row["diverged"] < row["tries"]
        ]

    def _rows(self) -> Iterator[Mapping[Any, Any]]:
        for row in self.chosen.to_dict("records"):
            here = (self.tries["backend"] == row["backend"]) & (self.tries["arm"] == row["arm"])
            rates = self.tries.loc[here, "lr"]
            diverged = int(np.isinf(self.tries.loc[here, "validation_loss"]).sum())
            yield row | {"rates": rates.nunique(), "is_highest": row["lr"] == rates.max(), "diverged": diverged}


def read_search(folder: ResultsFolder, spec: Spec, runs: Sequence[StoredRun]) -> Search:
    """Return how the rates of tuned arms were found.

    Args:
        folder: Of the experiment.
        spec: The experiment, resolved.
        runs: Its finished runs.

    Raises:
        ResultsError: If a tuned arm was trained, but its search is not finished.
    """
    stored = stored_search(folder, spec)
    tries = search_table(spec, stored)
    chosen = chosen_table(spec, tries, known_bounds(folder, spec))
    made = [run for run in stored if run_key(run)[2] in spec.seeds]
    as_given = set(
        chosen.loc[chosen["given_lr"] == chosen["lr"], ["backend", "arm"]].itertuples(index=False, name=None)
    )
    same = [replace(run, arm=given_label(spec, run_key(run)[1])) for run in runs if run_key(run)[:2] in as_given]
    found = Search(tries, chosen, stored, [*made, *same])
    _check_finished(folder, spec, runs, found)
    return found


def _check_finished(folder: ResultsFolder, spec: Spec, runs: Sequence[StoredRun], found: Search) -> None:
    """Raise ResultsError where a tuned arm has runs, but the tries or the runs at the rate given are missing."""
    tried = set(found.chosen[["backend", "arm"]].itertuples(index=False, name=None))
    given = {run_key(run)[:2] for run in found.given_runs}
    labels = {baseline for _, baseline in comparisons(spec)}
    for backend, arm in dict.fromkeys(run_key(run)[:2] for run in runs):
        if arm not in spec.tuned_arms:
            continue
        label = given_label(spec, arm)
        if (backend, arm) not in tried or (label in labels and (backend, label) not in given):
            raise ResultsError(
                f"{folder.search().root}: the search for the rate of {arm} on {backend} is not finished; run "
                "`clrbench compare` again"
            )


def stored_search(folder: ResultsFolder, spec: Spec) -> list[StoredRun]:
    """Return the runs in the search folder of an experiment that its tuned arms ask for; none where it has none."""
    search = folder.search()
    runs = search.indexed_runs() if search.has_runs() else []
    return [run for run in runs if run_key(run)[0] in spec.backends and _arm_and_rate(run)[0] in spec.tuned_arms]


def search_table(spec: Spec, runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return the tries, a row each: validation accuracy and loss at the end, and the updates made.

    A run that diverged counts as a blind guess: accuracy 1 / classes, infinite loss.
    """
    backends, arms = list(spec.backends), list(spec.arms)
    rows = [_try(run) for run in runs if run_key(run)[2] not in spec.seeds]
    rows.sort(key=lambda row: (backends.index(row[0]), arms.index(row[1]), *row[2:4]))
    return pd.DataFrame(rows, columns=list(SEARCH_COLUMNS))


def _try(run: StoredRun) -> tuple[Any, ...]:
    backend, _, seed = run_key(run)
    last = run.evaluations.iloc[-1]
    arm, rate = _arm_and_rate(run)
    steps = int(run.steps["lr"].notna().sum())
    diverged = run_status(run) == "diverged"
    accuracy = 1 / run.info["num_classes"] if diverged else last["validation_accuracy"]
    loss = np.inf if diverged else last["validation_loss"]
    return backend, arm, float(rate), seed, accuracy, steps, loss


def _arm_and_rate(run: StoredRun) -> tuple[str, str]:
    arm, _, rate = run.info["spec"]["arm"].partition(AT_RATE)
    return arm, rate


def scores(spec: Spec, tries: pd.DataFrame) -> dict[RateKey, dict[float, float]]:
    """Return the score of each rate tried, by backend and arm: the mean over its seeds."""
    column = "validation_accuracy" if is_accuracy(spec.verdict.metric) else "validation_loss"
    means = tries.groupby(["backend", "arm", "lr"], sort=False, as_index=False)[column].mean()
    found: dict[RateKey, dict[float, float]] = {}
    for backend, arm, rate, mean in means.itertuples(index=False, name=None):
        found.setdefault((backend, arm), {})[rate] = mean
    return found


def best_rate(spec: Spec, by_rate: Mapping[float, float]) -> Choice:
    """Return the best of the rates of one arm by their scores."""
    return choose(by_rate, higher_is_better=is_accuracy(spec.verdict.metric))


def chosen_table(spec: Spec, tries: pd.DataFrame, bounds: BoundsTable) -> pd.DataFrame:
    """Return the rate chosen for each tuned arm on each backend, and what the search for it took."""
    rows = []
    for (backend, arm), by_rate in scores(spec, tries).items():
        choice = best_rate(spec, by_rate)
        here = tries[(tries["backend"] == backend) & (tries["arm"] == arm)]
        known = not spec.arms[arm].schedule.needs_range_test or (backend, range_test_group(spec, arm).arm) in bounds
        given = given_rate(spec, arm, backend, bounds) if known else np.nan
        rows.append((backend, arm, given, choice.rate, len(here), choice.at_edge, int(here["steps"].sum())))
    return pd.DataFrame(rows, columns=list(CHOSEN_COLUMNS))


def known_bounds(folder: ResultsFolder, spec: Spec) -> BoundsTable:
    """Return the bounds that the range tests of an experiment found, as they lie on disk."""
    found = {}
    for arm in (None, *spec.arms):
        for backend, bounds in folder.range_test(arm).bounds().items():
            if backend in BACKEND_NAMES and bounds["reason"] is None:
                found[backend, arm] = Bounds(bounds["base_lr"], bounds["max_lr"])
    return found
