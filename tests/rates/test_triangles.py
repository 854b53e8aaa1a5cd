"""How high triangles may go, given what short ones reached."""

import math

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
