"""Whether anybody looked for the rate of a baseline, or it is only one that was typed in or suggested."""

import numpy as np

from clrbench.analysis.metrics import of_arm
from clrbench.analysis.pairs import Contest
from clrbench.analysis.results import Results
from clrbench.planning.runs import range_test_group
from clrbench.planning.tuning import labelled_arm


def is_untuned(results: Results, contest: Contest) -> bool:
    """Return whether the rate of the baseline was neither tuned, nor confirmed, nor given with the `steps` that found it.

    A tuned arm at the rate that it was given is untuned unless the search chose that very rate.
    """
    arm = labelled_arm(results.spec, contest.baseline)
    if arm in results.spec.tuned_arms and _is_chosen(results, contest.backend, arm, given=arm != contest.baseline):
        return False
    schedule = results.spec.arms[arm].schedule
    if schedule.needs_range_test:
        return not _is_confirmed(results, contest.backend, arm)
    return schedule.found_steps is None


def _is_confirmed(results: Results, backend: str, arm: str) -> bool:
    """Return whether a range test has trained at the rates of an arm, rather than read them off a curve."""
    test = results.range_tests.get(range_test_group(results.spec, arm).arm)
    found = None if test is None else {str(name): rates for name, rates in test.bounds.items()}.get(backend)
    return found is not None and found.confirmed and results.spec.arms[arm].schedule.takes_tried_rates


def _is_chosen(results: Results, backend: str, arm: str, *, given: bool) -> bool:
    """Return whether a search chose the rate of a tuned arm, or even the one given; one that diverged throughout chose none."""
    tries, chosen = (of_arm(table, backend, arm) for table in (results.search.tries, results.search.chosen))
    if np.isinf(tries["validation_loss"].to_numpy(np.float64)).all():  # and where there are none
        return False
    return not given or bool((chosen["given_lr"] == chosen["lr"]).any())
