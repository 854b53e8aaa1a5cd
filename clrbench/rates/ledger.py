"""What has been asked for so far, what it left behind, and how many updates are left."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from clrbench.rates.records import Outcome, Problem, Request, Run, Stage
from clrbench.records import Bounds

Answer = TypeVar("Answer")
Course: TypeAlias = Generator[Request, Sequence[Outcome], Answer]
"""Yields requests, is sent their outcomes in the same order, and returns what they come to."""

LENGTH_PARTS = 20
"""A trial is a whole number of these parts of the arms' length, so that much the same budget asks for the same runs."""

RESWEEP_PART = 6
"""A sixth of the plain sweep is kept back for one more sweep beyond the limits given: half as long, of one seed in three."""


ReadCurve: TypeAlias = Callable[[Problem, tuple[Run, ...], tuple[Outcome, ...]], Bounds]
"""Returns what the curve of some sweeps says."""


@dataclass
class Ledger:
    """The runs of one course, in the order in which they were asked for; `read_curve` is None for `sweep.read`."""

    problem: Problem
    made: dict[Run, Outcome] = field(default_factory=dict)
    withheld: int = 0
    read_curve: ReadCurve | None = None

    def ask(self, stage: Stage, runs: Iterable[Run]) -> Course[dict[Run, Outcome]]:
        """Have runs made, each once, and return their outcomes."""
        wanted = tuple(dict.fromkeys(runs))
        new = tuple(run for run in wanted if run not in self.made)
        if new:
            outcomes = yield Request(stage, new)
            self.made.update(zip(new, outcomes, strict=True))
        return {run: self.made[run] for run in wanted}

    @property
    def updates(self) -> int:
        """Updates that were made."""
        return sum(outcome.updates for outcome in self.made.values())

    @property
    def left(self) -> int:
        """Updates that may still be made."""
        return self.problem.max_updates - self.updates - self.withheld

    @property
    def training_share(self) -> int:
        """Updates that are for training at rates, whatever the sweeps turn out to cost.

        How soon a sweep diverges, and whether its limits are left, depends on the ramp; how long trials are must not.
        """
        found = sum(outcome.updates for run, outcome in self.made.items() if run.kind == "constant")
        plain = self.problem.plain_updates
        return max(self.problem.max_updates - plain - plain // RESWEEP_PART - found, 0)

    def withhold(self) -> None:
        """Leave no more than the training share."""
        self.withheld = max(self.left - self.training_share, 0)

    def length(self, updates: float, at_least: int) -> int:
        """Return how long a trial may be that is to cost so much: at most as long as an arm, in whole parts of it."""
        longest = self.problem.arm_steps or self.problem.max_updates
        parts = int(LENGTH_PARTS * updates / longest + 1e-9)
        if parts >= 1:
            return min(round(longest * parts / LENGTH_PARTS), longest)
        return min(max(int(updates), at_least), longest)


def replay(course: Course[Answer], evidence: Mapping[Run, Outcome]) -> Request | Answer:
    """Return what a course asks for next, or its answer, given what has been made so far."""
    try:
        request = next(course)
        while all(run in evidence for run in request.runs):
            request = course.send([evidence[run] for run in request.runs])
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    return Request(request.stage, tuple(run for run in request.runs if run not in evidence))
