"""A plan is a pure function of run spec and data, and pairs differ in `lr` only."""

from collections.abc import Set
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from clrbench.planning.plan import batch_order, make_plan, run_identity, split_rows, standardisation, stratified
from clrbench.records import Dataset
from clrbench.spec import RunSpec
from clrbench.spec.data import Data
from clrbench.spec.model import Sgd
from clrbench.spec.network import Mlp
from clrbench.spec.schedules import Constant, Triangular


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (530, 6, 5, 1), dtype=np.uint8)
    labels = rng.choice(4, 530, p=[0.5, 0.3, 0.15, 0.05]).astype(np.int32)
    return Dataset("tiny", images[:500], labels[:500], images[500:], labels[500:], 4, "checksum")


def make_run(**changes: object) -> RunSpec:
    run = RunSpec(
        backend="torch",
        arm="constant",
        seed=3,
        data=Data(dataset="mnist", validation="100 rows"),
        model=Mlp(name="mlp", hidden=(8,)),
        optimizer=Sgd(name="sgd"),
        batch_size=30,
        schedule=Constant(name="constant", lr=0.1),
        num_steps=40,
        steps_per_epoch=13,
        evaluation_steps=(13, 26, 39, 40),
        evaluated_splits=("validation", "test"),
        divergence_factor=1000.0,
    )
    return run.model_copy(update=changes)


TRIANGULAR = Triangular(name="triangular", base_lr=0.01, max_lr=0.1, cycles=2)


def assert_alike(first: Any, second: Any, besides: Set[str] = frozenset()) -> None:
    for field in fields(first):
        if field.name in besides:
            continue
        one, other = getattr(first, field.name), getattr(second, field.name)
        if is_dataclass(one):
            assert_alike(one, other)
        else:
            np.testing.assert_equal(other, one)


def test_paired_plans_differ_only_in_lr(dataset: Dataset) -> None:
    constant = make_plan(make_run(), dataset)
    cyclic = make_plan(make_run(arm="clr", schedule=TRIANGULAR), dataset)
    assert not np.array_equal(constant.lr, cyclic.lr)
    assert_alike(constant, cyclic, besides={"lr"})


def test_both_backends_get_the_same_plan(dataset: Dataset) -> None:
    torch, keras = (make_plan(make_run(backend=name), dataset) for name in ("torch", "keras"))
    assert_alike(torch, keras)


def test_seeds_change_weights_and_batches_but_not_the_splits(dataset: Dataset) -> None:
    first, second = make_plan(make_run(), dataset), make_plan(make_run(seed=4), dataset)
    assert not np.array_equal(first.batches, second.batches)
    kernel = next(name for name in first.weights if name.endswith("kernel"))
    assert not np.array_equal(first.weights[kernel], second.weights[kernel])
    assert first.dropout_seed != second.dropout_seed
    assert_alike(first.rows, second.rows)


def test_lr_table_is_the_schedule_in_float32(dataset: Dataset) -> None:
    plan = make_plan(make_run(schedule=TRIANGULAR), dataset)
    step = np.arange(40)
    expected = 0.01 + 0.09 * (1 - np.abs(step % 20 / 10 - 1))
    assert plan.lr.dtype == np.float32
    np.testing.assert_allclose(plan.lr, expected, rtol=1e-6, atol=0)


def test_each_epoch_trains_on_full_batches_of_distinct_training_rows(dataset: Dataset) -> None:
    plan = make_plan(make_run(), dataset)
    assert plan.batches.shape == (40, 30)
    for epoch in range(3):
        rows = plan.batches[13 * epoch : 13 * (epoch + 1)].ravel()
        assert len(np.unique(rows)) == 390
        assert np.isin(rows, plan.rows.train).all()


def test_rows_left_over_are_others_each_epoch(dataset: Dataset) -> None:
    plan = make_plan(make_run(), dataset)
    left_over = [set(plan.rows.train.tolist()) - set(plan.batches[13 * e : 13 * (e + 1)].ravel()) for e in range(3)]
    assert left_over[0] != left_over[1] != left_over[2]


def test_a_longer_run_begins_with_the_batches_of_a_shorter_one() -> None:
    train = np.arange(400, dtype=np.int32)
    short = batch_order(train, make_run(num_steps=20), np.random.default_rng(1))
    long = batch_order(train, make_run(num_steps=200), np.random.default_rng(1))
    np.testing.assert_array_equal(long[:20], short)


def test_splits_do_not_overlap_and_keep_the_shares_of_the_classes(dataset: Dataset) -> None:
    data = Data(dataset="mnist", validation="20 %", train_rows=200, test_rows=10)
    rows = split_rows(data, dataset)
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (200, 100, 10)
    assert not np.intersect1d(rows.train, rows.validation).size
    counts = np.bincount(dataset.y_train, minlength=4)
    for chosen in (rows.train, rows.validation):
        shares = np.bincount(dataset.y_train[chosen], minlength=4)
        assert np.abs(shares - counts * len(chosen) / 500).max() <= 2


def test_the_validation_rows_do_not_depend_on_how_many_rows_are_trained_on(dataset: Dataset) -> None:
    few, all_rows = (
        split_rows(Data(dataset="mnist", validation="100 rows", train_rows=n), dataset) for n in (50, None)
    )
    np.testing.assert_array_equal(few.validation, all_rows.validation)
    assert np.isin(few.train, all_rows.train).all()


@pytest.mark.parametrize("num_rows", [0, 1, 7, 100])
def test_stratified_chooses_distinct_rows_each_class_within_one_of_its_share(num_rows: int) -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10]).astype(np.int32)
    rows = np.arange(1000, 1100, dtype=np.int32)
    chosen = stratified(rows, labels, num_rows, np.random.default_rng(0))
    assert len(np.unique(chosen)) == num_rows
    counts = np.bincount(labels[chosen - 1000], minlength=3)
    assert np.abs(counts - np.array([0.6, 0.3, 0.1]) * num_rows).max() < 1 + 1e-9


IDENTITY_CHANGES = [
    {"seed": 4},
    {"schedule": TRIANGULAR},
    {"batch_size": 31},
    {"num_steps": 41},
    {"backend": "keras"},
    {"model": Mlp(name="mlp", hidden=(9,))},
    {"optimizer": Sgd(name="sgd", momentum=0.5)},
    {"data": Data(dataset="mnist", validation="90 rows")},
]


@pytest.mark.parametrize("change", IDENTITY_CHANGES, ids=lambda change: next(iter(change)))
def test_identity_changes_with_everything_that_decides_the_numbers(dataset: Dataset, change: dict[str, object]) -> None:
    assert run_identity(make_run(**change), dataset, "cpu", 1) != run_identity(make_run(), dataset, "cpu", 1)


def test_identity_changes_with_data_device_and_threads(dataset: Dataset) -> None:
    run = make_run()
    identities = {
        run_identity(run, dataset, "cpu", 1),
        run_identity(run, dataset, "cuda", 1),
        run_identity(run, dataset, "cpu", 2),
        run_identity(run, replace(dataset, checksum="other"), "cpu", 1),
    }
    assert len(identities) == 4


def test_identity_does_not_depend_on_when_a_run_is_evaluated(dataset: Dataset) -> None:
    other = make_run(evaluation_steps=(40,))
    assert run_identity(other, dataset, "cpu", 1) == run_identity(make_run(), dataset, "cpu", 1)


def test_identity_does_not_depend_on_where_the_data_lies(dataset: Dataset) -> None:
    elsewhere = make_run(data=make_run().data.model_copy(update={"dataset": "/elsewhere/mnist.npz"}))
    assert run_identity(elsewhere, dataset, "cpu", 1) == run_identity(make_run(), dataset, "cpu", 1)


def test_standardised_training_rows_have_mean_0_and_deviation_1() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2500, 3, 4, 3), dtype=np.uint8)
    rows = rng.permutation(2500)[:2100].astype(np.int32)
    found = standardisation(images, rows)
    pixels = images[rows].reshape(-1, 3) / 255
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.deviation, pixels.std(axis=0), rtol=1e-6)
    assert found.mean.dtype == found.deviation.dtype == np.float32


def test_float_images_are_standardised_as_they_are_even_far_from_0() -> None:
    images = (np.random.default_rng(1).normal(5000, 0.5, (1500, 4, 4, 1))).astype(np.float32)
    found = standardisation(images, np.arange(1500, dtype=np.int32))
    np.testing.assert_allclose(found.mean, images.mean(dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(found.deviation, images.std(dtype=np.float64), rtol=1e-5)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_constant_channel_is_not_divided_by_nothing(value: int) -> None:
    images = np.full((1001, 2, 2, 1), value, np.uint8)
    assert standardisation(images, np.arange(1001, dtype=np.int32)).deviation == 1
    floats = np.full((1001, 2, 2, 1), value / 300, np.float32)
    assert standardisation(floats, np.arange(1001, dtype=np.int32)).deviation == 1


def test_standardisation_reads_the_training_rows_only(dataset: Dataset) -> None:
    data = Data(dataset="mnist", validation="100 rows", train_rows=200, preprocessing="standardise")
    run = make_run(data=data, batch_size=10)
    plan = make_plan(run, dataset)
    expected = standardisation(dataset.x_train, plan.rows.train)
    assert plan.standardisation is not None
    np.testing.assert_array_equal(plan.standardisation.mean, expected.mean)
    assert make_plan(make_run(), dataset).standardisation is None
    elsewhere = replace(dataset, x_train=255 - dataset.x_train)
    other = make_plan(run, elsewhere).standardisation
    assert other is not None
    np.testing.assert_allclose(other.mean, 1 - expected.mean, rtol=1e-5)


def in_floats(dataset: Dataset, low: float, high: float) -> Dataset:
    """Return the data set with its pixels from `low` to `high` instead of 0 to 255."""
    scaled = [(low + (high - low) * (images / 255)).astype(np.float32) for images in (dataset.x_train, dataset.x_test)]
    return replace(dataset, x_train=scaled[0], x_test=scaled[1])


@pytest.mark.parametrize(("low", "high", "largest"), [(0, 16, 16), (0, 255, 255), (-100, 3, 100), (0, 5.5, 5.5)])
def test_scale_divides_floats_by_the_largest_of_the_training_rows(
    low: float, high: float, largest: float, dataset: Dataset
) -> None:
    floats = in_floats(dataset, low, high)
    plan = make_plan(make_run(), floats)
    assert plan.standardisation is not None
    assert plan.standardisation.mean.tolist() == [0]
    rows = floats.x_train[plan.rows.train]
    np.testing.assert_array_equal(plan.standardisation.deviation, [np.abs(rows).max()])
    np.testing.assert_allclose(plan.standardisation.deviation, largest, rtol=0.02)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-5, 5), (-2.5, 4.9), (0, 0.01)])
def test_floats_that_are_scaled_already_are_taken_as_they_are(low: float, high: float, dataset: Dataset) -> None:
    floats = in_floats(dataset, low, high)
    assert make_plan(make_run(), floats).standardisation is None
    assert run_identity(make_run(), floats, "cpu", 1) == run_identity(make_run(), dataset, "cpu", 1)


def test_the_identity_changes_only_where_floats_are_scaled(dataset: Dataset) -> None:
    scaled = in_floats(dataset, 0, 16)
    standardised = make_run(data=Data(dataset="mnist", validation="100 rows", preprocessing="standardise"))
    assert run_identity(make_run(), scaled, "cpu", 1) != run_identity(make_run(), dataset, "cpu", 1)
    assert run_identity(standardised, scaled, "cpu", 1) == run_identity(standardised, dataset, "cpu", 1)


def test_the_identity_goes_by_what_is_read_and_not_by_how(dataset: Dataset) -> None:
    other = make_run(data=Data(dataset="./own.npz", validation="100 rows", test="20 %", resize=64))
    assert run_identity(other, dataset, "cpu", 1) == run_identity(make_run(), dataset, "cpu", 1)
