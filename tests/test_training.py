"""One run from plan to files, with a trainer whose losses are known."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clrbench import training
from clrbench.records import Evaluation, FloatArray, IntArray, OptimizerSettings, Split, SplitRows, StepLog, TrainPlan
from clrbench.store import ResultsFolder
from clrbench.training import _Session

LIMIT = 10.0


@dataclass
class ScriptedTrainer:
    """Returns losses from a list, and counts what it is asked for."""

    losses: FloatArray
    stretches: list[int] = field(default_factory=list)
    evaluated_after: list[int] = field(default_factory=list)

    def train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        done = sum(self.stretches)
        self.stretches.append(len(batches))
        return StepLog(lr, self.losses[done : done + len(lr)], np.full(len(lr), 0.5, np.float32))

    def evaluate(self, split: Split) -> Evaluation:
        self.evaluated_after.append(sum(self.stretches))
        return Evaluation(float(len(self.evaluated_after)), 0.25)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: object) -> None:
        raise AssertionError


def make_plan(num_steps: int, evaluation_steps: list[int]) -> TrainPlan:
    rows = np.arange(4, dtype=np.int32)
    return TrainPlan(
        layers=(),
        weights={},
        optimizer=OptimizerSettings(),
        batches=np.zeros((num_steps, 2), np.int32),
        lr=np.linspace(0.1, 1, num_steps, dtype=np.float32),
        rows=SplitRows(rows, rows, rows),
        evaluation_steps=np.array(evaluation_steps, np.int32),
        evaluated_splits=(Split.VALIDATION, Split.TEST),
        steps_per_epoch=10,
        dropout_seed=0,
    )


def run(losses: list[float], evaluation_steps: list[int]) -> tuple[Any, ScriptedTrainer, list[int]]:
    trainer = ScriptedTrainer(np.array(losses, np.float32))
    told: list[int] = []
    session = _Session(trainer, make_plan(len(losses), evaluation_steps), LIMIT, told.append)
    return session.run(0.0, 0.0), trainer, told


def test_every_update_and_evaluation_is_made_and_told() -> None:
    log, trainer, told = run([1.0] * 25, [10, 20, 25])
    assert sum(trainer.stretches) == sum(told) == 25
    assert trainer.evaluated_after == [10, 10, 20, 20, 25, 25]
    assert log.status == "finished"
    assert log.reason is None
    np.testing.assert_array_equal(log.steps.lr, np.linspace(0.1, 1, 25, dtype=np.float32))
    assert [evaluation.loss for evaluation in log.evaluations[Split.TEST]] == [2.0, 4.0, 6.0]
    assert log.timing.num_images == 50


@pytest.mark.parametrize("bad", [math.nan, math.inf, 10.5])
def test_a_run_ends_where_its_loss_is_beyond_bounds_and_is_nan_from_there_on(bad: float) -> None:
    losses = [1.0] * 12 + [bad] + [2.0] * 17
    log, trainer, _ = run(losses, [10, 20, 30])
    assert log.status == "diverged"
    assert "update 13" in log.reason
    np.testing.assert_array_equal(log.steps.loss[:13], np.array(losses[:13], np.float32))
    for values in (log.steps.loss, log.steps.lr, log.steps.accuracy):
        assert np.isnan(values[13:]).all()
    assert trainer.evaluated_after == [10, 10]
    assert [math.isnan(evaluation.loss) for evaluation in log.evaluations[Split.VALIDATION]] == [False, True, True]


def test_what_is_kept_of_a_diverged_run_does_not_depend_on_the_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [1.0] * 12 + [math.inf] + [2.0] * 17
    long, _, _ = run(losses, [30])
    monkeypatch.setattr(training, "FIRST_STRETCH_STEPS", 1)
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)
    short, trainer, _ = run(losses, [30])
    assert len(trainer.stretches) == 13
    for name in ("lr", "loss", "accuracy"):
        np.testing.assert_array_equal(getattr(short.steps, name), getattr(long.steps, name))


def test_a_loss_at_the_limit_is_not_beyond_it() -> None:
    log, _, _ = run([1.0, LIMIT, 1.0], [3])
    assert log.status == "finished"


def test_files_of_a_run(tmp_path: Path) -> None:
    log, _, _ = run([1.5] * 12 + [math.nan] + [1.0] * 7, [10, 20])
    folder = ResultsFolder(tmp_path)
    folder.write_run("torch-a-s0-12345678", 10, log, {"status": log.status})
    run_folder = tmp_path / "runs" / "torch-a-s0-12345678"
    assert sorted(path.name for path in run_folder.iterdir()) == ["evaluations.csv", "run.json", "steps.csv"]
    steps = pd.read_csv(run_folder / "steps.csv")
    assert list(steps) == ["step", "lr", "train_loss", "train_accuracy"]
    assert steps["step"].tolist() == list(range(1, 21))
    assert steps["lr"].isna().sum() == 7
    evaluations = pd.read_csv(run_folder / "evaluations.csv")
    assert evaluations[["epoch", "step"]].to_numpy().tolist() == [[1.0, 10], [2.0, 20]]
    assert (run_folder / "evaluations.csv").read_text().splitlines()[2] == "2.0,20,nan,nan,nan,nan"
