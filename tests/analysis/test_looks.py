"""What looks cost, which seeds they leave out, and how often somebody who keeps looking is told of a difference that is none."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, reduce
from itertools import product
from typing import Any, cast

import numpy as np
import pytest
from runs_in_memory import results_of, stored_run
from specs import CONSTANT
from store_samples import sample_look

from clrbench.analysis.comparison import comparison_table, evidence_table
from clrbench.analysis.looks import (
    RISK_OVER_LOOKS,
    left_out_seeds,
    looked_at,
    risk_over_looks,
    said_verdict,
    unasked_seeds,
    with_look,
)
from clrbench.analysis.pairs import Contest
from clrbench.analysis.results import LookedAt, Results
from clrbench.records import DoubleArray
from clrbench.stats import compare_paired, pairs_needed
from clrbench.store import Look, ResultsFolder, RunKey

CLR = Contest("torch", "clr", "constant")


def indexes(*looks: Look) -> list[tuple[int, str]]:
    """Return index and status of each look, when it is taken."""
    taken, found = (), []
    for look in looks:
        taken = with_look(taken, look)
        (kept,) = (one for one in taken if one.is_same_as(look))
        found.append((kept.index, kept.status))
    return found


def seeds(number: int, **changes: Any) -> Look:
    """Return a look at the first seeds."""
    return sample_look(*range(number), **changes)


def half_way(finished: int, asked: int, **changes: Any) -> Look:
    """Return a look at an experiment of which so many pairs of all are finished."""
    others = {"asked_seeds": tuple(range(asked)), "status": "pending"}
    return seeds(finished, **{**others, **changes})


# What is charged.


def test_each_set_of_seeds_is_charged_once_by_its_own_index() -> None:
    found = indexes(seeds(6), seeds(8), seeds(6), seeds(10), seeds(8), seeds(6))
    assert found == [(1, "charged"), (2, "charged"), (1, "charged"), (3, "charged"), (2, "charged"), (1, "charged")]


def test_looks_that_could_not_decide_are_free() -> None:
    assert indexes(seeds(2), seeds(5), seeds(6)) == [(1, "free"), (1, "free"), (1, "charged")]
    # The second look needs seven pairs, as 2 / 2**6 is above 0.05 / 2.
    assert indexes(seeds(7), seeds(6), seeds(8)) == [(1, "charged"), (2, "free"), (2, "charged")]


def test_comparisons_that_share_the_level_need_more_pairs() -> None:
    two = {"comparisons": ("clr - constant", "third - constant")}
    assert indexes(seeds(6, **two), seeds(7, **two)) == [(1, "free"), (1, "charged")]


def test_a_free_look_that_is_taken_again_stays_free_and_is_kept_once() -> None:
    looks = reduce(with_look, [seeds(3), seeds(8), seeds(3), seeds(3)], ())
    assert [(look.num_pairs, look.index, look.status) for look in looks] == [(3, 2, "free"), (8, 1, "charged")]


@pytest.mark.parametrize(
    "change", [{"metric": "test_loss"}, {"margin": 0.01}, {"alpha": 0.1}, {"runs": "others"}], ids=str
)
def test_a_changed_question_is_a_look_and_the_old_one_keeps_its_index(change: dict[str, Any]) -> None:
    changed = seeds(10, **change)
    assert indexes(seeds(10), changed, seeds(10), changed) == [(1, "charged"), (2, "charged")] * 2


def test_each_backend_has_looks_of_its_own() -> None:
    assert indexes(seeds(6), seeds(6, backend="keras"), seeds(8)) == [(1, "charged"), (1, "charged"), (2, "charged")]


def test_free_looks_at_another_metric_cost_one_look_as_the_metric_was_chosen_by_them() -> None:
    loss = {"metric": "test_loss"}
    assert indexes(seeds(3), seeds(5), seeds(8, **loss)) == [(1, "free"), (1, "free"), (2, "charged")]
    assert indexes(seeds(5), seeds(5, metric="train_loss"), seeds(8, **loss))[-1] == (3, "charged")
    # One that is paid for already is not paid for again; nor is another margin, which no better or worse depends on.
    assert indexes(seeds(5), seeds(8), seeds(8, **loss))[-1] == (2, "charged")
    assert indexes(seeds(5, margin=0.01), seeds(8)) == [(1, "free"), (1, "charged")]


# An experiment that is not finished.


def test_a_look_half_way_charges_nothing_where_the_experiment_is_then_finished_as_planned() -> None:
    assert indexes(half_way(6, 10), half_way(8, 10), seeds(10)) == [(1, "pending"), (1, "pending"), (1, "charged")]
    assert indexes(half_way(6, 10), seeds(10), seeds(12)) == [(1, "pending"), (1, "charged"), (2, "charged")]


@pytest.mark.parametrize("cut", [6, 8, 9, 12])
def test_looks_half_way_are_charged_where_the_seeds_are_then_others_than_planned(cut: int) -> None:
    found = indexes(half_way(6, 10), half_way(8, 10), seeds(cut))
    assert found[-1] == ((3, "charged") if cut >= pairs_needed(0.05 / 3) else (3, "free"))


def test_a_plan_that_is_kept_after_all_costs_what_was_decided_only() -> None:
    assert indexes(half_way(8, 20), seeds(9), seeds(20)) == [(1, "pending"), (2, "charged"), (2, "charged")]


@pytest.mark.parametrize(
    "change", [{"metric": "test_loss"}, {"margin": 0.01}, {"alpha": 0.1}, {"comparisons": ("a - b",)}], ids=str
)
def test_a_question_that_is_changed_half_way_is_another_plan(change: dict[str, Any]) -> None:
    assert indexes(half_way(8, 10), seeds(10, **change)) == [(1, "pending"), (2, "charged")]


def test_too_few_pairs_half_way_are_free_whatever_comes_then() -> None:
    assert indexes(half_way(5, 10), seeds(7)) == [(1, "free"), (1, "charged")]


def test_a_backend_that_waited_for_another_is_charged_once() -> None:
    waiting = seeds(8, status="pending")
    looks = reduce(with_look, [waiting, waiting, seeds(8)], ())
    assert [(look.index, look.status) for look in looks] == [(1, "charged")]
    # And waits again, for a third one: it was decided before, and stays so.
    assert with_look(looks, waiting) == looks


# Which seeds are left out.


def pairs(numbers: Iterable[int], **spec: Any) -> Results:
    runs = [stored_run(arm, seed) for seed in numbers for arm in ("constant", "clr")]
    return results_of(runs, **spec)


@pytest.mark.parametrize(
    ("shown", "asked", "left_out"),
    [
        ([], [0, 1], []),
        ([0, 1], [0, 1], []),
        ([0, 1], [0, 1, 2], []),
        ([0, 1, 2], [0, 1], [2]),
        ([0, 1], [2, 3], [0, 1]),
        ([0, 3, 9], [3, 4], [0, 9]),
    ],
)
def test_seeds_that_were_shown_and_are_not_asked_for_are_left_out(
    shown: list[int], asked: list[int], left_out: list[int]
) -> None:
    results = pairs(asked, seeds=asked).with_looks({"torch": LookedAt(1, frozenset(shown))})
    assert left_out_seeds(results, CLR) == left_out
    assert evidence_table(results)["left_out_seeds"].tolist() == [" ".join(map(str, left_out))]


def test_a_pair_that_counted_and_has_mixed_provenance_now_is_left_out() -> None:
    other = {"made_with": {"versions": {"torch": "2"}}}
    runs = [stored_run("constant", 0), stored_run("clr", 0, **other), stored_run("constant", 1), stored_run("clr", 1)]
    results = results_of(runs)
    assert left_out_seeds(results, CLR) == []
    assert left_out_seeds(results.with_looks({"torch": LookedAt(1, frozenset({0, 1}))}), CLR) == [0]


def test_runs_that_are_missing_are_not_left_out_but_unfinished() -> None:
    results = pairs([0], seeds=2).with_looks({"torch": LookedAt(1, frozenset({0, 1}))})
    assert (left_out_seeds(results, CLR), results.num_missing_runs) == ([], 2)


@pytest.mark.parametrize("word", ["better", "worse", "equivalent", "no difference shown", "cannot tell"])
def test_the_words_that_may_be_said(word: str) -> None:
    unsure = "cannot tell" if word == "cannot tell" else "no difference shown"
    assert said_verdict(word, left_out=[], num_missing_runs=0) == word
    assert said_verdict(word, left_out=[3], num_missing_runs=0) == unsure
    assert said_verdict(word, left_out=[], num_missing_runs=1) == "cannot tell"
    assert said_verdict(word, left_out=[3], num_missing_runs=1) == "cannot tell"


def test_finished_pairs_that_no_look_has_shown_are_found_on_the_disk() -> None:
    stored = [RunKey("torch", arm, seed) for arm in ("constant", "clr") for seed in range(5)]
    stored += [RunKey("torch", "constant", 8), RunKey("keras", "clr", 9), RunKey("torch", "dropped", 9)]
    looked = {"torch": LookedAt(1, frozenset({4}))}
    spec = pairs([0, 1], seeds=2)
    results = Results(spec.spec, spec.runs, spec.search, {}, frozenset(stored), looked)
    assert unasked_seeds(results) == {"torch": [2, 3]}
    assert unasked_seeds(spec) == {}


def test_every_metric_of_an_unfinished_experiment_is_without_a_verdict() -> None:
    runs = [stored_run(arm, seed, {10: end}) for seed in range(7) for arm, end in (("constant", 0.7), ("clr", 0.8))]
    whole, more = results_of(runs, seeds=7), results_of(runs, seeds=8)
    left_out = whole.with_looks({"torch": LookedAt(1, frozenset(range(9)))})
    assert set(comparison_table(whole)["verdict"]) >= {"better", "no difference shown"}
    assert set(comparison_table(more)["verdict"]) == {"cannot tell"}
    assert set(comparison_table(left_out)["verdict"]) == {"no difference shown"}
    assert evidence_table(more)["num_missing_runs"].tolist() == [2]


# What is recorded.


class Folder:
    """The looks that a folder would keep."""

    def __init__(self) -> None:
        self.looks: tuple[Look, ...] = ()

    def record_looks(self, change: Callable[[tuple[Look, ...]], tuple[Look, ...]]) -> tuple[Look, ...]:
        self.looks = change(self.looks)
        return self.looks


def looked(results: Results, folder: Folder) -> Results:
    # Of a folder, `looked_at` takes nothing but `record_looks`.
    return looked_at(results, cast(ResultsFolder, folder))


def look_at(folder: Folder, results: Results) -> LookedAt:
    return looked(results, folder).looks["torch"]


def test_a_look_holds_what_was_asked_and_what_was_shown() -> None:
    folder = Folder()
    spec = {"seeds": (3, 1, 2), "verdict": {"metric": "test_loss", "margin": 0.01, "alpha": 0.1}}
    assert look_at(folder, pairs([3, 1], **spec)) == LookedAt(1, frozenset({1, 3}))
    (look,) = folder.looks
    assert (look.backend, look.metric, look.margin, look.alpha) == ("torch", "test_loss", 0.01, 0.1)
    assert (look.asked_seeds, look.shown_seeds, look.comparisons) == ((1, 2, 3), (1, 3), ("clr - constant",))
    assert (look.num_pairs, look.status) == (2, "free")


def test_a_pair_of_a_loss_that_diverged_could_not_help_to_decide() -> None:
    runs = [stored_run("constant", seed) for seed in range(6)]
    runs += [stored_run("clr", seed, {10: np.nan if seed == 0 else 0.5}) for seed in range(6)]
    for metric, status in (("test_loss", "free"), ("test_accuracy", "charged")):
        folder = Folder()
        look_at(folder, results_of(runs, seeds=6, verdict={"metric": metric}))
        assert [look.status for look in folder.looks] == [status]


def test_seeds_of_a_single_run_are_shown_too_and_those_of_mixed_pairs_are_not() -> None:
    other = {"made_with": {"versions": {"torch": "2"}}}
    runs = [stored_run("constant", seed) for seed in range(3)] + [stored_run("clr", 0), stored_run("clr", 1, **other)]
    folder = Folder()
    look_at(folder, results_of(runs, seeds=3))
    assert folder.looks[0].shown_seeds == (0, 2)
    look_at(one_arm := Folder(), results_of(runs[:3], seeds=3, arms={"constant": CONSTANT}))
    assert [(look.shown_seeds, look.status) for look in one_arm.looks] == [((0, 1, 2), "free")]


def test_other_names_of_the_same_runs_are_the_same_look_and_other_runs_are_not() -> None:
    def compared(first: str, second: str, identity: str = "b", **spec: Any) -> Results:
        runs = [
            stored_run(arm, seed, identity=f"{arm_id} {seed}")
            for arm, arm_id in ((first, "a"), (second, identity))
            for seed in range(7)
        ]
        return results_of(runs, seeds=7, arms={first: CONSTANT, second: CONSTANT}, **spec)

    folder = Folder()
    assert look_at(folder, compared("constant", "clr")).index == 1
    assert look_at(folder, compared("renamed", "clr")).index == 1
    assert look_at(folder, compared("clr", "constant", baseline="constant")).index == 1
    assert look_at(folder, compared("constant", "clr", identity="c")).index == 2
    assert look_at(folder, compared("constant", "clr")).index == 1


def test_arms_that_come_or_go_are_another_look() -> None:
    def compared(*arms: str) -> Results:
        runs = [stored_run(arm, seed, identity=f"{arm} {seed}") for arm in arms for seed in range(8)]
        return results_of(runs, seeds=8, arms=dict.fromkeys(arms, CONSTANT))

    folder = Folder()
    found = [look_at(folder, compared(*arms)).index for arms in ("ab", "abc", "ab", "abc", "ac")]
    assert found == [1, 2, 1, 2, 3]


# Somebody who keeps looking, where there is no difference.

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
