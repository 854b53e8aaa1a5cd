"""Suggested bounds against simulated curves of known truth, real curves, and the known faults of other finders."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clrbench.range_test import suggest_bounds

CURVES = Path(__file__).parent / "data" / "range_test"
CHANCE = 0.1


def ramp_of(kind, points):
    return np.linspace(1e-3, 1.0, points) if kind == "linear" else np.geomspace(1e-4, 3.0, points)


def accuracy_of(lr, max_lr, rise, fall):
    """Noise-free accuracy from an onset at max_lr / 12 to a peak of 0.9 at max_lr, then the fall."""
    x, peak = np.log10(lr), math.log10(max_lr)
    share = np.clip((x - peak) / math.log10(12) + 1, 0, 1)
    level = {
        "linear": share,
        "saturating": (1 - np.exp(-3 * share)) / (1 - np.exp(-3)),
        "logistic": (1 / (1 + np.exp(-8 * (share - 0.5))) - 0.018) / 0.964,
    }[rise]
    beyond = np.clip(x - peak, 0, None)
    level = level * {"slow": 1 - 0.4 * beyond, "collapse": np.exp(-beyond / 0.15), "ragged": 1 - 0.2 * beyond}[fall]
    return CHANCE + 0.8 * level.clip(0)


def simulate(rng, kind, points, seeds, noise):
    lr = ramp_of(kind, points)
    max_lr = rng.uniform(0.2, 0.7) if kind == "linear" else 10 ** rng.uniform(-2.0, -0.3)
    rise, fall = rng.choice(["linear", "saturating", "logistic"]), rng.choice(["slow", "collapse", "ragged"])
    clean = accuracy_of(lr, max_lr, rise, fall)
    sd = np.where((lr > max_lr) & (fall == "ragged"), 4 * noise, noise)
    accuracy = (clean + rng.normal(size=(seeds, points)) * sd).clip(0, 1)
    return lr, 2.3 - 2 * clean + 0.1 * rng.normal(size=(seeds, points)) * noise, accuracy, max_lr


def one(lr, clean, noise=0.005, seeds=3):
    rng = np.random.default_rng(0)
    return suggest_bounds(lr, np.full((seeds, len(lr)), 1.0), clean + noise * rng.normal(size=(seeds, len(lr))))


@pytest.mark.acceptance
def test_max_lr_of_simulated_curves_is_found_over_ramps_lengths_seeds_and_noise():
    rng = np.random.default_rng(1)
    errors = []
    for i in range(120):
        kind, points = ("linear", "exponential")[i % 2], (60, 100, 200, 400)[i // 2 % 4]
        lr, loss, accuracy, truth = simulate(
            rng, kind, points, 1 + 2 * (i % 2), (0.002, 0.005, 0.01, 0.02, 0.03)[i % 5]
        )
        found = suggest_bounds(lr, loss, accuracy)
        errors.append(math.nan if found.max_lr is None else abs(math.log10(found.max_lr / truth)))
    given = np.array(errors)[~np.isnan(errors)]
    assert len(given) >= 0.95 * len(errors)
    assert np.median(given) <= 0.03
    assert (given <= 0.15).mean() >= 0.95


@pytest.mark.parametrize("noise", [0.0, 0.002, 0.01])
def test_base_lr_is_where_a_late_rise_sets_in(noise):
    lr = ramp_of("exponential", 100)
    found = one(lr, accuracy_of(lr, 0.3, "linear", "collapse"), noise)
    assert abs(math.log10(found.base_lr / (0.3 / 12))) < 0.15
    assert found.constant_lr == pytest.approx(found.max_lr / 3)


def test_a_rise_that_is_over_by_the_first_points_leaves_base_lr_open():
    lr = np.linspace(0.0177, 1.0, 60)
    clean = 0.97 - 0.45 * np.exp(-(lr - lr[0]) / 0.02) - 0.5 * np.clip(lr - 0.4, 0, None)
    found = one(lr, clean)
    assert (found.base_lr, found.reason) == (None, None)
    assert found.caveats == ("base_lr is not known: accuracy already rises at the first rate tested",)
    assert found.rates == (found.max_lr / 10, found.max_lr)


@pytest.mark.parametrize(
    ("name", "base_lr", "max_lr"),
    [("sgd_momentum_linear", None, (0.15, 0.3)), ("adam_exponential", (1e-5, 5e-5), (2e-3, 2.5e-2))],
)
def test_bounds_of_real_mnist_curves_lie_where_a_reader_of_the_plot_puts_them(name, base_lr, max_lr):
    table = pd.read_csv(CURVES / f"{name}.csv")
    columns = [table.pivot_table(index="seed", columns="lr", values=v) for v in table.columns[2:]]
    found = suggest_bounds(columns[0].columns.to_numpy(), *columns)
    if base_lr is None:  # the first point has risen to .46 already
        assert found.base_lr is None
    else:
        assert base_lr[0] <= found.base_lr <= base_lr[1]
    assert max_lr[0] <= found.max_lr <= max_lr[1]


def test_a_real_curve_whose_end_lr_is_too_low_is_refused():
    table = pd.read_csv(CURVES / "sgd_linear_end_lr_too_low.csv")
    columns = [table.pivot_table(index="seed", columns="lr", values=v) for v in table.columns[2:]]
    found = suggest_bounds(columns[0].columns.to_numpy(), *columns)
    assert found.reason.startswith("never stops rising")


@pytest.mark.parametrize("kind", ["linear", "exponential"])
@pytest.mark.parametrize("noise", [0.0, 0.005, 0.03])
@pytest.mark.parametrize(
    ("reason", "shape"),
    [
        ("flat", lambda f: CHANCE + 0 * f),
        ("starts diverged", lambda f: CHANCE + 0.8 * np.exp(-5 * f)),
        ("never stops rising", lambda f: CHANCE + 0.8 * f),
    ],
)
def test_curves_without_an_answer_are_refused_by_name(kind, noise, reason, shape):
    found = one(ramp_of(kind, 80), shape(np.linspace(0, 1, 80)), noise)
    assert (found.base_lr, found.max_lr, found.constant_lr) == (None, None, None)
    assert found.reason.split(":")[0] == reason


def test_chance_at_a_huge_loss_has_diverged_from_the_start():
    lr = ramp_of("linear", 60)
    found = suggest_bounds(lr, np.full(60, 50.0), np.full(60, CHANCE))
    assert found.reason.startswith("starts diverged")


@pytest.mark.parametrize(("finite", "reason"), [(0, "nan from the start"), (5, "starts diverged")])
def test_a_curve_that_ends_at_once_is_refused(finite, reason):
    loss = np.where(np.arange(60) < finite, 2.0, np.nan)
    found = suggest_bounds(ramp_of("linear", 60), loss, np.full(60, 0.5))
    assert found.reason.startswith(reason)
    assert set(found.loss_rules.values()) == {None}


@pytest.mark.parametrize("points", [60, 350])
def test_a_peak_among_points_of_one_rate_is_placed(points):
    lr = np.clip(np.linspace(0, 0.03, points).round(2), 0.01, None)
    accuracy = np.interp(np.linspace(0, 1, points), [0, 0.4, 0.5, 1], [CHANCE, 0.9, 0.9, CHANCE])
    assert 0.01 <= suggest_bounds(lr, 2.4 - 2 * accuracy, accuracy).max_lr <= 0.02


def test_too_few_points_are_refused():
    assert one(ramp_of("linear", 11), np.linspace(0.1, 0.9, 11)).reason.startswith("too few points")


@pytest.mark.parametrize("points", [1, 2, 3, 11])
def test_too_few_points_of_a_loss_alone_are_refused_without_a_warning(points):
    found = suggest_bounds(ramp_of("linear", 60)[:points], np.linspace(2.0, 1.0, points))
    assert found.reason.startswith("too few points")


def test_seeds_with_peaks_a_decade_apart_disagree():
    lr = ramp_of("exponential", 100)
    accuracy = np.stack([accuracy_of(lr, peak, "linear", "collapse") for peak in (0.03, 0.3)])
    found = suggest_bounds(lr, np.ones_like(accuracy), accuracy)
    assert found.reason.startswith("seeds disagree")
    assert found.max_lr is None
    np.testing.assert_allclose(np.log10(found.seed_max_lr), np.log10([0.03, 0.3]), atol=0.05)


def test_a_seed_that_never_learns_disagrees_with_one_that_does():
    lr = ramp_of("linear", 80)
    accuracy = np.stack([accuracy_of(lr, 0.4, "linear", "collapse"), np.full(80, CHANCE)])
    assert suggest_bounds(lr, np.ones_like(accuracy), accuracy).reason.startswith("seeds disagree")


def test_the_mean_may_show_a_peak_that_no_seed_shows_alone():
    lr = ramp_of("linear", 100)
    noise = 0.05 * np.random.default_rng(133).normal(size=(5, 100))
    found = suggest_bounds(lr, np.ones((5, 100)), CHANCE + 0.8 * np.clip(lr / 0.85, 0, 1) + noise)
    assert found.seed_max_lr == (None,) * 5
    assert found.max_lr == pytest.approx(0.85, rel=0.05)


def test_one_seed_is_its_own_mean():
    lr = ramp_of("linear", 80)
    found = one(lr, accuracy_of(lr, 0.4, "linear", "slow"), seeds=1)
    assert (found.seed_base_lr, found.seed_max_lr) == ((found.base_lr,), (found.max_lr,))


def test_a_plateau_answers_with_the_rate_at_which_accuracy_stops_improving():
    lr = ramp_of("exponential", 100)
    found = one(lr, CHANCE + 0.8 * np.clip((np.log10(lr) + 3) / 1.5, 0, 1))
    assert abs(math.log10(found.max_lr) + 1.5) < 0.1


def test_raggedness_without_a_fall_ends_the_range():
    lr = ramp_of("linear", 200)
    rng = np.random.default_rng(2)
    clean = CHANCE + 0.8 * np.clip(lr / 0.5, 0, 1)
    found = suggest_bounds(lr, np.ones(200), clean + rng.normal(size=200) * np.where(lr > 0.5, 0.05, 0.005))
    assert abs(math.log10(found.max_lr / 0.5)) < 0.1


def test_divergence_while_accuracy_rises_puts_max_lr_at_the_last_finite_rate_even_when_lr_ends_too():
    lr = ramp_of("linear", 80)
    loss, accuracy = np.ones((2, 80)), np.tile(CHANCE + 0.8 * lr, (2, 1))
    loss[:, 50:], accuracy[:, 50:] = np.nan, np.nan
    found = suggest_bounds(lr, loss, accuracy)
    assert found.max_lr == pytest.approx(lr[49], rel=0.05)
    assert suggest_bounds(np.where(np.arange(80) < 50, lr, np.nan), loss, accuracy) == found


def test_an_infinite_loss_ends_the_curve_like_nan():
    lr = ramp_of("linear", 80)
    accuracy = accuracy_of(lr, 0.4, "linear", "slow")
    loss = np.ones(80)
    nan, inf = (suggest_bounds(lr, np.where(lr > 0.6, bad, loss), accuracy) for bad in (np.nan, np.inf))
    assert nan == inf
    assert nan.max_lr == pytest.approx(0.4, rel=0.1)


def sigmoid_loss(lr, steepest):
    """Loss that falls fastest, per decade, at `steepest`; it turns up past 30 times that."""
    x = np.log10(lr / steepest)
    return 0.2 + 2.1 / (1 + np.exp(4 * x)) + np.clip(x - 1.5, 0, None)


@pytest.mark.parametrize("kind", ["linear", "exponential"])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_steepest_descent_is_taken_per_decade_of_lr_not_per_index_nor_per_lr(kind, noise):
    # Per index, a linear ramp is steepest elsewhere; per lr, the first points of a geometric grid win.
    steepest = 0.02
    lr = np.linspace(1e-3, 1.0, 1000) if kind == "linear" else np.geomspace(1e-7, 1.0, 200)
    loss = sigmoid_loss(lr, steepest) + noise * np.random.default_rng(0).normal(size=len(lr))
    rules = suggest_bounds(lr, loss, np.full(len(lr), CHANCE)).loss_rules
    assert abs(math.log10(rules["steepest"] / steepest)) < 0.3
    assert rules["steepest"] < rules["valley"] < 30 * steepest
    assert abs(math.log10(10 * rules["minimum_tenth"] / (steepest * 10**1.5))) < 0.45


def test_steepest_descent_does_not_land_beside_the_first_nan():
    lr = np.geomspace(1e-5, 10.0, 120)
    loss = np.where(lr > 1.0, np.nan, sigmoid_loss(lr, 0.01))
    rules = suggest_bounds(lr, loss, np.where(lr > 1.0, np.nan, CHANCE)).loss_rules
    assert abs(math.log10(rules["steepest"] / 0.01)) < 0.2


def test_a_loss_that_only_rises_has_no_loss_rules():
    lr = ramp_of("exponential", 60)
    rules = suggest_bounds(lr, np.linspace(1, 3, 60), np.full(60, CHANCE)).loss_rules
    assert rules == {"steepest": None, "valley": None, "minimum_tenth": None}


@pytest.mark.parametrize(
    "given",
    [list, tuple, pd.Series, lambda values: pd.Series(values, index=range(len(values), 0, -1)), np.float32],
    ids=["list", "tuple", "Series", "Series with an index of its own", "float32"],
)
def test_any_array_like_of_one_or_several_seeds_serves(given):
    lr = ramp_of("exponential", 60)
    accuracy = accuracy_of(lr, 0.3, "linear", "collapse")
    found = suggest_bounds(given(lr), given(np.ones(60)), given(accuracy))
    assert abs(math.log10(found.max_lr / 0.3)) < 0.1
    assert isinstance(found.base_lr, float)
    table = pd.DataFrame([accuracy, accuracy]).astype(np.float32)
    assert suggest_bounds(given(lr), np.ones((2, 60)), table).max_lr == pytest.approx(found.max_lr, rel=1e-4)
    assert suggest_bounds(given(lr), [given(np.ones(60))] * 2, [given(accuracy)] * 2).max_lr == found.max_lr


@pytest.mark.parametrize("lr", [np.linspace(0, 1, 60), np.linspace(1, 0.1, 60), np.full(60, np.nan)])
def test_rates_that_do_not_ascend_from_above_0_are_an_error(lr):
    with pytest.raises(ValueError, match="lr: need rates above 0 in ascending order"):
        suggest_bounds(lr, np.ones(60), np.linspace(0, 1, 60))


@pytest.mark.parametrize("seeds", [[3], [3, 4, 5], [[3, 4]], (), np.arange(3), 7])
def test_seeds_of_another_number_are_an_error(seeds):
    lr = ramp_of("exponential", 60)
    accuracy = np.tile(accuracy_of(lr, 0.3, "linear", "collapse"), (2, 1))
    with pytest.raises(ValueError, match=r"seeds \(.*\): need \[seeds\], here \(2,\)"):
        suggest_bounds(lr, np.ones((2, 60)), accuracy, seeds=seeds)


def test_shapes_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="need"):
        suggest_bounds(np.ones(20), np.ones((2, 20)), np.ones((3, 20)))
    with pytest.raises(ValueError, match="need"):
        suggest_bounds(np.ones(20), np.ones(19), np.ones(19))
