"""Faults that LR finders and schedules are known for, one test each: none of them is ours.

Where a fault is arithmetic, the test does it the faulty way as well and shows that it would be seen.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fakes import NO_TIME, FakeWatcher
from range_test_curves import Kind, simulate
from runs_on_disk import run_record

from clrbench import backends
from clrbench.analysis.bounds import curve_table
from clrbench.backends.protocol import Trainer
from clrbench.data import DatasetSizes
from clrbench.execution.session import Session
from clrbench.planning.plan import make_plan
from clrbench.planning.runs import RANGE_TEST_DIVERGENCE_FACTOR, own_range_test, training_runs
from clrbench.planning.trials import range_test_runs
from clrbench.range_test import suggest_bounds
from clrbench.records import (
    Dataset,
    DoubleArray,
    FloatArray,
    IntArray,
    RunLog,
    Scores,
    Split,
    StepLog,
    TrainPlan,
)
from clrbench.schedules import one_cycle, ramp, triangular, triangular2
from clrbench.spec import Clock, RunSpec, Spec
from clrbench.spec.model import Adaptive
from clrbench.spec.network import Mlp
from clrbench.store import ResultsFolder

CLASSES, TRAIN_ROWS, VALIDATION_ROWS = 3, 100, 40
SIZES = DatasetSizes(TRAIN_ROWS + VALIDATION_ROWS, 30, (4, 4, 1))
STEEPEST_LR = 0.01


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Three classes of images, bright in three different places, under noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, SIZES.train_rows + SIZES.test_rows).astype(np.int32)
    images = rng.integers(0, 200, (len(labels), *SIZES.image_shape), dtype=np.uint8)
    images[np.arange(len(labels)), labels, labels] += 50
    train = SIZES.train_rows
    return Dataset("tiny", images[:train], labels[:train], images[train:], labels[train:], CLASSES, "checksum")


def spec_of(**range_test: Any) -> Spec:
    """Return a spec in which an epoch has 10 updates."""
    return Spec.model_validate(
        {
            "name": "test",
            "data": {"dataset": "mnist", "validation": f"{VALIDATION_ROWS} rows"},
            "model": {"name": "mlp", "hidden": []},
            "batch_size": 10,
            "duration": "2 epochs",
            "backends": ["torch"],
            "arms": {"clr": {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 2}}},
            "range_test": {"duration": "2.5 epochs", "seeds": 1, **range_test},
        }
    )


def range_test_run(**range_test: Any) -> RunSpec:
    spec = spec_of(**range_test)
    return range_test_runs(spec, own_range_test(spec), SIZES, ("torch",))[0]


def make(run: RunSpec, dataset: Dataset) -> RunLog:
    """Make a run as the command line does, with torch, in this process."""
    backend = backends.load("torch")
    backend.set_threads(1)
    plan = make_plan(run, dataset)
    limit = run.divergence_factor * math.log(CLASSES)
    return log_of(backend.make_trainer(plan, dataset, "cpu"), plan, limit)


def log_of(trainer: Trainer, plan: TrainPlan, limit: float) -> RunLog:
    """Return what a run leaves behind."""
    session = Session(trainer, plan, limit, FakeWatcher(), lambda _: None, NO_TIME)
    log = session.run()
    assert log is not None
    return log


def curve_of(run: RunSpec, log: RunLog, root: Path) -> pd.DataFrame:
    """Return what `curve.csv` would hold of a run."""
    folder = ResultsFolder(root)
    folder.write_run(run_record(run), log)
    return curve_table(folder.indexed_runs())


def losses_by_hand(run: RunSpec, dataset: Dataset, lr: DoubleArray) -> DoubleArray:
    """Return the loss of every mini-batch before its update, by a softmax regression in plain numpy."""
    plan = make_plan(run, dataset)
    kernel, bias = (weight.astype(np.float64) for weight in plan.weights.values())
    losses = []
    for rows, rate in zip(plan.batches, lr, strict=True):
        images, labels = dataset.x_train[rows].reshape(len(rows), -1) / 255, dataset.y_train[rows]
        logits = images @ kernel + bias
        softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        losses.append(-np.log(softmax[np.arange(len(rows)), labels]).mean())
        error = (softmax - np.eye(CLASSES)[labels]) / len(rows)
        kernel, bias = kernel - rate * images.T @ error, bias - rate * error.sum(0)
    return np.array(losses)


@pytest.fixture(scope="module")
def swept(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, pd.DataFrame, DoubleArray]:
    """A range test of two and a half epochs: the run, its curve, and its losses by hand."""
    run = range_test_run(start_lr=0.001, end_lr=2.0)
    curve = curve_of(run, make(run, dataset), tmp_path_factory.mktemp("swept"))
    return run, curve, losses_by_hand(run, dataset, np.linspace(0.001, 2.0, 25))


# What is measured.


def test_loss_is_that_of_each_batch_not_a_mean_over_the_epoch_so_far(swept: Any) -> None:
    _, curve, by_hand = swept
    running_mean = np.cumsum(by_hand) / np.arange(1, 26)
    np.testing.assert_allclose(curve["train_loss"], by_hand, atol=1e-5)
    assert abs(running_mean - by_hand).max() > 0.05


def test_loss_is_raw_not_an_average_without_bias_correction(swept: Any) -> None:
    _, curve, by_hand = swept
    assert curve["train_loss"].iloc[0] == pytest.approx(by_hand[0], rel=1e-5)
    assert curve["train_loss"].iloc[0] == pytest.approx(math.log(CLASSES), rel=0.5)


def test_update_i_uses_the_rate_that_stands_beside_it_not_the_one_before_or_after(swept: Any, dataset: Dataset) -> None:
    run, curve, _ = swept
    lr = curve["lr"].to_numpy(np.float64)
    np.testing.assert_allclose(losses_by_hand(run, dataset, lr), curve["train_loss"], atol=1e-5)
    for logged_late in (np.append(lr[1:], lr[-1]), np.append(lr[0], lr[:-1])):
        assert abs(losses_by_hand(run, dataset, logged_late) - curve["train_loss"]).max() > 1e-3


@pytest.mark.parametrize("kind", ["linear", "exponential"])
def test_sweep_starts_at_start_lr_and_reaches_end_lr(kind: Any, swept: Any) -> None:
    _, curve, _ = swept
    assert curve["lr"].iloc[[0, -1]].tolist() == [np.float32(0.001), 2.0]
    for num_steps in (12, 25, 1000, 12_345):
        table = ramp(num_steps, start_lr=0.001, end_lr=2.0, kind=kind)
        assert (len(table), table[0], table[-1]) == (num_steps, 0.001, 2.0)


def test_sweep_may_be_longer_than_the_data(swept: Any) -> None:
    run, curve, _ = swept
    assert (run.steps_per_epoch, len(curve)) == (10, 25)
    assert curve["train_loss"].notna().all()
    assert (np.diff(curve["lr"]) > 0).all()


def test_validation_changes_nothing_in_the_training_and_is_over_the_same_rows_each_time(dataset: Dataset) -> None:
    often = range_test_run(start_lr=1e-12, end_lr=2e-12)
    rarely = often.model_copy(update={"evaluation_steps": (25,)})
    logs = [make(run, dataset) for run in (often, rarely)]
    np.testing.assert_array_equal(logs[0].steps.loss, logs[1].steps.loss)
    # The weights hardly move, so only other rows could make another accuracy.
    assert len({evaluation.accuracy for evaluation in logs[0].evaluations[Split.VALIDATION]}) == 1


# When it stops.


def test_nan_stops_the_sweep(dataset: Dataset) -> None:
    run = range_test_run(start_lr=1e-3, end_lr=1e30, ramp="exponential")
    log = make(run, dataset)
    finite = np.isfinite(log.steps.loss)
    assert log.status == "diverged"
    assert 0 < finite.sum() < 25
    assert not finite[finite.argmin() :].any()
    accuracy = [evaluation.accuracy for evaluation in log.evaluations[Split.VALIDATION]]
    assert math.isnan(accuracy[-1])


class Scripted:
    """A trainer whose losses are known, and which is right on every other row of as many as a split has."""

    def __init__(self, losses: FloatArray, num_rows: int) -> None:
        self.losses, self.num_rows, self.done = losses, num_rows, 0

    def train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        loss = self.losses[self.done : self.done + len(batches)]
        self.done += len(batches)
        return StepLog(lr, loss, np.ones(len(batches), np.float32))

    def evaluate(self, split: Split) -> Scores:
        return Scores(1.0, np.arange(self.num_rows) % 2 == 0)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: object) -> None:
        raise AssertionError


def test_sweep_does_not_stop_at_a_few_times_its_best_loss(dataset: Dataset) -> None:
    # One lucky batch, or a best loss that starts at 0, would end it at once.
    losses = np.full(25, 1.0, np.float32)
    losses[0], losses[5] = 0.0, 1e-6
    plan = make_plan(range_test_run(), dataset)
    limit = RANGE_TEST_DIVERGENCE_FACTOR * math.log(CLASSES)
    log = log_of(Scripted(losses, len(plan.validation_classes)), plan, limit)
    assert log.status == "finished"
    np.testing.assert_array_equal(log.steps.loss, losses)


# What is read off the curve.


def sigmoid_loss(lr: DoubleArray) -> DoubleArray:
    """Return a loss that falls fastest, by the decade, at STEEPEST_LR."""
    decades = np.log10(lr / STEEPEST_LR)
    return 0.2 + 2.1 / (1 + np.exp(4 * decades)) + np.clip(decades - 1.5, 0, None)


def steepest(lr: DoubleArray, loss: DoubleArray) -> float:
    found = suggest_bounds(lr, loss, np.full(len(lr), 0.1)).loss_rules["steepest"]
    assert found is not None
    return found


def decades_off(rate: float) -> float:
    return abs(math.log10(rate / STEEPEST_LR))


def test_steepest_slope_is_not_taken_by_lr_on_a_geometric_grid() -> None:
    lr = np.geomspace(1e-8, 1.0, 100)
    loss = sigmoid_loss(lr) + 0.01 * np.random.default_rng(0).normal(size=100)
    by_lr = lr[np.gradient(loss, lr).argmin()]
    assert by_lr < 1e-6
    assert decades_off(steepest(lr, loss)) < 0.25


def test_steepest_slope_is_not_taken_by_index_on_a_linear_ramp() -> None:
    lr = np.linspace(1e-3, 1.0, 2000)
    by_index = lr[np.gradient(sigmoid_loss(lr)).argmin()]
    assert decades_off(by_index) > 0.15
    assert decades_off(steepest(lr, sigmoid_loss(lr))) < 0.15


def test_steepest_slope_is_not_found_beside_a_nan() -> None:
    lr = np.geomspace(1e-5, 10.0, 120)
    loss = np.where(lr > 2.0, np.nan, sigmoid_loss(lr))
    assert lr[np.gradient(loss).argmin()] > 1.9
    assert decades_off(steepest(lr, loss)) < 0.25


def test_steepest_slope_is_not_the_start_of_an_average_that_lacks_its_bias_correction() -> None:
    lr = np.geomspace(1e-5, 1.0, 300)
    loss = sigmoid_loss(lr)
    without_correction = loss / (1 - 0.98 ** np.arange(1, 301))
    assert lr[np.gradient(without_correction, np.log(lr)).argmin()] < 2e-5
    assert decades_off(steepest(lr, loss)) < 0.25


def accuracy_curve(lr: DoubleArray, peak: float) -> DoubleArray:
    return np.interp(np.log10(lr), np.log10([peak / 30, peak, 3 * peak]), [0.1, 0.9, 0.3])


def test_a_running_mean_in_place_of_each_value_would_move_max_lr_up() -> None:
    lr, peak = np.geomspace(1e-4, 3.0, 100), 0.1
    raw = accuracy_curve(lr, peak)
    running_mean = np.cumsum(raw) / np.arange(1, 101)
    found, shifted = (suggest_bounds(lr, np.ones(100), values).max_lr for values in (raw, running_mean))
    assert found == pytest.approx(peak, rel=0.1)
    assert shifted is None or shifted > 1.5 * peak


def test_early_spikes_move_nothing() -> None:
    lr = np.geomspace(1e-5, 3.0, 100)
    loss, accuracy = sigmoid_loss(lr), accuracy_curve(lr, 0.1)
    spiked_loss, spiked = loss.copy(), accuracy.copy()
    spiked_loss[[1, 4]], spiked[[1, 4]] = 30.0, [0.3, 0.0]
    assert lr[np.gradient(spiked_loss).argmin()] < 1e-4
    assert decades_off(steepest(lr, spiked_loss)) < 0.25
    found = suggest_bounds(lr, spiked_loss, spiked)
    assert found.max_lr == pytest.approx(0.1, rel=0.1)


def test_no_suggestion_lies_beyond_the_last_rate_that_held() -> None:
    rng = np.random.default_rng(3)
    for i in range(12):
        kind = Kind(("linear", "exponential")[i % 2], 60, 1, 1000, "logistic", "divergence")
        curve = simulate(rng, kind)
        last = curve.lr[np.isfinite(curve.accuracy).any(axis=0)].max()
        found = suggest_bounds(curve.lr, curve.loss, curve.accuracy)
        assert found.max_lr is not None
        assert found.max_lr <= last
        assert found.loss_rules["steepest"] is None or found.loss_rules["steepest"] <= last


@pytest.mark.parametrize("points", [1, 2, 5, 11])
def test_too_few_points_are_a_refusal_and_no_crash(points: int) -> None:
    found = suggest_bounds(np.geomspace(1e-3, 1, points), np.ones(points), np.linspace(0.1, 0.9, points))
    assert (found.base_lr, found.max_lr, found.constant_lr) == (None, None, None)
    assert str(found.reason).startswith("too few points")


@pytest.mark.parametrize("fall", ["collapse", "decline", "rounded"])
def test_the_number_of_updates_does_not_move_the_suggestion(fall: str) -> None:
    found = []
    for points in (60, 100, 200, 400):
        curve = simulate(np.random.default_rng(4), Kind("exponential", points, 1, 5000, "piecewise", fall))
        bounds = suggest_bounds(curve.lr, curve.loss, curve.accuracy)
        assert bounds.max_lr is not None
        found.append(math.log10(bounds.max_lr))
    assert np.ptp(found) < 0.1


# What is left behind.


def test_training_after_a_range_test_is_the_same_as_without_one(dataset: Dataset) -> None:
    spec = spec_of(start_lr=0.001, end_lr=2.0)
    adam, deep = Adaptive(name="adam"), Mlp(name="mlp", hidden=(8,), dropout=0.5)
    arm, sweep = (
        run.model_copy(update={"optimizer": adam, "model": deep})
        for run in (training_runs(spec, SIZES, ("torch",), {})[0], range_test_run())
    )
    before = make(arm, dataset)
    make(sweep, dataset)
    after = make(arm, dataset)
    np.testing.assert_array_equal(after.steps.loss, before.steps.loss)
    assert after.evaluations == before.evaluations


# Schedules.


def test_rates_change_at_every_update_and_lengths_in_epochs_count_updates() -> None:
    spec = spec_of()
    schedule = spec.arms["clr"].schedule.model_copy(update={"cycles": None})
    table = schedule.model_validate({**schedule.model_dump(exclude_none=True), "step_size": "2 epochs"}).table(
        Clock(steps_per_epoch=50, num_steps=400)
    )
    assert table.argmax() == 100
    assert (np.diff(table) != 0).all()


def test_an_optimizer_without_momentum_takes_a_cyclical_rate_as_it_is(dataset: Dataset) -> None:
    run = training_runs(spec_of(), SIZES, ("torch",), {})[0]
    log = make(run.model_copy(update={"optimizer": Adaptive(name="adam")}), dataset)
    np.testing.assert_array_equal(
        log.steps.lr, triangular(20, base_lr=0.01, max_lr=0.1, step_size=5).astype(np.float32)
    )


def test_a_schedule_keeps_no_state_between_calls() -> None:
    first, _, again = (
        [triangular2(50, base_lr=0.01, max_lr=0.1, step_size=10), one_cycle(steps, max_lr=0.1)]
        for steps in (50, 70, 50)
    )
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_resumed_run_goes_on_with_the_rate_it_would_have_had(dataset: Dataset) -> None:
    run = training_runs(spec_of(), SIZES, ("torch",), {})[0]
    plan = make_plan(run, dataset)
    backend = backends.load("torch")
    whole = backend.make_trainer(plan, dataset, "cpu").train(plan.batches, plan.lr)
    first, second = (backend.make_trainer(plan, dataset, "cpu") for _ in range(2))
    first.train(plan.batches[:7], plan.lr[:7])
    second.restore(first.state())
    rest = second.train(plan.batches[7:], plan.lr[7:])
    np.testing.assert_array_equal(rest.lr, whole.lr[7:])
    np.testing.assert_array_equal(rest.loss, whole.loss[7:])


@pytest.mark.parametrize("num_steps", [7, 10, 99, 100, 1001])
def test_one_cycle_ends_at_its_lowest_rate_and_does_not_rise_again(num_steps: int) -> None:
    table = one_cycle(num_steps, max_lr=0.1)
    assert len(table) == num_steps
    assert (np.diff(table[table.argmax() :]) < 0).all()
    assert table[-1] == table.min() > 0


@pytest.mark.parametrize("num_steps", [20, 50, 77, 1000])
def test_training_ends_at_the_end_of_a_cycle_whatever_its_length(num_steps: int) -> None:
    spec = spec_of()
    table = spec.arms["clr"].schedule.table(Clock(steps_per_epoch=10, num_steps=num_steps))
    a_step = 4 * 0.09 / num_steps
    assert table[-1] - 0.01 < 1.01 * a_step
    assert (table > 0).all()


def test_amplitude_is_halved_by_the_cycle_not_by_the_update() -> None:
    table = triangular2(40, base_lr=0.01, max_lr=0.09, step_size=10)
    assert table[[10, 30]] == pytest.approx([0.09, 0.05])


def test_a_schedule_survives_being_written_and_read() -> None:
    schedule = spec_of().arms["clr"].schedule
    written = schedule.model_dump(mode="json", exclude_none=True)
    assert type(schedule).model_validate(json.loads(json.dumps(written))) == schedule
