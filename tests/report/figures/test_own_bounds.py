"""The figure of curves that other programs wrote."""

from __future__ import annotations

import numpy as np
from figure_samples import labelled

from clrbench.analysis.own_bounds import OwnBounds, own_curve_table
from clrbench.rates.own_curve import OwnCurve, rates_of
from clrbench.report.figures.own_bounds import draw_own_bounds


def test_neighbours_at_the_same_rate_are_points_of_their_own() -> None:
    lr = np.linspace(0.001, 0.03, 60).round(3)
    accuracy = np.interp(lr, [0.001, 0.015, 0.02, 0.03], [0.1, 0.9, 0.9, 0.1])
    losses = np.stack([2.4 - 2 * accuracy, 2.5 - 2 * accuracy])
    curve = OwnCurve(lr, losses, np.stack([accuracy, accuracy]), (0, 1))
    assert len(set(lr)) < len(lr)
    figure = draw_own_bounds(OwnBounds(rates_of(curve), own_curve_table(curve)))
    for axes, values in zip(figure.axes, ([accuracy, accuracy], losses), strict=True):
        for line, expected in zip(labelled(axes, "_seed"), values, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), lr)
            np.testing.assert_array_equal(line.get_ydata(), expected)
