"""How high triangles may go, given what short ones reached."""

import math
from dataclasses import replace

import pytest

from clrbench.rates.records import Tried
from clrbench.rates.triangles import chosen

CONSTANT = -5


def found(accuracies: list[float], error: float = 0.02) -> dict[int, Tried]:
    """Return trials at the constant rate and at the places above it; nan collapsed."""
    places = range(CONSTANT, CONSTANT + len(accuracies))
    collapsed = [(1,) if math.isnan(accuracy) else () for accuracy in accuracies]
    return {
        place: Tried(10 ** (place / 4), (1,), 100, 1.0, accuracy, error, ended)
        for place, accuracy, ended in zip(places, accuracies, collapsed, strict=True)
    }


@pytest.mark.parametrize(
    ("accuracies", "lower", "above"),
    [
        pytest.param([0.85, 0.85, 0.84], 1.3, 1, id="level, and arms that are longer"),
        pytest.param([0.86, 0.85, 0.80], 1.3, 1, id="behind by less than an error"),
        pytest.param([0.97, 0.92, 0.72], 1.3, 0, id="clearly behind"),
        pytest.param([0.85, float("nan"), float("nan")], 1.3, 0, id="the next one collapsed"),
        pytest.param([0.65, 0.90, 0.996], 0.0, 2, id="the highest, and arms as long"),
        pytest.param([0.65, 0.90, 0.996], 1.3, 1, id="the highest, and arms that are longer"),
        pytest.param([float("nan")] * 3, 0.0, None, id="all collapsed"),
    ],
)
def test_an_upper_bound_lies_above_the_constant_unless_that_is_clearly_worse(
    accuracies: list[float], lower: float, above: int | None
) -> None:
    place = chosen(found(accuracies), lower, CONSTANT)
    assert place == (None if above is None else CONSTANT + above)


NAN = float("nan")


@pytest.mark.parametrize(
    ("accuracies", "losses", "lower", "above"),
    [
        pytest.param([NAN, NAN, NAN, 0.98], [0.058, 0.044, 0.029, 0.006], 1.2, 2, id="arms four times as long"),
        pytest.param([NAN, NAN, NAN, 0.98], [0.058, 0.044, 0.029, 0.006], 2.2, 1, id="arms ten times as long"),
        pytest.param([NAN, NAN, NAN, 0.98], [0.058, 0.044, 0.029, 0.006], 9.0, 3, id="below all that were ahead"),
        pytest.param([NAN, NAN, NAN, 0.98], [0.058, 0.044, 0.029, 0.006], 0.0, 3, id="arms as long"),
        pytest.param([NAN, NAN, NAN, 0.98], [0.058, 0.058, 0.061, 0.006], 1.2, 3, id="none was ahead of the constant"),
        pytest.param([NAN, NAN, NAN, 0.98], [0.058, 0.044, math.inf, 0.006], 1.2, 1, id="one diverged"),
        pytest.param([0.7, NAN, NAN, 0.98], [0.05, 0.044, 0.029, 0.006], 1.2, 2, id="the constant stood, far behind"),
    ],
)
def test_a_bound_that_a_few_updates_need_is_lowered_for_arms_that_make_more(
    accuracies: list[float], losses: list[float], lower: float, above: int
) -> None:
    # 99 : 1, two blobs: only 10 times the constant cleared guessing, and half of the seeds collapsed there later.
    made = found(accuracies)
    tried = {place: replace(one, loss=loss) for (place, one), loss in zip(made.items(), losses, strict=True)}
    assert chosen(tried, lower, CONSTANT) == CONSTANT + above
