"""Validation rows of a data set's own in a plan: all of them, and no training row less."""

from dataclasses import replace

import numpy as np
import pytest

from clrbench.planning.plan import make_plan, run_identity, split_rows
from clrbench.records import Dataset, Split
from clrbench.spec import RunSpec
from clrbench.spec.data import Data
from clrbench.spec.model import Sgd
from clrbench.spec.network import Mlp
from clrbench.spec.schedules import Constant

RNG = np.random.default_rng(11)


def images(rows: int, high: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return RNG.integers(0, high, (rows, 6, 5, 1), dtype=np.uint8)


def classes(rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return RNG.integers(0, 4, rows).astype(np.int32)


@pytest.fixture
def dataset() -> Dataset:
    """Return 500 rows to train, 70 to validate, brighter than these, and 30 to test."""
    return Dataset(
        "tiny",
        images(500, 100),
        classes(500),
        images(30, 100),
        classes(30),
        num_classes=4,
        checksum="checksum",
        x_validation=images(70, 256),
        y_validation=classes(70),
    )


def make_run(data: Data) -> RunSpec:
    return RunSpec(
        backend="torch",
        arm="constant",
        seed=3,
        data=data,
        model=Mlp(name="mlp", hidden=(8,)),
        optimizer=Sgd(name="sgd"),
        batch_size=30,
        schedule=Constant(name="constant", lr=0.1),
        num_steps=40,
        steps_per_epoch=16,
        evaluation_steps=(16, 32, 40),
        evaluated_splits=("validation", "test"),
        divergence_factor=1000.0,
    )


def spec_data(**keys: object) -> Data:
    return Data.model_validate({"dataset": "mnist", **keys})


@pytest.mark.parametrize("validation", ["10 %", "100 rows", "400 rows", "9999 rows", "99 %"])
def test_all_own_rows_are_validated_on_and_all_training_rows_trained_on(validation: str, dataset: Dataset) -> None:
    rows = split_rows(spec_data(validation=validation), dataset)
    assert rows.train.tolist() == list(range(500))
    assert rows.validation.tolist() == list(range(70))
    assert rows.test.tolist() == list(range(30))


@pytest.mark.parametrize("validation", ["0 rows", "0 %"])
def test_without_validation_they_are_not_used(validation: str, dataset: Dataset) -> None:
    rows = split_rows(spec_data(validation=validation), dataset)
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (500, 0, 30)


def test_train_rows_are_drawn_from_the_training_rows_alone(dataset: Dataset) -> None:
    rows = split_rows(spec_data(train_rows=400), dataset)
    assert (len(set(rows.train.tolist())), int(rows.train.max()) < 500, len(rows.validation)) == (400, True, 70)


def test_the_plan_has_their_classes_and_batches_of_training_rows(dataset: Dataset) -> None:
    run = make_run(spec_data())
    plan = make_plan(run, dataset)
    assert dataset.y_validation is not None
    np.testing.assert_array_equal(plan.validation_classes, dataset.y_validation)
    for epoch in (plan.batches[:16], plan.batches[16:32]):
        used = epoch.ravel()
        assert len(np.unique(used)) == 480
        assert 0 <= used.min() <= used.max() < 500
    # What they hold changes no number of the training.
    other = make_plan(run, replace(dataset, x_validation=images(9, 3), y_validation=classes(9)))
    np.testing.assert_array_equal(other.batches, plan.batches)


def test_images_are_standardised_by_the_training_rows(dataset: Dataset) -> None:
    run = make_run(spec_data(preprocessing="standardise"))
    found = make_plan(run, dataset).standardisation
    assert found is not None
    pixels = dataset.x_train.astype(np.float64) / 255
    np.testing.assert_allclose(found.mean, [pixels.mean()], rtol=1e-6)
    np.testing.assert_allclose(found.deviation, [pixels.std()], rtol=1e-6)


def test_floats_are_scaled_by_the_largest_of_the_training_rows(dataset: Dataset) -> None:
    assert dataset.x_validation is not None
    as_floats = replace(
        dataset,
        x_train=dataset.x_train.astype(np.float32),
        x_test=dataset.x_test.astype(np.float32),
        x_validation=dataset.x_validation.astype(np.float32),
    )
    found = make_plan(make_run(spec_data()), as_floats).standardisation
    assert found is not None
    assert found.deviation.tolist() == [99.0]


def test_the_identity_goes_by_the_checksum(dataset: Dataset) -> None:
    run = make_run(spec_data())
    without = replace(dataset, x_validation=None, y_validation=None)
    assert run_identity(run, without, "cpu", 1) == run_identity(run, dataset, "cpu", 1)
    assert run_identity(run, replace(dataset, checksum="other"), "cpu", 1) != run_identity(run, dataset, "cpu", 1)


def test_the_arrays_of_each_split(dataset: Dataset) -> None:
    without = replace(dataset, x_validation=None, y_validation=None)
    for split, expected in (
        (Split.TRAIN, dataset.x_train),
        (Split.VALIDATION, dataset.x_validation),
        (Split.TEST, dataset.x_test),
    ):
        assert dataset.arrays_of(split)[0] is expected
    assert without.arrays_of(Split.VALIDATION)[0] is without.x_train
    assert without.arrays_of(Split.TEST)[0] is without.x_test
