"""The updates and evaluations of one run, in stretches, with checkpoints between them."""

import math
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from operator import add
from typing import Protocol

import numpy as np

from clrbench.backends.protocol import Trainer
from clrbench.hits import balanced_accuracy, count_by_class
from clrbench.records import (
    BoolArray,
    Checkpoint,
    Evaluation,
    FloatArray,
    Hits,
    RunLog,
    Scores,
    Split,
    StepLog,
    Timing,
    TrainPlan,
)


@dataclass(frozen=True)
class Pace:
    """How long a run trains without a break, and how often it is checkpointed; no number of the run depends on it.

    Attributes:
        stretch_seconds: Aimed-at length of a stretch of updates.
        first_stretch_steps: Updates of the first stretch, which only measures how long one takes.
        checkpoint_seconds: Shortest time between two checkpoints.
        checkpoint_share: Largest fraction of the time that checkpoints may take.
    """

    stretch_seconds: float = 2.0
    first_stretch_steps: int = 1
    checkpoint_seconds: float = 5.0
    checkpoint_share: float = 0.02

    def pause_seconds(self, seconds: float) -> float:
        """Return how long to wait before the next checkpoint where one takes so many seconds."""
        return max(self.checkpoint_seconds, seconds / self.checkpoint_share)


class Watcher(Protocol):
    """Follows one run, and may stop it."""

    def advance(self, steps: int) -> None:
        """Count updates that have been made, or that a checkpoint has saved."""

    def warn(self, text: str) -> None:
        """Pass on a warning to the user."""

    def stopping(self) -> bool:
        """Return whether the run is to stop at its next checkpoint."""


@dataclass
class Session:
    """A run under way, from its first update or from a checkpoint on; it has diverged once a loss exceeds `loss_limit`."""

    trainer: Trainer
    plan: TrainPlan
    loss_limit: float
    watcher: Watcher
    keep: Callable[[Checkpoint], None]
    timing: Timing
    pace: Pace = field(default_factory=Pace)
    _stretches: list[StepLog] = field(default_factory=list)
    _updates_done: int = 0
    _diverged_step: int | None = None
    _evaluations: dict[Split, list[Evaluation]] = field(default_factory=dict)
    _num_evaluated: int = 0
    _test_hits: BoolArray | None = None
    _steps_here: int = 0
    _seconds_here: float = 0.0
    _kept_at: float = 0.0
    _keeping_seconds: float = 0.0

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue, bit for bit, where a checkpoint was taken; the time that led to it counts in the timing."""
        self.trainer.restore(checkpoint.state)
        self._stretches = [checkpoint.steps]
        self._updates_done = checkpoint.updates_done
        self._evaluations = {split: list(made) for split, made in checkpoint.evaluations.items()}
        self._num_evaluated = max(map(len, self._evaluations.values()), default=0)
        self.timing = Timing(*map(add, astuple(self.timing), astuple(checkpoint.timing)))
        self.watcher.advance(self._updates_done)

    def run(self) -> RunLog | None:
        """Return the log of the run; or None if it was told to stop, and a checkpoint is stored."""
        self._kept_at = time.monotonic()
        while not self._is_over():
            self._make_progress()
            stopping = self.watcher.stopping()
            if not self._is_over() and (stopping or self._checkpoint_is_due()):
                self._keep()
                if stopping:
                    return None
        return self._log()

    def _is_over(self) -> bool:
        return self._diverged_step is not None or self._num_evaluated == len(self.plan.evaluation_steps)

    def _make_progress(self) -> None:
        """Train a stretch towards the next evaluation, or evaluate."""
        target = int(self.plan.evaluation_steps[self._num_evaluated])
        if self._updates_done < target:
            self._train(self._updates_done, min(self._updates_done + self._stretch_steps(), target))
        else:
            self._evaluate()

    def _stretch_steps(self) -> int:
        if self._steps_here == 0:
            return self.pace.first_stretch_steps
        return max(1, int(self.pace.stretch_seconds * self._steps_here / self._seconds_here))

    def _train(self, start: int, stop: int) -> None:
        started = time.perf_counter()
        log = self.trainer.train(self.plan.batches[start:stop], self.plan.lr[start:stop])
        seconds = time.perf_counter() - started
        self._seconds_here += seconds
        self._steps_here += stop - start
        self.timing = replace(
            self.timing,
            train_seconds=self.timing.train_seconds + seconds,
            num_images=self.timing.num_images + (stop - start) * self.plan.batches.shape[1],
        )
        self._stretches.append(log)
        self._updates_done = stop
        self.watcher.advance(stop - start)
        beyond = np.flatnonzero(~(log.loss <= self.loss_limit))
        if beyond.size > 0:
            self._diverged_step = start + int(beyond[0])

    def _evaluate(self) -> None:
        started = time.perf_counter()
        found = {split: self.trainer.evaluate(split) for split in self.plan.evaluated_splits}
        for split, scores in found.items():
            self._evaluations.setdefault(split, []).append(self._evaluation(split, scores))
            if split is Split.TEST:
                self._test_hits = scores.hits
        self._num_evaluated += 1
        if not all(math.isfinite(one.loss) for one in found.values()):
            self._diverged_step = self._updates_done - 1
        seconds = time.perf_counter() - started
        self.timing = replace(self.timing, evaluation_seconds=self.timing.evaluation_seconds + seconds)

    def _evaluation(self, split: Split, scores: Scores) -> Evaluation:
        balanced = balanced_accuracy(self._count(split, scores.hits), self._count(split))
        return Evaluation(scores.loss, scores.accuracy, balanced)

    def _count(self, split: Split, hits: BoolArray | None = None) -> tuple[int, ...]:
        """Return how many rows of a split each class has, or of those that are right."""
        classes = self.plan.test_classes if split is Split.TEST else self.plan.validation_classes
        return count_by_class(classes if hits is None else classes[hits], self.plan.num_classes)

    def _checkpoint_is_due(self) -> bool:
        return time.monotonic() - self._kept_at >= self.pace.pause_seconds(self._keeping_seconds)

    def _keep(self) -> None:
        started = time.monotonic()
        steps = _joined(self._stretches)
        self._stretches = [steps]
        made = {split: tuple(found) for split, found in self._evaluations.items()}
        self.keep(Checkpoint(self.trainer.state(), steps, made, self.timing))
        self._kept_at = time.monotonic()
        self._keeping_seconds = self._kept_at - started

    def _log(self) -> RunLog:
        num_evaluations = len(self.plan.evaluation_steps)
        nothing = (Evaluation(math.nan, math.nan),) * (num_evaluations - self._num_evaluated)
        steps = _whole(_joined(self._stretches), self.plan.num_steps, self._diverged_step)
        hits = self._test_hits if self._diverged_step is None else None
        return RunLog(
            steps=steps,
            evaluation_steps=self.plan.evaluation_steps,
            evaluations={split: (*self._evaluations.get(split, ()), *nothing) for split in self.plan.evaluated_splits},
            status="finished" if self._diverged_step is None else "diverged",
            reason=None if self._diverged_step is None else self._reason(self._diverged_step, steps),
            timing=self.timing,
            # The last evaluation ends a run, so no checkpoint is ever taken between it and here.
            test_hits=None if hits is None else Hits(hits, self._count(Split.TEST, hits)),
        )

    def _reason(self, diverged_step: int, steps: StepLog) -> str:
        loss = steps.loss[diverged_step]
        if loss <= self.loss_limit:
            return f"the loss of the evaluation after update {diverged_step + 1} is not finite"
        what = f"past {self.loss_limit:.4g}" if math.isfinite(loss) else "not finite"
        lr = steps.lr[diverged_step]
        return f"the loss of update {diverged_step + 1} is {loss:.4g}, {what}, at a learning rate of {lr:.4g}"


def _joined(stretches: list[StepLog]) -> StepLog:
    columns = zip(*((stretch.lr, stretch.loss, stretch.accuracy) for stretch in stretches), strict=True)
    return StepLog(*map(np.concatenate, columns))


def _whole(done: StepLog, num_steps: int, diverged_step: int | None) -> StepLog:
    """Return a log of all planned updates, nan after the one that diverged, wherever its stretch happened to end."""
    kept = num_steps if diverged_step is None else diverged_step + 1

    def fill(found: FloatArray) -> FloatArray:
        values = np.full(num_steps, np.nan, dtype=np.float32)
        values[:kept] = found[:kept]
        return values

    return StepLog(lr=fill(done.lr), loss=fill(done.loss), accuracy=fill(done.accuracy))
