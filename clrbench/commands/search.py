"""The search for the rates of tuned arms."""

from collections.abc import Iterable, Mapping

from clrbench.analysis.search import best_rate, read_search_runs, scores, search_table
from clrbench.execution.runner import Runner
from clrbench.planning.runs import BoundsTable
from clrbench.planning.tuning import RateKey, extended, first_rates, given_runs, search_runs
from clrbench.spec import RunSpec, Spec


def find_rates(runner: Runner, bounds: BoundsTable) -> dict[RateKey, float]:
    """Make the tries of tuned arms, and the runs at the rates given; return the rates chosen, by backend and arm."""
    experiment = runner.experiment
    spec, sizes = experiment.spec, experiment.sizes
    first = first_rates(spec, experiment.backends, bounds)
    chosen: dict[RateKey, float] = {}
    made: list[RunSpec] = []
    with experiment.locating():
        runs = search_runs(spec, sizes, bounds, first)
    # The runs asked for depend on the tries made: first those of the grid, then one more rate where the best lies at its
    # edge, and the runs at the rate given as soon as it is known not to be the one chosen.
    while runs != made:
        runner.make(runner.folder.search(), runs, "search", made=set(made))
        made = runs
        found = scores(spec, search_table(spec, read_search_runs(runner.folder, spec)))
        rates, possible = {}, {}
        for key, grid in first.items():
            rates[key] = extended(spec, key[1], grid, _best(spec, found[key], grid))
            chosen[key] = _best(spec, found[key], rates[key])
            possible[key] = {chosen[key], *rates[key]} - (found[key].keys() - {chosen[key]})
        runs = [*search_runs(spec, sizes, bounds, rates), *given_runs(spec, sizes, bounds, possible)]
        runs.sort(key=lambda run: experiment.backends.index(run.backend))
    return chosen


def _best(spec: Spec, by_rate: Mapping[float, float], rates: Iterable[float]) -> float:
    """Return the best of those rates that have been tried."""
    return best_rate(spec, {rate: by_rate[rate] for rate in rates if rate in by_rate}).rate
