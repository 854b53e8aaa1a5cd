"""How often somebody who keeps looking is told of a difference that is none."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product

import numpy as np
import pytest
from look_samples import Folder, half_way, indexes, looked, seeds
from runs_in_memory import results_of, stored_run

from clrbench.analysis.comparison import comparison_table
from clrbench.analysis.looks import (
    RISK_OVER_LOOKS,
    risk_over_looks,
)
from clrbench.records import DoubleArray
from clrbench.stats import compare_paired
from clrbench.store import Look

GENERATORS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], DoubleArray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t, 2 degrees of freedom": lambda rng, shape: rng.standard_t(2, shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "rows of 100": lambda rng, shape: rng.binomial(100, 0.9, shape) / 100.0 - rng.binomial(100, 0.9, shape) / 100.0,
}
MAX_RISK = 0.07


def p_values(differences: DoubleArray) -> DoubleArray:
    """Return the exact p of float64[experiments, pairs] differences: the share of the signs that are as extreme."""
    num_pairs = differences.shape[1]
    if num_pairs > 14:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (2**13, num_pairs))
        signs[0] = 1
    else:
        signs = np.array([(1.0, *others) for others in product([1.0, -1.0], repeat=num_pairs - 1)])
    found = []
    for part in np.array_split(differences, 50):
        tolerance = 1e-9 * np.abs(part).max(axis=1, keepdims=True)
        extreme = np.abs(part @ signs.T) >= np.abs(part.sum(axis=1, keepdims=True)) - tolerance
        found.append(extreme.mean(axis=1))
    return np.concatenate(found)


def risk(looks: Sequence[Look], found: Sequence[DoubleArray]) -> float:
    """Return how often one of these looks, taken one after the other, says better or worse.

    Args:
        found: For each look, the p of each experiment.
    """
    levels = [
        look.alpha / index if status == "charged" else 0.0
        for look, (index, status) in zip(looks, indexes(*looks), strict=True)
    ]
    said = [p_value <= level for p_value, level in zip(found, levels, strict=True)]
    return float(np.any(said, axis=0).mean())


def allowed(num_experiments: int) -> float:
    """Return the highest share that simulation error leaves of the highest risk."""
    return float(MAX_RISK + 4 * np.sqrt(MAX_RISK * (1 - MAX_RISK) / num_experiments))


@pytest.mark.parametrize("name", GENERATORS)
def test_the_p_of_these_simulations_is_that_of_clrbench(name: str) -> None:
    for num_pairs in (5, 8, 12):
        drawn = GENERATORS[name](np.random.default_rng(3), (50, num_pairs))
        expected = [compare_paired(row, np.zeros(num_pairs)).p_value for row in drawn]
        np.testing.assert_allclose(p_values(drawn), expected, atol=1e-12)


PLANS = {
    "one seed more": range(2, 21),
    "two seeds more": range(6, 21, 2),
    "from ten on": range(10, 21),
    "five more": (5, 10, 15, 20),
    "twice": (6, 20),
    "ten and twenty": (10, 20),
    "three looks": (7, 12, 20),
}


@cache
def by_pairs(name: str, num_experiments: int, most: int) -> dict[int, DoubleArray]:
    """Return the p of each experiment with its first 2, 3, ... pairs."""
    drawn = GENERATORS[name](np.random.default_rng([7, most]), (num_experiments, most))
    return {number: p_values(drawn[:, :number]) for number in range(2, most + 1)}


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("plan", [range(2, 13), (6, 12), (8, 12)], ids=str)
def test_adding_seeds_until_something_shows_keeps_the_risk(name: str, plan: Sequence[int]) -> None:
    found = by_pairs(name, 2000, 12)
    assert risk([seeds(number) for number in plan], [found[number] for number in plan]) <= allowed(2000)


@pytest.mark.acceptance
@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_adding_seeds_up_to_twenty_keeps_the_risk(name: str, plan: Sequence[int]) -> None:
    found = by_pairs(name, 10_000, 20)
    assert risk([seeds(number) for number in plan], [found[number] for number in plan]) <= allowed(10_000)


@pytest.mark.parametrize("name", GENERATORS)
def test_looking_half_way_and_stopping_when_it_suits_keeps_the_risk(name: str) -> None:
    num_experiments, plan = 4000, 12
    drawn = GENERATORS[name](np.random.default_rng(11), (num_experiments, plan))
    found = {number: p_values(drawn[:, :number]) for number in range(6, plan + 1)}
    said = np.zeros(num_experiments, bool)
    for number in range(6, plan):
        # Stopped at the first look half-way that shows something: what was seen up to then is charged.
        peeks = [half_way(seen, plan) for seen in range(6, number + 1)]
        index, status = indexes(*peeks, seeds(number))[-1]
        said |= (found[number] <= 0.05 / index) & (status == "charged")
    said |= found[plan] <= 0.05
    assert said.mean() <= allowed(num_experiments)
    # Were the looks half-way free whatever comes then, it would be far more.
    assert np.any([p_value <= 0.05 for p_value in found.values()], axis=0).mean() > 1.3 * MAX_RISK


@pytest.mark.parametrize(("num_metrics", "correlation"), [(2, 0.5), (2, 0.9), (3, 0.9)])
@pytest.mark.parametrize("name", ["normal", "Laplace"])
@pytest.mark.parametrize("number", [6, 8, 12])
def test_changing_the_metric_for_the_one_that_shows_most_keeps_the_risk(
    name: str, num_metrics: int, correlation: float, number: int
) -> None:
    num_experiments = 3000
    drawn = GENERATORS[name](np.random.default_rng([13, number]), (num_experiments, number, num_metrics + 1))
    shared = np.sqrt(correlation) * drawn[:, :, :1] + np.sqrt(1 - correlation) * drawn[:, :, 1:]
    found = np.array([p_values(shared[:, :, metric]) for metric in range(num_metrics)])
    # The metric of the spec first, then the others, the one with the smallest p first.
    looks = [seeds(number, metric=f"metric_{metric}") for metric in range(num_metrics)]
    assert risk(looks, [found[0], *np.sort(found[1:], axis=0)]) <= allowed(num_experiments)


@pytest.mark.parametrize("number", [6, 10])
def test_changing_the_margin_back_and_forth_adds_nothing_to_the_risk(number: int) -> None:
    drawn = GENERATORS["normal"](np.random.default_rng(17), (3000, number))
    looks = [seeds(number, margin=margin) for margin in (0.001, 0.01, 0.001, 0.1, 0.01, 0.0)]
    found = p_values(drawn)
    assert risk(looks, [found] * len(looks)) == (found <= 0.05).mean()


@pytest.mark.parametrize("number", [7, 10])
def test_dropping_the_seeds_that_do_not_suit_says_nothing(number: int) -> None:
    rng = np.random.default_rng(19)
    for ends in 0.7 + 0.01 * GENERATORS["normal"](rng, (3, number)):
        kept = np.sort(np.argsort(ends)[number - 6 :]).tolist()
        runs = [
            stored_run(arm, seed, {10: end})
            for seed, value in enumerate(ends)
            for arm, end in (("constant", 0.7), ("clr", value))
        ]
        folder = Folder()
        looked(results_of(runs, seeds=number), folder)
        fewer = results_of([run for run in runs if run.key.seed in kept], seeds=kept)
        table = comparison_table(looked(fewer, folder))
        assert set(table["verdict"]) <= {"no difference shown", "cannot tell"}


def test_the_risk_over_looks_is_that_of_one_look_or_what_was_simulated() -> None:
    assert [risk_over_looks(0.05, 1), risk_over_looks(0.05, 2), risk_over_looks(0.9, 5)] == [
        0.05,
        RISK_OVER_LOOKS * 0.05,
        1.0,
    ]
    assert risk_over_looks(0.05, 3) == pytest.approx(MAX_RISK)
