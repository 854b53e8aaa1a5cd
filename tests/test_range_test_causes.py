"""What a range test says where it has no answer, or less than one: the cause, the odd seed, what alone is in doubt.

The curves are made by running a toy training through the ramp, not from the shapes that the rule fits, nor those of
`range_test_curves`: progress accumulates with the rate, noise of the rate takes accuracy away, and too high a rate resets it.
"""

import math

import numpy as np
import pytest

from clrbench.chance import Floor
from clrbench.range_test import AS_HIGHEST_SEED, suggest_bounds

EVEN = Floor((60,) * 10, 10)


def trained(rng, lr, best=0.1, *, top=0.9, floor=0.1, rows=600, seeds=3, speed=1.0, jitter=0.0):
    """Accuracy along a ramp, float[seeds, points]: binomial, from a toy training whose best rate is `best`."""
    curves = []
    for _ in range(seeds):
        here = best * 10 ** rng.normal(0, jitter)
        progress, curve = 0.0, []
        for rate in lr:
            progress += speed * rate / here * 2 / len(lr) ** 0.5
            if rate > 6 * here:
                progress *= 0.6
            level = (1 - math.exp(-progress)) / (1 + (rate / here / 4) ** 2)
            curve.append(floor + (top - floor) * level)
        curves.append(rng.binomial(rows, np.clip(curve, 0, 1)) / rows)
    return np.array(curves)


def losses(accuracy):
    return -np.log(accuracy.clip(0.02, 0.98))


RAMPS = {"linear": np.linspace(1e-3, 1.0, 100), "exponential": np.geomspace(1e-4, 3.0, 100)}


@pytest.mark.acceptance
@pytest.mark.parametrize("ramp", RAMPS)
def test_at_most_one_good_curve_in_twenty_is_refused(ramp):
    rng = np.random.default_rng(11)
    lr, refused = RAMPS[ramp], []
    for _ in range(40):
        accuracy = trained(
            rng,
            lr,
            10 ** rng.uniform(-1.7, -0.9),
            top=rng.uniform(0.4, 0.98),
            rows=int(rng.choice([300, 600, 2000])),
            seeds=int(rng.choice([1, 3, 5])),
            jitter=rng.uniform(0, 0.05),
        )
        refused.append(suggest_bounds(lr, losses(accuracy), accuracy, floor=EVEN).reason)
    assert sum(reason is not None for reason in refused) <= 2


@pytest.mark.parametrize("rows", [100, 400, 600])
@pytest.mark.parametrize("ramp", RAMPS)
def test_random_labels_are_never_answered(ramp, rows):
    rng = np.random.default_rng(rows)
    lr, floor = RAMPS[ramp], Floor((rows // 10,) * 10, 10)
    for _ in range(10):
        wander = 0.1 + 0.01 * np.cumsum(rng.normal(size=(3, 100)), axis=1) / 10
        accuracy = rng.binomial(rows, wander.clip(0.05, 0.15)) / rows
        found = suggest_bounds(lr, np.linspace(2.3, 2.6, 100) + 0 * accuracy, accuracy, floor=floor)
        assert found.max_lr is None
        assert found.reason.startswith("flat")


@pytest.mark.parametrize("share", [0.8, 0.95, 0.99])
def test_a_rise_to_the_majority_share_is_no_rise(share):
    # What "always class 0" reaches; the classes are near enough to even for plain accuracy in none of these.
    counts = (round(500 * share), 500 - round(500 * share))
    floor = Floor(counts, 2)
    assert floor.uses_balanced_accuracy == (share > 0.8)
    lr = RAMPS["exponential"]
    if not floor.uses_balanced_accuracy:
        risen = np.clip((np.log10(lr) + 4) / 1.0, 0, 1) * (share - 0.3) + 0.3
        assert suggest_bounds(lr, 1 - risen, risen, floor=floor).reason.startswith("flat")
    always_one_class = np.full(100, 0.5)
    assert suggest_bounds(lr, np.full(100, 0.1), always_one_class, floor=floor).reason.startswith("flat")


@pytest.mark.acceptance
def test_more_seeds_make_a_refusal_less_likely():
    lr, answered = RAMPS["exponential"], {}
    few = Floor((3,) * 10, 10)
    for seeds in (2, 7, 15):
        rng = np.random.default_rng(5)
        found = [
            suggest_bounds(lr, losses(accuracy), accuracy, floor=few).reason is None
            for accuracy in (trained(rng, lr, 0.05, top=0.7, rows=30, seeds=seeds, jitter=0.15) for _ in range(12))
        ]
        answered[seeds] = sum(found)
    assert answered[7] >= answered[2]
    assert answered[15] >= max(answered[7], 11)


@pytest.mark.parametrize("odd", [0, 2, 4])
def test_the_odd_seed_is_named(odd):
    lr, rng = RAMPS["exponential"], np.random.default_rng(3)
    accuracy = trained(rng, lr, 0.1, seeds=5, rows=2000)
    accuracy[odd] = trained(rng, lr, 0.005, seeds=1, rows=2000)[0]
    found, of_an_array = (
        suggest_bounds(lr, losses(accuracy), accuracy, seeds=seeds)
        for seeds in ((10, 11, 12, 13, 14), np.arange(10, 15))
    )
    assert of_an_array == found
    assert found.reason is None
    assert [text for text in found.caveats if f"seed {10 + odd} puts max_lr at" in text]


def test_a_seed_that_does_not_learn_is_named_among_many_and_decides_among_two():
    lr, rng = RAMPS["linear"], np.random.default_rng(4)
    accuracy = trained(rng, lr, 0.1, seeds=5, rows=2000)
    accuracy[1] = rng.binomial(2000, 0.1, 100) / 2000
    found = suggest_bounds(lr, losses(accuracy), accuracy)
    assert found.max_lr is not None
    assert "seed 1 shows no bounds alone" in found.caveats
    assert suggest_bounds(lr, losses(accuracy[:2]), accuracy[:2]).reason.startswith("seeds disagree")


def test_onsets_apart_withhold_base_lr_alone():
    lr = RAMPS["exponential"]
    rises = [np.clip((np.log10(lr) - start) / (-1 - start), 0, 1) for start in (-3.6, -1.6)]
    accuracy = np.array([0.1 + 0.8 * rise * (1 - 0.9 * np.clip(np.log10(lr) + 1, 0, 1)) for rise in rises])
    found = suggest_bounds(lr, losses(accuracy), accuracy)
    assert found.base_lr is None
    assert abs(math.log10(found.max_lr / 0.1)) < 0.2
    assert [text for text in found.caveats if text.startswith("base_lr is not known: the seeds put it")]


@pytest.mark.parametrize("accuracy", ["known", "nan", "none"])
@pytest.mark.parametrize("first", [191.7, 30.0])
def test_a_loss_past_the_limit_at_update_1_is_not_the_rate(first, accuracy):
    loss = np.full((2, 60), np.nan)
    loss[:, 0] = first
    accuracies = {"known": np.where(np.isfinite(loss), 0.1, np.nan), "nan": loss * np.nan, "none": None}
    found = suggest_bounds(RAMPS["linear"][:60], loss, accuracies[accuracy])
    assert found.seed_max_lr == (None, None)
    assert found.reason == (
        f"loss too high from the start: the loss of update 1 is {first:.4g}, before any step was taken; scale the "
        "inputs, or look at the initial weights"
    )


def test_no_finite_loss_at_update_1_is_not_the_rate_either():
    reason = suggest_bounds(RAMPS["linear"], np.full(100, np.nan), np.full(100, 0.1)).reason
    assert reason.startswith("nan from the start")
    assert "lower start_lr" not in reason


@pytest.mark.parametrize("ramp", RAMPS)
def test_a_trained_network_that_only_falls_has_an_upper_bound(ramp):
    lr, rng = RAMPS[ramp], np.random.default_rng(8)
    clean = 0.1 + 0.8 / (1 + (lr / 0.3) ** 4)
    accuracy = rng.binomial(1000, clean + np.zeros((3, 100))) / 1000
    found = suggest_bounds(lr, losses(accuracy), accuracy, floor=EVEN)
    assert found.base_lr is None
    assert 0.05 <= found.max_lr <= 0.3
    assert found.caveats == (
        "accuracy is level until max_lr and falls from there: it is an upper bound, and nothing was learned below it",
    )


def test_a_rise_that_is_over_by_a_hundredth_of_the_ramp_has_stopped():
    # Logistic regression, linear to 3: level from .03 on, but for the last creeping gains.
    lr, rng = np.linspace(1e-3, 3.0, 100), np.random.default_rng(9)
    clean = 0.1 + 0.8 * (1 - np.exp(-lr / 0.01)) + 0.004 * np.log10(lr / 0.001)
    accuracy = rng.binomial(2000, clean + np.zeros((3, 100))) / 2000
    found = suggest_bounds(lr, losses(accuracy), accuracy, floor=EVEN)
    assert found.reason is None
    assert 0.02 <= found.max_lr <= 0.5


@pytest.mark.parametrize("transient", [3, 10, 30])
def test_a_start_up_transient_is_no_minimum(transient):
    lr = np.geomspace(1e-7, 1.0, 120)
    loss = 4 - 2 * np.clip((np.log10(lr) + 3.5) / 2.5, 0, 1) + 3 * np.clip(np.log10(lr) + 0.5, 0, None)
    loss[:transient] = np.linspace(1.0, 4.0, transient)
    found = suggest_bounds(lr, loss)
    assert found.reason is None
    assert 0.02 <= found.max_lr <= 0.35


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_a_loss_of_any_scale_leads_to_the_same_bounds(scale):
    lr = np.geomspace(1e-6, 1.0, 100)
    loss = 1 / (1 + np.exp(4 * (np.log10(lr) + 3))) + 0.2 + np.clip(np.log10(lr) + 1, 0, None)
    assert suggest_bounds(lr, scale * loss).max_lr == pytest.approx(suggest_bounds(lr, loss).max_lr, rel=1e-6)


def test_a_loss_of_pure_noise_is_refused():
    rng = np.random.default_rng(1)
    refused = [suggest_bounds(RAMPS["exponential"], 2.3 + 0.02 * rng.normal(size=100)).reason for _ in range(20)]
    assert all(reason is not None for reason in refused)


def test_max_lr_that_one_seed_alone_bears_out_is_not_beyond_it():
    lr, rng = RAMPS["exponential"], np.random.default_rng(2)
    accuracy = trained(rng, lr, 0.1, seeds=3, rows=1000, jitter=0.05)
    found = suggest_bounds(lr, losses(accuracy), accuracy, floor=EVEN)
    assert min(found.seed_max_lr) <= found.max_lr <= max(found.seed_max_lr)


def peaked(lr, places, heights):
    """Accuracy of seeds that rise from 0.001 to a peak and fall from there, float[seeds, points]."""
    corners = [[-3, place, place + 1.5] for place in np.log10(places)]
    return np.array([np.interp(np.log10(lr), x, [0.1, top, 0.1]) for x, top in zip(corners, heights, strict=True)])


@pytest.mark.parametrize(
    ("peaks", "heights", "said"),
    [
        pytest.param((0.1, 0.1, 0.3), (0.3, 0.3, 0.95), True, id="the highest decides"),
        pytest.param((0.1, 0.1, 0.2), (0.9, 0.9, 0.9), False, id="between them"),
        pytest.param((0.1, 0.1, 0.1), (0.3, 0.3, 0.95), False, id="all alike"),
    ],
)
def test_a_max_lr_that_is_the_highest_seeds_says_so(peaks, heights, said):
    lr = RAMPS["exponential"]
    accuracy = peaked(lr, peaks, heights)
    found = suggest_bounds(lr, losses(accuracy), accuracy)
    assert found.reason is None
    assert (AS_HIGHEST_SEED in found.caveats) == said, (found.max_lr, found.seed_max_lr)
