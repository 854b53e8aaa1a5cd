"""What looks cost, and which seeds they leave out."""

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import pytest
from look_samples import Folder, half_way, indexes, looked, seeds
from runs_in_memory import results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.comparison import comparison_table, evidence_table
from clrbench.analysis.looks import (
    left_out_seeds,
    said_verdict,
    unasked_seeds,
    with_look,
)
from clrbench.analysis.pairs import Contest
from clrbench.analysis.results import LookedAt, Results
from clrbench.stats import pairs_needed
from clrbench.store import RunKey

CLR = Contest("torch", "clr", "constant")


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
