"""Data that is unusual and sound trains; what cannot be trained on is refused with the reason before any training."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import bad_data as bad
import numpy as np
import pytest
import tiny_training
import yaml

from clrbench.data import Library
from clrbench.errors import SpecError
from clrbench.planning.experiment import open_experiment

Losses = tuple[list[float], list[float]]


@pytest.fixture(scope="module")
def train() -> Iterator[Callable[[Path], Losses]]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda path: pool.submit(tiny_training.train, path).result()


def write_spec(folder: Path, arrays: dict[str, Any], **changes: Any) -> Path:
    """Write an .npz and a spec of four steps on it; `changes` are keys of the spec, those of `data` and a `batch`."""
    spec = {
        "name": "unusual",
        "data": {"dataset": str(bad.npz(**arrays)(folder)), **changes.pop("data", {})},
        "model": {"name": changes.pop("model", "mlp")},
        "batch_size": changes.pop("batch", 5),
        "duration": "4 steps",
        "arms": {"constant": {"schedule": {"name": "constant", "lr": 0.01}}},
        "range_test": changes.pop("range_test", {}),
    }
    assert not changes
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def floats(*shape: int, low: float = 0.0, high: float = 1.0, dtype: str = "float32") -> dict[str, Any]:
    """Return images of floats between two values, 60 of training and 10 of test."""
    rng = np.random.default_rng(0)
    return {f"x_{split}": rng.uniform(low, high, (rows, *shape)).astype(dtype) for split, rows in ROWS.items()}


def ones(*shape: int) -> dict[str, Any]:
    return {f"x_{split}": np.ones((rows, *shape), np.uint8) for split, rows in ROWS.items()}


ROWS = {"train": 60, "test": 10}
TRAINS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "floats beyond 0 to 1": (floats(4, 5, low=-3.0, high=3.0), {}),
    "float16": (floats(4, 5, dtype="float16"), {}),
    "float64": (floats(4, 5, dtype="float64"), {}),
    "five channels": (ones(8, 8, 5), {"model": "cnn"}),
    "one pixel": (ones(1, 1), {}),
    "one pixel, standardised": (ones(1, 1), {"data": {"preprocessing": "standardise"}}),
    "one pixel in a residual network": (ones(1, 1), {"model": "resnet8"}),
    "a constant channel, standardised": (
        {key: images * np.array([1, 0], np.uint8) for key, images in ones(4, 5, 2).items()},
        {"data": {"preprocessing": "standardise"}},
    ),
    "floats near the largest, standardised": (floats(4, 5, high=3e38), {"data": {"preprocessing": "standardise"}}),
    "one row to test": ({"x_test": np.ones((1, 4, 5), np.uint8), "y_test": np.array([1])}, {}),
    "classes that no row has": ({"y_train": np.arange(60) % 2 * 900, "y_test": np.arange(10) % 2 * 900}, {}),
    "one batch of all rows": ({}, {"batch": 54}),
    "two rows": ({}, {"batch": 1, "data": {"train_rows": 3}}),
    "no validation": ({}, {"data": {"validation": "0 rows"}}),
}


@pytest.mark.parametrize(("arrays", "changes"), TRAINS.values(), ids=TRAINS.keys())
def test_unusual_data_trains(
    arrays: dict[str, Any], changes: dict[str, Any], train: Callable[[Path], Losses], tmp_path: Path
) -> None:
    losses, evaluated = train(write_spec(tmp_path, arrays, **dict(changes)))
    assert len(losses) == 4
    assert len(evaluated) == 1 if changes == {"data": {"validation": "0 rows"}} else 2
    assert all(map(math.isfinite, losses + evaluated))


def test_floats_near_the_largest_train_once_they_are_scaled(train: Callable[[Path], Losses], tmp_path: Path) -> None:
    losses, _ = train(write_spec(tmp_path, floats(4, 5, high=3e38)))
    assert len(losses) == 4
    assert all(map(math.isfinite, losses))


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "batch beyond the rows": ({}, {"batch": 55}, "batch_size: got 55; allowed: at most 54, the training rows"),
    "validation takes all": (
        {},
        {"data": {"validation": "60 rows"}},
        "data.validation: got '60 rows' of 60 training rows",
    ),
    "validation beyond the rows": ({}, {"data": {"validation": "1e8 rows"}}, "data.validation: got '100000000 rows'"),
    "more rows than there are": ({}, {"data": {"test_rows": 11}}, "data.test_rows: got 11; allowed: at most 10"),
    "range test too long": (
        {},
        {"range_test": {"duration": "1e8 epochs"}},
        "range_test.duration: got 100000000 epochs",
    ),
    "one pixel in a cnn": (
        ones(1, 1),
        {"model": "cnn"},
        "cnn takes images of at least 4 x 4 pixels, and these are 1 x 1",
    ),
    "one pixel in lenet5": (ones(1, 1), {"model": "lenet5"}, "lenet5 takes images of at least 12 x 12 pixels"),
    "int64 images": ({"x_train": np.ones((60, 4, 5), int)}, {}, "x_train: got images of type int64; allowed: uint8"),
    "colour in test alone": ({"x_test": np.ones((10, 4, 5, 3), np.uint8)}, {}, "both must be alike"),
}


@pytest.mark.parametrize(("arrays", "changes", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_trained_on_is_refused_before_training(
    arrays: dict[str, Any], changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    path = write_spec(tmp_path, arrays, **dict(changes))
    with pytest.raises(SpecError) as caught:
        open_experiment(path, tmp_path / "results", Library(tmp_path / "data"), installed=["torch"])
    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")
