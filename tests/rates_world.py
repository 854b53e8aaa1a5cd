"""A toy world in which every training takes no time: what a run of any rates reaches, and which rate is best.

Progress accumulates with the rate, noise that grows with the rate of the moment takes accuracy away, and past a limit the
weights run off. It knows nothing of how `clrbench.rates` searches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clrbench.rates import Outcome, Problem, Rates, Request, Run
from clrbench.rates.course import next_step

POINTS = 20


@dataclass(frozen=True)
class World:
    """One training problem.

    Attributes:
        rate: At which one update makes one unit of progress.
        slowness: Units of progress that reach 63 % of the height.
        noise: Accuracy lost at `rate`, as a share of the height; grows as the square root of the rate.
        limit: Rate past which it diverges.
        delay: Units of progress before learning begins; a hundredth of them counts.
    """

    rate: float = 0.05
    slowness: float = 60.0
    noise: float = 0.02
    limit: float = 0.5
    delay: float = 0.0
    floor: float = 0.1
    height: float = 0.8
    rows: int = 500
    jitter: float = 0.005
    classes: int = 10
    first_loss: float | None = None

    def accuracy(self, lr: np.ndarray) -> np.ndarray:
        """Return the true accuracy after every update, nan past a divergence."""
        units = np.cumsum(lr / self.rate / (1 + (lr / self.rate / 30) ** 2))
        units = np.clip(units - self.delay, 0, None) + 0.01 * np.minimum(units, self.delay)
        level = 1 - np.exp(-units / self.slowness) - self.noise * np.sqrt(lr / self.rate)
        reached = self.floor + self.height * np.clip(level, 0, 1)
        return np.where(np.maximum.accumulate(lr) > self.limit, np.nan, reached)

    def outcome(self, run: Run, *, loss_only: bool = False) -> Outcome:
        """Return what a run leaves behind: binomial over the rows, some of it common to all runs."""
        rng = np.random.default_rng([run.seed, round(1e6 * run.high) % 2**31, run.num_steps])
        common = np.random.default_rng(7).normal() * 0.7
        truth = self.accuracy(run.lr())
        points = POINTS if run.kind in {"constant", "triangular"} else 100
        steps = np.unique(np.rint(np.linspace(0, run.num_steps, min(points, run.num_steps) + 1)[1:]).astype(int))
        here = truth[steps - 1]
        error = np.sqrt(np.clip(here * (1 - here), 1e-4, None) / self.rows)
        own = rng.normal(0, self.jitter) + rng.normal(0, self.jitter, len(steps))
        accuracy = np.clip(here + own + error * (common + 0.7 * rng.normal()), 0, 1)
        train_loss = np.where(np.isfinite(truth), self._loss(truth), np.nan)
        train_loss[0] = self._loss(np.array(self.floor)) if self.first_loss is None else self.first_loss
        if self.first_loss is not None:
            train_loss[1:], accuracy = np.nan, accuracy * np.nan
        # While nothing is learned a loss tells more than accuracy does.
        loss = self._loss(here if self.delay else accuracy)
        return Outcome(train_loss, steps, loss, accuracy * np.nan if loss_only else accuracy)

    def _loss(self, accuracy: np.ndarray) -> np.ndarray:
        share = (accuracy - self.floor) / max(self.height, 0.05)
        return np.log(self.classes) * (1.02 - 0.9 * share)

    def best_constant(self, num_steps: int) -> float:
        """Return the accuracy at the end of the best constant rate."""
        rates = 10 ** np.linspace(-7, 2, 300)
        return float(np.nanmax([self.accuracy(np.full(num_steps, rate))[-1] for rate in rates]))

    def best_triangles(self, num_steps: int) -> float:
        """Return the accuracy at the end of the best triangles, from a tenth."""
        runs = [Run("triangular", rate / 10, rate, 0, num_steps, 4) for rate in 10 ** np.linspace(-7, 2, 200)]
        return float(np.nanmax([self.accuracy(run.lr())[-1] for run in runs]))


def problem(world: World, **changes: object) -> Problem:
    """Return the problem of a world: arms of 600 updates, three sweeps of 250."""
    counts = (world.rows // world.classes,) * world.classes
    settings = {"sweep_steps": 250, "arm_steps": 600, "seeds": (1_000_000, 1_000_001, 1_000_002)}
    return Problem(**{"class_counts": counts, "num_classes": world.classes, **settings, **changes})


def solve(world: World, asked: Problem, *, loss_only: bool = False) -> tuple[Rates, dict[Run, Outcome], list[Request]]:
    """Return the answer, everything made for it, and the requests in their order."""
    evidence: dict[Run, Outcome] = {}
    requests: list[Request] = []
    while isinstance(step := next_step(asked, evidence), Request):
        requests.append(step)
        evidence |= {run: world.outcome(run, loss_only=loss_only) for run in step.runs}
        assert len(requests) < 50
    return step, evidence, requests


def draw(rng: np.random.Generator) -> World:
    """Return a world of any kind."""
    rate = 10 ** rng.uniform(-4, -0.5)
    return World(
        rate=rate,
        slowness=10 ** rng.uniform(1.2, 2.4),
        noise=10 ** rng.uniform(-2.3, -1.3),
        limit=rate * 10 ** rng.uniform(0.3, 1.7),
        height=rng.uniform(0.3, 0.88),
        rows=int(rng.choice([300, 500, 2000])),
        jitter=10 ** rng.uniform(-3, -2),
    )
