"""Which constant rate is chosen of those tried, and at which ones the longer trials begin."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest
from rates_world import World, problem, solve

from clrbench.rates import Outcome, Run
from clrbench.rates.confirm import chosen, places_lower
from clrbench.rates.lattice import place_of, rate_at
from clrbench.rates.records import Tried
from clrbench.records import Bounds

NAN = float("nan")
LOWEST = -6


def found(accuracies: list[float], losses: list[float] | None = None) -> dict[int, Tried]:
    """Return trials at neighbouring places from `LOWEST` on; nan collapsed."""
    losses = [1.0] * len(accuracies) if losses is None else losses
    return {
        place: Tried(
            rate_at(place), (1,), 100, loss, 0.1 if math.isnan(reached) else reached, 0.02, (1,) * math.isnan(reached)
        )
        for place, reached, loss in zip(range(LOWEST, LOWEST + len(accuracies)), accuracies, losses, strict=True)
    }


@pytest.mark.parametrize(
    ("accuracies", "lower", "above"),
    [
        pytest.param([0.80, 0.86, 0.88, 0.86, 0.80], 0.0, 2, id="the top, and arms as long"),
        pytest.param([0.80, 0.86, 0.88, 0.86, 0.80], 1.0, 1, id="a place lower for arms that are longer"),
        pytest.param([0.80, 0.86, 0.88, 0.86, 0.80], 2.0, 0, id="two places lower"),
        pytest.param([0.60, 0.86, 0.88, 0.86, 0.80], 2.0, 1, id="not to a rate that loses more than .1"),
        pytest.param([NAN, 0.86, 0.88, 0.86, 0.80], 2.0, 1, id="not to one that collapsed"),
        pytest.param([0.93, 0.94, 0.70], 1.05, 0, id="the lowest that stood, where all lie too high"),
        pytest.param([NAN, 0.94, 0.70], 1.05, 1, id="the best, where nothing below it stood"),
        pytest.param([0.867, 0.875, 0.884, 0.894], 0.4, 3, id="straight up to the end: the top lies beyond it"),
        pytest.param([0.870, 0.872, 0.880, 0.895], 0.4, 3, id="ever steeper: beyond the end, too"),
        pytest.param([0.895, 0.880, 0.872, 0.870], 0.4, 0, id="down from the lowest"),
        pytest.param([0.85, 0.88], 0.0, 1, id="two, which are no parabola"),
        pytest.param([NAN, NAN, NAN], 0.0, 0, id="none stood"),
    ],
)
def test_the_top_of_the_trials_is_chosen_and_lower_for_longer_arms(
    accuracies: list[float], lower: float, above: int
) -> None:
    assert chosen(found(accuracies), lower) == LOWEST + above


def test_a_loss_decides_where_accuracies_are_alike() -> None:
    assert chosen(found([0.86, 0.86, 0.86], [1.0, 0.8, 1.1]), 0.0) == LOWEST + 1
    assert chosen(found([0.86, 0.86, 0.86], [0.8, 1.0, 1.2]), 0.0) == LOWEST


@pytest.mark.parametrize(
    ("accuracies", "top", "above"), [([0.80, 0.87, 0.88], 0.667, 1), ([0.80, 0.86, 0.875], 0.833, 2)]
)
def test_the_top_of_a_parabola_is_rounded_down_but_for_a_quarter(
    accuracies: list[float], top: float, above: int
) -> None:
    # Above the middle one, by the equations of the parabola through three points.
    curvature, slope, _ = np.linalg.solve(np.vander([-1.0, 0.0, 1.0], 3), accuracies)
    assert -slope / (2 * curvature) == pytest.approx(top, abs=1e-3)
    assert chosen(found(accuracies), 0.0) == LOWEST + above


@pytest.mark.parametrize(("longer_steps", "places"), [(50, 0.0), (100, 0.0), (1000, 2.0), (10_000, 4.0), (316, 1.0)])
def test_ten_times_as_long_is_half_a_decade_lower(longer_steps: int, places: float) -> None:
    assert places_lower(100, longer_steps) == pytest.approx(places, abs=2e-3)


@dataclass(frozen=True)
class Recorded:
    """Trainings whose accuracy at a place and a length is written down; nan for guessing."""

    reached: Callable[[int, int], float]

    def outcome(self, run: Run, *, loss_only: bool = False) -> Outcome:
        """Return what the run comes to, the same from its first evaluation to its last."""
        assert not loss_only
        place = round(place_of(run.high))
        accuracy = self.reached(place, run.num_steps)
        # While nothing is learned the loss is lowest at place -4.
        loss = 2.3 + 0.01 * abs(place + 4) if math.isnan(accuracy) else 2 - 2 * accuracy
        ends = np.full(20, 0.1 if math.isnan(accuracy) else accuracy)
        steps = np.linspace(run.num_steps / 20, run.num_steps, 20).round()
        return Outcome(np.full(run.num_steps, loss), steps, np.full(20, loss), ends)


def trials(reached: Callable[[int, int], float], **changes: int) -> tuple[dict[int, list[int]], float | None]:
    """Return the places of constant trials by their length, in the order in which they were asked for, and the rate."""
    answer, _, requests = solve(cast(World, Recorded(reached)), problem(World(), **changes))
    places: dict[int, list[int]] = {}
    for request in requests:
        for run in request.runs if request.stage == "confirm" else ():
            places.setdefault(run.num_steps, []).append(round(place_of(run.high)))
    return places, answer.constant_lr


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clrbench.rates.sweep.read", lambda *_: Bounds(None, None, "flat: not fitted"))


@pytest.mark.parametrize(
    ("arm_steps", "sweep_steps", "lower"),
    [pytest.param(600, 250, 1, id="trials five times as long"), pytest.param(100, 250, 0, id="about as long")],
)
def test_longer_trials_begin_lower_as_their_length_asks_for(arm_steps: int, sweep_steps: int, lower: int) -> None:
    places, _ = trials(lambda place, _: 0.9 - 0.02 * (place + 4) ** 2, arm_steps=arm_steps, sweep_steps=sweep_steps)
    short, long = min(places), max(places)
    assert (places_lower(short, long) > 1.5) == (lower == 1)
    assert sorted(places[long][:3]) == [-5 - lower, -4 - lower, -3 - lower]
    assert -4 in places[long]  # from where it climbs on to the top


def slow(place: int, num_steps: int, highest: int) -> float:
    """Return accuracy of a network that begins to learn after 150 updates, and only at rates up to some place."""
    return 0.6 if num_steps > 150 and place <= highest else NAN


def test_a_network_that_begins_late_is_tried_where_its_loss_was_lowest_and_half_a_decade_below() -> None:
    places, rate = trials(lambda place, steps: slow(place, steps, highest=0))
    assert places[max(places)] == [-4, -6]
    # Both reach the same, with the same loss.
    assert rate == pytest.approx(rate_at(-6))


def test_it_is_tried_further_below_where_the_first_collapsed() -> None:
    places, rate = trials(lambda place, steps: slow(place, steps, highest=-6))
    short, long = min(places), max(places)
    assert places_lower(short, long) >= 2  # which is half a decade more
    assert places[long] == [-4, -8]
    assert rate == pytest.approx(rate_at(-8))
