"""A run in stretches, with checkpoints, made by a trainer whose losses are known."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from fakes import NO_TIME, FakeWatcher, ScriptedTrainer, make_plan

from clrbench.execution import session
from clrbench.execution.session import Pace, Session
from clrbench.records import Checkpoint, Evaluation, RunLog, Split, Timing

LIMIT = 10.0


@dataclass
class Made:
    """A session, and what it left."""

    session: Session
    trainer: ScriptedTrainer
    watcher: FakeWatcher
    kept: list[Checkpoint]
    log: RunLog | None = None


def start(losses: list[float], evaluation_steps: list[int], patience: int = 10**6, pace: Pace | None = None) -> Made:
    trainer, watcher, kept = ScriptedTrainer(np.array(losses, np.float32)), FakeWatcher(patience), []
    plan = make_plan(len(losses), evaluation_steps)
    session = Session(trainer, plan, LIMIT, watcher, kept.append, NO_TIME, pace or Pace())
    return Made(session, trainer, watcher, kept)


def run(losses: list[float], evaluation_steps: list[int], pace: Pace | None = None) -> Made:
    made = start(losses, evaluation_steps, pace=pace)
    made.log = made.session.run()
    assert made.log is not None
    assert made.watcher.warnings == []
    return made


def same(first: RunLog, second: RunLog) -> None:
    for name in ("lr", "loss", "accuracy"):
        np.testing.assert_array_equal(getattr(first.steps, name), getattr(second.steps, name))
    assert repr(first.evaluations) == repr(second.evaluations)
    assert repr(first.test_hits) == repr(second.test_hits)
    assert (first.status, first.reason) == (second.status, second.reason)


def test_every_update_and_evaluation_is_made_and_told() -> None:
    made = run([1.0] * 25, [10, 20, 25])
    assert sum(made.trainer.stretches) == sum(made.watcher.told) == 25
    assert made.trainer.evaluated_after == [10, 10, 20, 20, 25, 25]
    assert made.log.status == "finished"
    assert made.log.reason is None
    np.testing.assert_array_equal(made.log.steps.lr, np.linspace(0.1, 1, 25, dtype=np.float32))
    assert [evaluation.loss for evaluation in made.log.evaluations[Split.TEST]] == [10.0, 20.0, 25.0]
    assert made.log.timing.num_images == 50


def test_rows_are_balanced_over_their_classes_and_the_last_hits_of_test_rows_are_kept() -> None:
    # Row 3 is right after 3 updates, row 0 after 4; there are three test rows of class 0, one of class 1, none of class 2;
    # validation rows have them the other way round.
    log = run([1.0] * 4, [3, 4]).log
    assert log.evaluations[Split.TEST] == (Evaluation(3.0, 0.25, 1 / 2), Evaluation(4.0, 0.25, 1 / 6))
    assert log.evaluations[Split.VALIDATION] == (Evaluation(3.0, 0.25, 1 / 6), Evaluation(4.0, 0.25, 1 / 2))
    assert log.test_hits.rows.tolist() == [True, False, False, False]
    assert log.test_hits.by_class == (1, 0, 0)


def test_a_run_that_diverged_or_saw_no_test_row_has_no_hits() -> None:
    assert run([1.0] * 12 + [math.inf], [10, 13]).log.test_hits is None
    made = start([1.0] * 4, [3, 4])
    made.session.plan = replace(made.session.plan, evaluated_splits=(Split.VALIDATION,))
    assert made.session.run().test_hits is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, 10.5])
def test_a_run_ends_where_its_loss_is_beyond_bounds_and_is_nan_from_there_on(bad: float) -> None:
    losses = [1.0] * 12 + [bad] + [2.0] * 17
    made = run(losses, [10, 20, 30])
    assert made.log.status == "diverged"
    assert "update 13" in made.log.reason
    np.testing.assert_array_equal(made.log.steps.loss[:13], np.array(losses[:13], np.float32))
    for values in (made.log.steps.loss, made.log.steps.lr, made.log.steps.accuracy):
        assert np.isnan(values[13:]).all()
    assert made.trainer.evaluated_after == [10, 10]
    assert [math.isnan(evaluation.loss) for evaluation in made.log.evaluations[Split.VALIDATION]] == [False, True, True]


def test_a_run_whose_evaluation_is_not_finite_has_diverged() -> None:
    made = start([1.0] * 30, [10, 20, 30])
    made.trainer.bad_evaluation = 20
    log = made.session.run()
    assert log.status == "diverged"
    assert log.reason == "the loss of the evaluation after update 20 is not finite"
    assert np.isnan(log.steps.loss).tolist() == [False] * 20 + [True] * 10
    assert [evaluation.loss for evaluation in log.evaluations[Split.TEST]][:1] == [10.0]
    assert made.trainer.evaluated_after == [10, 10, 20, 20]


def test_what_is_kept_of_a_diverged_run_does_not_depend_on_the_stretches() -> None:
    losses = [1.0] * 12 + [math.inf] + [2.0] * 17
    long = run(losses, [30])
    short = run(losses, [30], Pace(first_stretch_steps=1, stretch_seconds=0.0))
    assert len(short.trainer.stretches) == 13
    for name in ("lr", "loss", "accuracy"):
        np.testing.assert_array_equal(getattr(short.log.steps, name), getattr(long.log.steps, name))


def test_a_loss_at_the_limit_is_not_beyond_it() -> None:
    assert run([1.0, LIMIT, 1.0], [3]).log.status == "finished"


@pytest.mark.parametrize("losses", [[1.0] * 25, [1.0] * 12 + [math.inf] + [2.0] * 12], ids=["finished", "diverged"])
def test_a_run_stopped_after_any_stretch_or_evaluation_continues_as_if_it_never_was(losses: list[float]) -> None:
    pace = Pace(first_stretch_steps=4, stretch_seconds=0.0)
    whole = run(losses, [10, 20, 25], pace)
    stops = 0
    for patience in range(1000):
        stopped = start(losses, [10, 20, 25], patience, pace)
        log = stopped.session.run()
        if log is not None:
            break
        stops += 1
        (checkpoint,) = stopped.kept
        resumed = start(losses, [10, 20, 25], pace=pace)
        resumed.session.resume(checkpoint)
        log = resumed.session.run()
        assert log is not None
        same(log, whole.log)
        evaluated = stopped.trainer.evaluated_after + resumed.trainer.evaluated_after
        assert evaluated == whole.trainer.evaluated_after
        assert resumed.watcher.told[0] == checkpoint.updates_done
    # One stop after each stretch and each evaluation but the last of all, which ends the run.
    assert stops == len(whole.trainer.stretches) + len(whole.trainer.evaluated_after) // 2 - 1


def test_checkpoints_follow_each_other_no_sooner_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(session.time, "monotonic", lambda: float(next(clock)))
    # A second passes with every look at the clock: each checkpoint takes one, which asks for 50 before the next.
    made = run([1.0] * 120, [120], Pace(first_stretch_steps=1, stretch_seconds=0.0))
    done = [checkpoint.updates_done for checkpoint in made.kept]
    assert done[0] == 5
    assert np.diff(done).tolist() == [50] * (len(done) - 1)
    assert len(done) == 3


def test_timing_of_a_run_that_was_resumed_is_the_sum() -> None:
    stopped = start([1.0] * 25, [25], patience=0)
    assert stopped.session.run() is None
    (checkpoint,) = stopped.kept
    earlier = Timing(1.0, 2.0, 3.0, 4.0, num_images=2)
    resumed = start([1.0] * 25, [25])
    resumed.session.timing = Timing(0.0, 0.0, 0.5, 0.25, num_images=0)
    resumed.session.resume(Checkpoint(checkpoint.state, checkpoint.steps, {}, earlier))
    timing = resumed.session.run().timing
    assert (timing.compile_seconds, timing.load_seconds, timing.num_images) == (3.5, 4.25, 50)
    assert timing.train_seconds > 1.0
    assert timing.evaluation_seconds > 2.0
