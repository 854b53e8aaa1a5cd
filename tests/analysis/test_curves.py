"""Means, intervals and single runs of every metric over the epochs."""

import math

import numpy as np
import scipy.stats
from runs_in_memory import results_of, stored_run

from clrbench.analysis.curves import bands_table, read_curves
from clrbench.analysis.results import Results, own_metrics
from clrbench.analysis.train_curve import train_curve

ENDS = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]
NAN = math.nan


def make_results(ends: list[float]) -> Results:
    runs = [stored_run("clr", seed, {2: 0.6, 4: 0.4, 5: end}, steps_per_epoch=2) for seed, end in enumerate(ends)]
    runs += [stored_run("constant", 0, {2: 0.4, 4: 0.6, 5: 0.7}, steps_per_epoch=2)]
    return results_of(runs)


def test_bands_are_the_means_and_their_intervals() -> None:
    bands = bands_table(make_results(ENDS))
    assert list(bands) == ["backend", "arm", "metric", "epoch", "runs", "mean", "ci_low", "ci_high"]
    row = bands[(bands["arm"] == "clr") & (bands["metric"] == "test_accuracy")].iloc[-1]
    expected = scipy.stats.t.interval(0.95, 5, np.mean(ENDS), scipy.stats.sem(ENDS))
    assert (row["epoch"], row["runs"]) == (2.5, 6)
    np.testing.assert_allclose(row[["mean", "ci_low", "ci_high"]].astype(float), [np.mean(ENDS), *expected], rtol=1e-9)


def test_curves_are_read_off_the_two_tables_that_hold_them() -> None:
    results = make_results([0.71, NAN, 0.75])
    bands = bands_table(results)
    curves = read_curves(own_metrics(results), train_curve(results), bands, list(results.spec.arms))["test_accuracy"]
    assert [(curve.backend, curve.arm, curve.seeds) for curve in curves] == [
        ("torch", "constant", (0,)),
        ("torch", "clr", (0, 1, 2)),
    ]
    constant, clr = curves
    assert clr.epochs.tolist() == [1.0, 2.0, 2.5]
    np.testing.assert_array_equal(clr.values, [[0.6] * 3, [0.4] * 3, [0.71, NAN, 0.75]])
    assert clr.diverged.tolist() == [False, True, False]
    band = bands[(bands["arm"] == "clr") & (bands["metric"] == "test_accuracy")]
    assert band["runs"].tolist() == [3, 3, 2]
    for name, values in (("mean", clr.mean), ("ci_low", clr.low), ("ci_high", clr.high)):
        np.testing.assert_array_equal(band[name], values)
    np.testing.assert_allclose(clr.mean[-1], 0.73)
    assert np.isnan([*constant.low, *constant.high]).all()


def test_a_metric_without_values_has_a_band_of_nothing() -> None:
    bands = bands_table(make_results([0.7]))
    nothing = bands[bands["metric"] == "validation_loss"]
    assert nothing["runs"].tolist() == [0] * 6
    assert nothing[["mean", "ci_low", "ci_high"]].isna().to_numpy().all()


def test_training_is_drawn_in_its_own_stretches_and_all_else_by_evaluation() -> None:
    results = make_results(ENDS)
    bands = bands_table(results)
    epochs = {metric: rows["epoch"].unique().tolist() for metric, rows in bands.groupby("metric")}
    # Five updates, two an epoch: the middle of a stretch of one mini-batch is the updates before it.
    assert epochs.pop("train_loss") == epochs.pop("train_accuracy") == [0, 0.5, 1, 1.5, 2]
    assert set(map(tuple, epochs.values())) == {(1, 2, 2.5)}
