"""A whole experiment on data with validation rows of its own: its validation numbers against a count in numpy."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import run_clrbench

from clrbench.commands.range_test import _validation_rows_by_class
from clrbench.models import ModelSettings, build_layers, initial_weights
from clrbench.records import Dataset
from clrbench.spec.data import Data

RNG = np.random.default_rng(2)
CODES = np.array([3, 7, 9])
SPLITS = {"train": 60, "validation": 45, "test": 30}


def labels(rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(rows) % 3


@pytest.mark.acceptance
@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_a_run_is_validated_on_the_own_rows(backend: str, pipeline: str, tmp_path: Path) -> None:
    images = {split: RNG.uniform(0, 50, (rows, 4, 5, 1)).astype(np.float32) for split, rows in SPLITS.items()}
    images["validation"] *= 1.5
    np.savez(
        tmp_path / "own.npz",
        **{f"x_{split}": array for split, array in images.items()},
        **{f"y_{split}": CODES[labels(rows)] for split, rows in SPLITS.items()},
    )
    spec = {
        "name": "own",
        "data": {"dataset": "own.npz", "pipeline": pipeline, "validation": "9 rows"},
        "model": {"name": "mlp", "hidden": [6]},
        "batch_size": 20,
        "duration": "2 epochs",
        "seeds": 1,
        "backends": [backend],
        # Nothing that float32 can hold is learnt at such a rate, so the weights stay as they were drawn.
        "arms": {"constant": {"schedule": {"name": "constant", "lr": 1e-20}}},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    done = run_clrbench("compare", "spec.yaml", "--workers", "1", folder=tmp_path, CLRBENCH_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert "60 rows to train, 45 of their own to validate, 30 to test" in done.stderr
    assert "data.validation is '9 rows', but the data set has 45 validation rows of its own" in done.stderr
    (run,) = (tmp_path / "results/own/runs").iterdir()
    content = json.loads((run / "run.json").read_text())
    assert content["provenance"]["rows"] == {"train": 60, "validation": 45, "test": 30}
    found = pd.read_csv(run / "evaluations.csv")
    assert found["step"].tolist() == [3, 6]

    layers = build_layers(ModelSettings("mlp", hidden=(6,)), (4, 5, 1), 3)
    weights = {
        name: values.astype(np.float64)
        for name, values in initial_weights(layers, (4, 5, 1), np.random.default_rng([0, 0])).items()
    }
    first, last = sorted({name.rpartition(".")[0] for name in weights})
    for split in ("validation", "test"):
        inputs = (images[split] / images["train"].max()).reshape(SPLITS[split], -1)
        hidden = np.maximum(inputs @ weights[f"{first}.kernel"] + weights[f"{first}.bias"], 0)
        logits = hidden @ weights[f"{last}.kernel"] + weights[f"{last}.bias"]
        right = logits.argmax(1) == labels(SPLITS[split])
        loss = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), labels(len(logits))])
        np.testing.assert_allclose(found[f"{split}_accuracy"], right.mean(), rtol=1e-6)
        np.testing.assert_allclose(found[f"{split}_loss"], loss, rtol=1e-4)


def test_a_range_test_knows_the_classes_of_the_own_rows() -> None:
    pixels = np.zeros((60, 4, 5, 1), np.uint8)
    own = np.repeat([0, 1, 2], [30, 20, 10]).astype(np.int32)
    classes = labels(60).astype(np.int32)
    dataset = Dataset("own", pixels, classes, pixels, classes, 3, "checksum", x_validation=pixels, y_validation=own)
    spec = SimpleNamespace(data=Data(dataset="mnist"))
    runner: Any = SimpleNamespace(dataset=dataset, experiment=SimpleNamespace(spec=spec))
    assert _validation_rows_by_class(runner) == (30, 20, 10)


@pytest.mark.acceptance
def test_a_range_test_is_validated_on_the_own_rows(tmp_path: Path) -> None:
    # The classes of validation have other shares than those of training.
    classes = {"train": labels(600), "validation": np.repeat([0, 1, 2], [30, 20, 10]), "test": labels(30)}
    images = {
        split: RNG.uniform(0, 0.3, (len(found), 4, 5)) + found[:, None, None] / 3 for split, found in classes.items()
    }
    np.savez(
        tmp_path / "own.npz",
        **{f"x_{split}": array.astype(np.float32) for split, array in images.items()},
        **{f"y_{split}": found for split, found in classes.items()},
    )
    spec = {
        "name": "own",
        "data": {"dataset": "own.npz"},
        "model": {"name": "mlp", "hidden": [6]},
        "batch_size": 20,
        "backends": ["torch"],
        "range_test": {"duration": "2 epochs", "seeds": 1, "start_lr": 0.001, "end_lr": 1.0, "confirm": False},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    done = run_clrbench(
        "range-test", "spec.yaml", "--workers", "1", folder=tmp_path, CLRBENCH_DATA=str(tmp_path / "data")
    )
    assert done.returncode in {0, 3}, done.stderr
    # A second attempt is made where the curve still rises at the end.
    runs = [*(tmp_path / "results/own/range-test/runs").iterdir()]
    assert runs
    for run in runs:
        content = json.loads((run / "run.json").read_text())
        assert content["provenance"]["rows"] == {"train": 600, "validation": 60, "test": 30}
        assert content["validation_rows_by_class"] == [30, 20, 10]
        found = pd.read_csv(run / "evaluations.csv")["validation_accuracy"]
        np.testing.assert_allclose(found * 60, np.rint(found * 60), atol=1e-6)
