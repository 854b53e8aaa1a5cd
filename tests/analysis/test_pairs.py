"""Which runs are paired, at which epoch, and by how much they differ."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from runs_in_memory import NO_SEARCH, results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.pairs import (
    DIFFERENCE_COLUMNS,
    Contest,
    MixedPair,
    contests,
    differences_table,
    mixed_pairs,
    moved_epochs,
    paired_seeds,
)
from clrbench.analysis.results import Results
from clrbench.analysis.search import Search
from clrbench.layers import BuiltNetwork
from clrbench.store import StoredRun

NAN = math.nan
CONTEST = Contest("torch", "clr", "constant")
TRIANGULAR = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "step_size": "2 steps"}}
"""Cycles of four steps: five steps end amid the second one, and step 4 is the end of the first."""


def five_steps(arm: str, seed: int, accuracy: Sequence[float], **changes: Any) -> StoredRun:
    """Return a run with these accuracies after 2, 4 and 5 steps."""
    return stored_run(arm, seed, dict(zip((2, 4, 5), accuracy, strict=True)), steps_per_epoch=2, **changes)


def differences(results: Results, metric: str) -> Mapping[int, float]:
    table = differences_table(results)
    assert list(table) == list(DIFFERENCE_COLUMNS)
    found = table[table["metric"] == metric]
    return dict(zip(found["seed"], found["difference"], strict=True))


def test_the_pairs_are_the_seeds_that_both_arms_have() -> None:
    runs = [stored_run("constant", seed, {5: 0.75}) for seed in (0, 2, 3)]
    runs += [stored_run("clr", seed, {5: 0.5}) for seed in (3, 1, 0)]
    results = results_of(runs)
    assert paired_seeds(results) == {CONTEST: [3, 0]}
    assert differences(results, "test_accuracy") == {3: -0.25, 0: -0.25}
    assert differences(results, "test_loss") == {3: 0.25, 0: 0.25}
    assert differences(results, "validation_accuracy") == {}


def test_every_backend_has_its_own_pairs() -> None:
    runs = [
        stored_run(arm, 0, {5: 0.5}, backend=backend) for backend in ("torch", "keras") for arm in ("constant", "clr")
    ]
    arms = {"constant": CONSTANT, "clr": CONSTANT, "third": CONSTANT}
    results = results_of(runs, arms=arms, backends=("torch", "keras"))
    assert contests(results) == [
        Contest(backend, arm, "constant") for backend in ("torch", "keras") for arm in ("clr", "third")
    ]
    assert differences_table(results)[["backend", "candidate"]].drop_duplicates().to_numpy().tolist() == [
        ["torch", "clr"],
        ["keras", "clr"],
    ]


def test_a_diverged_run_counts_as_a_blind_guess_in_accuracy_and_drops_its_pair_in_loss() -> None:
    runs = [stored_run("constant", seed, {5: 0.5}) for seed in range(2)]
    runs += [stored_run("clr", 0, {2: 0.5, 5: NAN}), stored_run("clr", 1, {5: 0.75})]
    results = results_of(runs)
    assert differences(results, "test_accuracy") == {0: 0.25 - 0.5, 1: 0.25}
    assert differences(results, "test_loss") == {1: -0.25}


def test_balanced_accuracy_has_values_of_its_own_and_a_diverged_run_is_a_blind_guess_there_too() -> None:
    runs = [
        five_steps("constant", 0, [0.1, 0.2, 0.9], balanced=[0.1, 0.2, 0.5]),
        five_steps("clr", 0, [0.1, 0.2, 0.7], balanced=[0.1, 0.2, 0.8]),
        five_steps("constant", 1, [0.1, 0.2, 0.9], balanced=[0.1, 0.2, 0.75]),
        five_steps("clr", 1, [0.1, NAN, NAN]),
    ]
    found = results_of(runs)
    assert differences(found, "test_balanced_accuracy") == pytest.approx({0: 0.3, 1: 1 / 4 - 0.75})
    assert differences(found, "test_accuracy") == pytest.approx({0: -0.2, 1: 1 / 4 - 0.9})


def test_two_diverged_runs_are_equal_in_accuracy_and_no_pair_in_loss() -> None:
    runs = [stored_run(arm, 0, {2: 0.5, 5: NAN}) for arm in ("constant", "clr")]
    runs.append(stored_run("constant", 1, {5: 0.5}))
    assert differences(results_of(runs), "test_accuracy") == {0: 0.0}
    assert differences(results_of(runs), "test_loss") == {}


def test_what_no_run_was_evaluated_on_has_no_pair_even_of_diverged_runs() -> None:
    runs = [stored_run(arm, 0, {2: 0.5, 5: NAN}) for arm in ("constant", "clr")]
    assert differences(results_of(runs), "validation_accuracy") == {}


def test_a_pair_of_two_versions_is_left_out_and_named() -> None:
    runs = [stored_run("constant", seed, {5: 0.5}) for seed in range(7)]
    runs += [
        stored_run("clr", seed, {5: 0.75}, made_with={"versions": {"torch": "2" if seed == 3 else "1"}})
        for seed in range(7)
    ]
    results = results_of(runs)
    assert list(differences(results, "test_accuracy")) == [0, 1, 2, 4, 5, 6]
    assert mixed_pairs(results) == [MixedPair(CONTEST, 3)]


def test_a_pair_of_a_network_of_ones_own_that_started_from_other_weights_is_left_out() -> None:
    def network(arm: str, seed: int) -> BuiltNetwork:
        return BuiltNetwork(f"{seed}{arm if seed == 1 else ''}", 10, draws=False, is_seeded=True)

    runs = [
        stored_run(arm, seed, {5: 0.5}, made_with={"network": network(arm, seed)})
        for seed in range(3)
        for arm in ("constant", "clr")
    ]
    results = results_of(runs)
    assert mixed_pairs(results) == [MixedPair(CONTEST, 1)]
    assert list(differences(results, "test_accuracy")) == [0, 2]


def test_mixed_pairs_stand_in_the_order_of_comparisons_and_backends() -> None:
    runs = [
        stored_run(arm, seed, {5: 0.5}, backend=backend, made_with={"versions": {backend: arm}})
        for backend in ("torch", "keras")
        for seed in range(2)
        for arm in ("constant", "clr", "third")
    ]
    arms = {"constant": CONSTANT, "clr": CONSTANT, "third": CONSTANT}
    assert mixed_pairs(results_of(runs, arms=arms, backends=("torch", "keras"))) == [
        MixedPair(Contest(backend, arm, "constant"), seed)
        for arm in ("clr", "third")
        for backend in ("torch", "keras")
        for seed in range(2)
    ]


def test_arms_are_compared_at_the_last_cycle_end_that_both_were_evaluated_at() -> None:
    runs = [five_steps("constant", 0, [0.4, 0.6, 0.9]), five_steps("clr", 0, [0.4, 0.7, 0.5])]
    results = results_of(runs, arms={"constant": CONSTANT, "clr": TRIANGULAR})
    assert moved_epochs(results) == {CONTEST: 2.0}
    assert differences(results, "test_accuracy") == {0: pytest.approx(0.1)}


@pytest.mark.parametrize("missing", ["constant", "clr"])
def test_without_an_evaluation_at_the_cycle_end_nothing_is_moved(missing: str) -> None:
    runs = [
        stored_run(arm, seed, {2: 0.4, 5: 0.5} if arm == missing and seed else {4: 0.4, 5: 0.5}, steps_per_epoch=2)
        for arm in ("constant", "clr")
        for seed in range(2)
    ]
    assert moved_epochs(results_of(runs, arms={"constant": CONSTANT, "clr": TRIANGULAR})) == {}


def test_a_training_that_ends_with_a_cycle_is_compared_at_its_end() -> None:
    runs = [stored_run(arm, 0, {2: 0.4, 4: 0.5}, steps_per_epoch=2) for arm in ("constant", "clr")]
    assert moved_epochs(results_of(runs, arms={"constant": CONSTANT, "clr": TRIANGULAR})) == {}


def test_a_tuned_baseline_is_moved_under_its_label_at_the_rate_given_too() -> None:
    clr = {"schedule": {**TRIANGULAR["schedule"], "max_lr": [0.1, 0.2]}}
    given = Search((), NO_SEARCH.tries, NO_SEARCH.chosen, (five_steps("clr@0.1", 0, [0.4, 0.7, 0.5]),))
    runs = [five_steps(arm, 0, [0.4, 0.6, 0.9]) for arm in ("clr", "constant")]
    results = results_of(runs, given, arms={"clr": clr, "constant": CONSTANT}, baseline="clr")
    assert moved_epochs(results) == {
        Contest("torch", "constant", "clr@0.1"): 2.0,
        Contest("torch", "constant", "clr"): 2.0,
    }
