"""The same training once as built-in arms, once as a script in numpy: the same metrics, and so the same verdict."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import run_clrbench

SCRIPT = """
import sys

import numpy as np

import clrbench

seed, drawn = int(sys.argv[1]), sys.argv[2]
run = clrbench.current_run()
data = np.load("data.npz")
# As clrbench draws them: Glorot-uniform kernels in order, then a permutation an epoch. Or as anybody might.
alike = drawn == "alike"
rng = np.random.default_rng([seed, 0] if alike else seed)
limits = np.sqrt(6 / np.array([6 + 12, 12 + 3]))
W = [rng.uniform(-limit, limit, shape) for limit, shape in zip(limits, [(6, 12), (12, 3)])]
W = [W[0].astype(np.float32), np.zeros(12, np.float32), W[1].astype(np.float32), np.zeros(3, np.float32)]
velocity = [np.zeros_like(weight) for weight in W]
order = np.random.default_rng([seed, 1]) if alike else rng


def forward(x):
    hidden = np.maximum(x @ W[0] + W[1], 0)
    logits = hidden @ W[2] + W[3]
    shifted = logits - logits.max(1, keepdims=True)
    return hidden, shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def scores(split, log_shares, labels):
    loss = -log_shares[np.arange(len(labels)), labels].mean(dtype=float)
    return {f"{split}_loss": loss, f"{split}_accuracy": (log_shares.argmax(1) == labels).mean()}


step = 0
for _ in range(run.epochs):
    for rows in order.permutation(len(data["x_train"]))[: run.steps_per_epoch * 20].reshape(-1, 20):
        x, labels, lr = data["x_train"][rows], data["y_train"][rows], np.float32(run.lr[step])
        hidden, log_shares = forward(x)
        step += 1
        run.log(step, lr=lr, **scores("train", log_shares, labels))
        error = np.exp(log_shares)
        error[np.arange(20), labels] -= 1
        error /= 20
        below = (error @ W[2].T) * (hidden > 0)
        for i, gradient in enumerate([x.T @ below, below.sum(0), hidden.T @ error, error.sum(0)]):
            velocity[i] = np.float32(0.9) * velocity[i] + gradient
            W[i] = W[i] - lr * velocity[i]
        if run.evaluate_at(step):
            for split in ("validation", "test"):
                run.log(step, **scores(split, forward(data[f"x_{split}"])[1], data[f"y_{split}"]))
"""
COMMON: dict[str, Any] = {
    "duration": "4 epochs",
    "seeds": 7,
    "verdict": {"margin": 0.005},
    "targets": {"test_accuracy": [0.6, 0.8]},
    "arms": {
        "constant": {"schedule": {"name": "constant", "lr": 0.001}},
        "clr": {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 2}},
    },
}
BUILT_IN = {
    "data": {"dataset": "data.npz", "validation": "10 %"},
    "model": {"name": "mlp", "hidden": [12]},
    "optimizer": {"name": "sgd", "momentum": 0.9},
    "batch_size": 20,
    "backends": ["torch"],
}
MEASURED = [
    "lr",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
]
COMPARED = ["mean_difference", "ci_low", "ci_high", "p_value"]


def write_data(folder: Path) -> None:
    """Write rows of three classes that a network can learn, with validation rows of their own, which no seed draws."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(1300, 6)).astype(np.float32)
    labels = np.argmax(np.tanh(rows[:, :3] * 2) + rows[:, 3:] ** 2 + 0.3 * rng.normal(size=(1300, 3)), axis=1)
    cuts = {"train": slice(0, 310), "validation": slice(310, 500), "test": slice(500, None)}
    np.savez(
        folder / "data.npz",
        **{f"x_{split}": rows[cut] for split, cut in cuts.items()},
        **{f"y_{split}": labels[cut] for split, cut in cuts.items()},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of both, and of the script once more, with numbers that it draws its own way."""
    folder = tmp_path_factory.mktemp("same")
    write_data(folder)
    (folder / "train.py").write_text(SCRIPT)
    specs = {"built-in": BUILT_IN} | {
        drawn: {"train": {"command": f"{shlex.quote(sys.executable)} train.py {{seed}} {drawn}", "steps_per_epoch": 15}}
        for drawn in ("alike", "otherwise")
    }
    for name, content in specs.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, **content, **COMMON}, sort_keys=False))
        done = run_clrbench("compare", f"{name}.yaml", folder=folder)
        assert done.returncode == 0, done.stderr
    return folder


def table(folder: Path, experiment: str, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / experiment / f"{name}.csv")


def verdicts(folder: Path, experiment: str) -> pd.DataFrame:
    return table(folder, experiment, "comparison").set_index("metric").loc[["test_accuracy", "test_loss"]]


@pytest.mark.acceptance
def test_a_script_that_draws_alike_has_the_metrics_of_the_built_in_arms(folder: Path) -> None:
    ours, theirs = (table(folder, name, "metrics") for name in ("built-in", "alike"))
    keys = ["arm", "seed", "epoch", "step"]
    pd.testing.assert_frame_equal(ours[keys], theirs[keys])
    np.testing.assert_allclose(theirs[MEASURED], ours[MEASURED], rtol=2e-5)


@pytest.mark.acceptance
def test_a_script_that_draws_alike_has_the_numbers_of_the_verdict(folder: Path) -> None:
    ours, theirs = verdicts(folder, "built-in"), verdicts(folder, "alike")
    counted = ["candidate", "baseline", "pairs", "wins", "ties", "losses", "verdict"]
    pd.testing.assert_frame_equal(ours[counted], theirs[counted])
    np.testing.assert_allclose(theirs[COMPARED], ours[COMPARED], rtol=2e-5, atol=1e-9)
    ours, theirs = (table(folder, name, "targets") for name in ("built-in", "alike"))
    steps = ["arm", "target", "seed", "first_step", "sustained_step"]
    pd.testing.assert_frame_equal(ours[steps], theirs[steps])
    assert table(folder, "alike", "starts").loc[0, "pairing"] == "seen"


@pytest.mark.acceptance
def test_a_script_that_draws_its_own_numbers_comes_to_the_same_verdict(folder: Path) -> None:
    ours, theirs = verdicts(folder, "built-in"), verdicts(folder, "otherwise")
    assert list(theirs["verdict"]) == list(ours["verdict"]) == ["better", "better"]
    assert not np.allclose(theirs["mean_difference"], ours["mean_difference"])
