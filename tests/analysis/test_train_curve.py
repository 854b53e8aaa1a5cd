"""Training in stretches of mini-batches, from the untrained network to the end or to a divergence."""

import math
from dataclasses import replace

import numpy as np
import pytest
from runs_in_memory import results_of, stored_run

from clrbench.analysis.train_curve import MAX_TRAIN_POINTS, TRAIN_CURVE_COLUMNS, stretches, train_curve
from clrbench.store import StoredRun

NAN = math.nan


def run_with_losses(losses: np.ndarray, *, diverged: bool = False, steps_per_epoch: int = 10) -> StoredRun:
    end = NAN if diverged else 0.5
    run = stored_run("clr", 3, {len(losses): end}, steps_per_epoch=steps_per_epoch)
    return replace(run, steps=run.steps.assign(train_loss=losses, train_accuracy=1 / (1 + losses)))


@pytest.mark.parametrize("num_steps", [1, 2, 3, 49, 50, 51, 60, 450, 6600, 1_000_000])
def test_stretches_cover_every_update_once_and_grow(num_steps: int) -> None:
    starts = stretches(num_steps)
    lengths = np.diff([*starts, num_steps])
    assert starts[0] == 0
    assert lengths[0] == 1
    assert lengths.min() >= 1
    assert lengths.sum() == num_steps
    assert len(starts) <= MAX_TRAIN_POINTS + 1
    # Rounded to whole updates, a stretch is at most one shorter than that before it.
    assert (np.diff(lengths) >= -1).all() or num_steps < 3
    assert lengths.max() <= num_steps / 25 + 1


def test_a_row_is_the_mean_of_its_mini_batches_at_their_middle() -> None:
    losses = np.random.default_rng(0).exponential(size=450)
    table = train_curve(results_of([run_with_losses(losses)]))
    assert tuple(table) == TRAIN_CURVE_COLUMNS
    assert set(table[["backend", "arm", "seed", "status"]].itertuples(index=False, name=None)) == {
        ("torch", "clr", 3, "finished")
    }
    expected = [losses[a : b + 1].mean() for a, b in zip(table["from_step"], table["to_step"], strict=True)]
    np.testing.assert_allclose(table["train_loss"], expected, rtol=1e-12)
    accuracies = 1 / (1 + losses)
    expected = [accuracies[a : b + 1].mean() for a, b in zip(table["from_step"], table["to_step"], strict=True)]
    np.testing.assert_allclose(table["train_accuracy"], expected, rtol=1e-12)
    np.testing.assert_allclose(table["epoch"], (table["from_step"] + table["to_step"]) / 20, rtol=1e-12)


def test_the_first_row_is_the_untrained_network() -> None:
    table = train_curve(results_of([run_with_losses(np.linspace(2.3, 0.1, 600))]))
    first = table.iloc[0]
    assert (first["epoch"], first["from_step"], first["to_step"], first["train_loss"]) == (0, 0, 0, 2.3)


@pytest.mark.parametrize("num_finite", [1, 2, 5, 57])
def test_a_run_that_diverged_goes_as_far_as_it_went(num_finite: int) -> None:
    losses = np.full(60, NAN)
    losses[:num_finite] = 2.0 ** np.arange(num_finite)
    table = train_curve(results_of([run_with_losses(losses, diverged=True)]))
    known = table[table["from_step"] < num_finite]
    assert known["train_loss"].notna().all()
    assert table["train_loss"].notna().sum() == len(known)
    np.testing.assert_allclose(
        (known["train_loss"] * (known["to_step"].clip(upper=num_finite - 1) - known["from_step"] + 1)).sum(),
        2.0**num_finite - 1,
        rtol=1e-12,
    )


def test_a_loss_that_is_infinite_is_no_part_of_a_mean() -> None:
    losses = np.array([2.0, 3.0, math.inf, NAN])
    table = train_curve(results_of([run_with_losses(losses, diverged=True)]))
    np.testing.assert_array_equal(table["train_loss"], [2.0, 3.0, NAN, NAN])


def test_runs_stand_one_after_the_other_and_none_makes_headers_only() -> None:
    runs = [stored_run("clr", seed, {20: 0.5}) for seed in (0, 1)]
    table = train_curve(results_of(runs))
    assert table["seed"].tolist() == [0] * len(stretches(20)) + [1] * len(stretches(20))
    assert tuple(train_curve(results_of([]))) == TRAIN_CURVE_COLUMNS
