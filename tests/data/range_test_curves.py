"""Simulated accuracy curves of LR range tests, with the peak and the onset they were made with.

Made from what such curves look like, not from what `clrbench.range_test` fits: a rise over the rates from an onset to a
peak, then a fall. What is observed is the share of so many validation rows, by seeds that differ a little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from clrbench.records import DoubleArray

CHANCE = 0.1
RAMPS = ("linear", "exponential")
ROWS = (500, 1000, 2000, 5000)
POINTS = (60, 100, 200, 400)
ONSET_SHARE = 0.05
"""A rise has set in where it has made this share of its way: a logistic curve has no first point."""

LEVEL_SHARE = 0.01
"""Accuracy is level with its peak where it lies below by at most this share of the rise, or the noise of one point."""

DIPS_SHARE, DIP = 0.5, 0.15
"""Beyond the peak of a ragged curve so many points lie lower, by so much of the rise in the mean."""

# Of the way from onset to peak, counted evenly in lr on a linear ramp, in log lr on an exponential one; `bend` is in 0..1.
RISES: dict[str, Callable[[DoubleArray, float], DoubleArray]] = {
    "piecewise": lambda way, bend: np.interp(way, [0, 0.5, 1, 2], [0, 0.5 + 0.35 * bend, 1, 1]),
    "logistic": lambda way, bend: 1 / (1 + np.exp(-(6 + 2 * bend) * (way - 0.5))),
    "gompertz": lambda way, bend: np.exp(-(4 + 2 * bend) * np.exp(-4.5 * way)),
    "saturating": lambda way, bend: 1 - np.exp(-(2 + 2 * bend) * way.clip(0)),
}

# Of the decades beyond the peak.
FALLS: dict[str, Callable[[DoubleArray, float], DoubleArray]] = {
    "divergence": lambda beyond, _: np.where(beyond > 0, np.nan, 1.0),
    "collapse": lambda beyond, bend: np.exp(-beyond / (0.03 + 0.07 * bend)),
    "decline": lambda beyond, bend: 1 - (0.3 + 0.7 * bend) * beyond,
    "rounded": lambda beyond, bend: 1 / (1 + (beyond / (0.2 + 0.2 * bend)) ** 2),
    "ragged": lambda beyond, bend: 1 - (0.1 + 0.1 * bend) * beyond,
}


@dataclass(frozen=True)
class Kind:
    """What a curve is made of; `rows` are those of the validation split."""

    ramp: str
    points: int
    seeds: int
    rows: int
    rise: str
    fall: str


@dataclass(frozen=True)
class Curve:
    """A simulated range test; `level` are the first and the last rate at which its accuracy is level with its peak."""

    kind: Kind
    lr: DoubleArray
    loss: DoubleArray
    accuracy: DoubleArray
    base_lr: float
    max_lr: float
    level: tuple[float, float]

    @property
    def plateau_decades(self) -> float:
        """How wide the top is."""
        return float(np.log10(self.level[1] / self.level[0]))


def kinds(rng: np.random.Generator, count: int, seeds: tuple[int, ...] = (1, 3, 5)) -> list[Kind]:
    """Draw kinds of curves."""
    return [
        Kind(
            ramp=str(rng.choice(RAMPS)),
            points=int(rng.choice(POINTS)),
            seeds=int(rng.choice(seeds)),
            rows=int(rng.choice(ROWS)),
            rise=str(rng.choice(list(RISES))),
            fall=str(rng.choice(list(FALLS))),
        )
        for _ in range(count)
    ]


def simulate(rng: np.random.Generator, kind: Kind) -> Curve:
    """Return a curve of a kind, onset, peak, height and noise drawn."""
    if kind.ramp == "linear":
        lr = np.linspace(0.001, 1.0, kind.points)
        peak = rng.uniform(0.25, 0.75)
        onset = rng.uniform(0.0, 0.3) * peak + 0.001
    else:
        start = 10 ** rng.uniform(-6, -4)
        lr = np.geomspace(start, start * 10 ** rng.uniform(2.5, 4.0), kind.points)
        decades = np.log10(lr[-1] / lr[0])
        peak = lr[0] * 10 ** (decades * rng.uniform(0.55, 0.8))
        onset = peak / 10 ** (decades * rng.uniform(0.25, 0.5))
    height, bends = rng.uniform(0.3, 0.85), rng.uniform(size=2)

    def clean(rates: DoubleArray, shift_decades: float) -> DoubleArray:
        rates = rates / 10**shift_decades
        scale = (lambda values: values) if kind.ramp == "linear" else np.log10
        way = (scale(rates) - scale(onset)) / (scale(peak) - scale(onset))
        share = RISES[kind.rise](way, bends[0]) * FALLS[kind.fall](np.log10(rates / peak).clip(0), bends[1])
        return CHANCE + height * share.clip(0)

    shifts = rng.normal(0, rng.uniform(0, 0.02), kind.seeds)
    fine = np.geomspace(lr[0], lr[-1], 20_000)
    truth = np.nan_to_num(clean(fine, shifts.mean()))
    if kind.fall == "ragged":
        truth -= (fine > peak * 10 ** shifts.mean()) * DIPS_SHARE * DIP * height
    observed = np.stack([clean(lr, shift) for shift in shifts])
    ragged = (
        (lr > peak * 10 ** shifts[:, None]) & (kind.fall == "ragged") & (rng.uniform(size=observed.shape) < DIPS_SHARE)
    )
    observed -= ragged * rng.exponential(DIP * height, observed.shape)
    observed *= 1 + rng.normal(0, 0.005, (kind.seeds, 1))
    alive = np.isfinite(observed)
    seen = rng.binomial(kind.rows, np.where(alive, observed, 0).clip(0, 1)) / kind.rows
    accuracy = np.where(alive, seen, np.nan)
    top = int(truth.argmax())
    begin = int(truth[: top + 1].argmin())
    rise = truth[top] - truth[begin]
    noise = np.sqrt(truth[top] * (1 - truth[top]) / (kind.rows * kind.seeds))
    level = fine[truth >= truth[top] - max(LEVEL_SHARE * rise, noise)]
    risen = truth[begin : top + 1] >= truth[begin] + ONSET_SHARE * rise
    return Curve(
        kind=kind,
        lr=lr,
        loss=-np.log(accuracy.clip(0.01)) + 0.05 * rng.normal(size=accuracy.shape),
        accuracy=accuracy,
        base_lr=float(fine[begin + risen.argmax()]),
        max_lr=float(fine[top]),
        level=(float(level[0]), float(level[-1])),
    )


def without_answer(rng: np.random.Generator, reason: str, kind: Kind) -> Curve:
    """Return a curve that is to be refused for a reason."""
    curve = simulate(rng, replace(kind, fall="decline", seeds=max(kind.seeds, 2)))
    share = np.linspace(0, 1, kind.points) + np.zeros_like(curve.accuracy)
    low = rng.binomial(kind.rows, np.full(share.shape, CHANCE)) / kind.rows
    if reason == "flat":
        return replace(curve, accuracy=low, loss=np.full(share.shape, 2.3))
    if reason == "starts diverged":
        fallen = CHANCE + rng.uniform(0.2, 0.6) * np.exp(-share * rng.uniform(3, 10))
        return replace(curve, accuracy=rng.binomial(kind.rows, fallen) / kind.rows, loss=2 + 5 * share)
    if reason == "never stops rising":
        rising = CHANCE + 0.8 * RISES[kind.rise](share * rng.uniform(0.5, 0.65), rng.uniform())
        return replace(curve, accuracy=rng.binomial(kind.rows, rising) / kind.rows)
    if reason == "seeds disagree":
        other = simulate(rng, replace(kind, fall="collapse", rise="logistic", ramp="exponential"))
        apart = max(1, round(len(other.lr) * 0.7 / np.log10(other.lr[-1] / other.lr[0])))
        first, second = other.accuracy[0], np.append(other.accuracy[0][apart:], [CHANCE] * apart)
        return replace(other, accuracy=np.stack([first, second]), loss=np.ones((2, len(other.lr))))
    if reason == "too few points":
        few = np.linspace(0, kind.points - 1, rng.integers(2, 12)).astype(int)
        return replace(curve, lr=curve.lr[few], loss=curve.loss[:, few], accuracy=curve.accuracy[:, few])
    return replace(curve, loss=np.full(share.shape, np.nan), accuracy=np.full(share.shape, np.nan))


REASONS = ("flat", "starts diverged", "never stops rising", "seeds disagree", "too few points", "nan from the start")
