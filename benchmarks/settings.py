"""Small training problems of many kinds, whose trainings take a second or less: data, model, optimizer, length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from clrbench.data import mnist, street_digits
from clrbench.data.content import content_checksum
from clrbench.records import Dataset
from clrbench.spec import RunSpec

Rows = tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]

TEST_ROWS = 2000
VALIDATION_ROWS = 500


@dataclass(frozen=True)
class Setting:
    """One problem.

    Attributes:
        num_steps: Updates of the arms.
        sweep_share: Updates of one sweep, as a part of those of an arm.
        hopeless: Whether no rate can teach it anything, so that a refusal is right.
    """

    name: str
    data: str
    train_rows: int
    model: tuple[tuple[str, object], ...]
    optimizer: tuple[tuple[str, object], ...]
    batch_size: int
    num_steps: int
    sweep_share: float = 5 / 12
    validation_rows: int = VALIDATION_ROWS
    backend: str = "torch"
    hopeless: bool = False

    @property
    def sweep_steps(self) -> int:
        """Updates of one sweep of the range test."""
        return round(self.num_steps * self.sweep_share)

    def dataset(self) -> Dataset:
        """Return its data, made or read once."""
        return _dataset(self.data, self.train_rows + self.validation_rows)

    def run(self, seed: int, num_steps: int | None = None) -> RunSpec:
        """Return the run of a seed; its schedule stands for any other."""
        return RunSpec.model_validate(
            {
                "backend": self.backend,
                "arm": "any",
                "seed": seed,
                "data": {"dataset": "mnist", "validation": f"{self.validation_rows} rows"},
                "model": dict(self.model),
                "optimizer": dict(self.optimizer),
                "batch_size": self.batch_size,
                "schedule": {"name": "constant", "lr": 0.01},
                "num_steps": num_steps or self.num_steps,
                "steps_per_epoch": self.train_rows // self.batch_size,
                "evaluation_steps": (num_steps or self.num_steps,),
                "evaluated_splits": ("validation", "test"),
                "divergence_factor": 1000.0,
            }
        )


@cache
def _dataset(name: str, train_rows: int) -> Dataset:
    made_x, made_y = _DATA[name](np.random.default_rng(20_240_613), train_rows + TEST_ROWS)
    x, y = np.ascontiguousarray(made_x, np.float32), np.ascontiguousarray(made_y, np.int32)
    checksum = content_checksum(x, y)
    split = train_rows
    return Dataset(name, x[:split], y[:split], x[split:], y[split:], int(y.max()) + 1, checksum)


def _digits(rng: np.random.Generator, rows: int, *, pool: int, scale: float = 1 / 255) -> Rows:
    arrays = mnist.read()
    chosen = rng.choice(len(arrays["y_train"]), rows, replace=False)
    images = arrays["x_train"][chosen].reshape(rows, 28 // pool, pool, 28 // pool, pool).mean((2, 4))
    return images[..., None] * scale, arrays["y_train"][chosen]


def _street(rng: np.random.Generator, rows: int) -> Rows:
    images, labels = street_digits.render("train", range(rows))
    grey = images.mean(-1).reshape(rows, 8, 4, 8, 4).mean((2, 4))
    order = rng.permutation(rows)
    return grey[order, ..., None] / 255, labels[order]


def _spirals(rng: np.random.Generator, rows: int) -> Rows:
    labels, along = rng.integers(3, size=rows), rng.uniform(0.1, 1, rows)
    angle = 4.5 * along + labels * 2 * np.pi / 3 + rng.normal(0, 0.12, rows)
    return (2 * along * np.stack([np.cos(angle), np.sin(angle)])).T.reshape(rows, 1, 1, 2), labels


def _mixture(rng: np.random.Generator, rows: int, *, classes: int, features: int, spread: float) -> Rows:
    centres = rng.normal(size=(classes, 2, features)) * spread
    labels, part = rng.integers(classes, size=rows), rng.integers(2, size=rows)
    return (centres[labels, part] + rng.normal(size=(rows, features))).reshape(rows, 1, 1, features), labels


def _unequal(rng: np.random.Generator, rows: int) -> Rows:
    labels = (rng.uniform(size=rows) < 0.01).astype(int)
    centre = np.zeros(36)
    centre[:6] = 1.5
    x = 0.2 * rng.normal(size=(rows, 36)) + 0.3 * labels[:, None] * centre + 0.5
    return x.reshape(rows, 6, 6, 1), labels


def _blobs(rng: np.random.Generator, rows: int, *, share: float, apart: float) -> Rows:
    """Two blobs of 36 values in 0 to 1, so many of the rows in the second one."""
    labels = (rng.random(rows) < share).astype(int)
    x = rng.normal(0.4, 0.1, (rows, 6, 6, 1))
    x[labels == 1, :3] += apart
    return np.clip(x, 0, 1), labels


def _three_unequal(rng: np.random.Generator, rows: int) -> Rows:
    labels = rng.choice(3, size=rows, p=[0.8, 0.15, 0.05])
    centres = rng.normal(size=(3, 16)) * 0.7
    return (centres[labels] + rng.normal(size=(rows, 16))).reshape(rows, 4, 4, 1), labels


def _stripes(rng: np.random.Generator, rows: int) -> Rows:
    """Gratings of four directions and any phase, in noise."""
    labels, phase = rng.integers(4, size=rows), rng.uniform(0, 2 * np.pi, rows)
    across, down = np.meshgrid(np.arange(8), np.arange(8))
    angle = (labels * np.pi / 4)[:, None, None]
    wave = np.sin(1.3 * (across * np.cos(angle) + down * np.sin(angle)) + phase[:, None, None])
    return (wave + 0.8 * rng.normal(size=wave.shape))[..., None], labels


def _parity(rng: np.random.Generator, rows: int) -> Rows:
    """The sign of a product of two of eight inputs."""
    x = rng.normal(size=(rows, 8))
    return x.reshape(rows, 1, 1, 8), (x[:, 0] * x[:, 1] > 0).astype(int)


def _random(rng: np.random.Generator, rows: int) -> Rows:
    return rng.normal(size=(rows, 4, 4, 1)), rng.integers(10, size=rows)


def _noisy(rng: np.random.Generator, rows: int) -> Rows:
    x, y = _digits(rng, rows, pool=4)
    wrong = rng.uniform(size=rows) < 0.25
    return x, np.where(wrong, rng.integers(10, size=rows), y)


_DATA: dict[str, Callable[[np.random.Generator, int], Rows]] = {
    "digits": partial(_digits, pool=4),
    "digits14": partial(_digits, pool=2),
    "digits28": partial(_digits, pool=1),
    "digits255": partial(_digits, pool=4, scale=1.0),
    "noisy digits": _noisy,
    "street": _street,
    "spirals": _spirals,
    "mixture": partial(_mixture, classes=5, features=20, spread=0.5),
    "many": partial(_mixture, classes=20, features=30, spread=0.6),
    "unequal": _unequal,
    "blobs 99": partial(_blobs, share=0.01, apart=0.2),
    "blobs 98": partial(_blobs, share=0.02, apart=0.12),
    "blobs 95": partial(_blobs, share=0.05, apart=0.08),
    "blobs 99.5": partial(_blobs, share=0.005, apart=0.2),
    "three unequal": _three_unequal,
    "stripes": _stripes,
    "parity": _parity,
    "random": _random,
}

SGD = (("name", "sgd"),)
MOMENTUM = (("name", "sgd"), ("momentum", 0.9))
NESTEROV = (("name", "sgd"), ("momentum", 0.9), ("nesterov", True))
ADAM = (("name", "adam"),)
ADAMW = (("name", "adamw"), ("weight_decay", 0.01))
RMSPROP = (("name", "rmsprop"),)


def _mlp(*hidden: int, **options: object) -> tuple[tuple[str, object], ...]:
    return ("name", "mlp"), ("hidden", hidden), *options.items()


SOFTMAX = _mlp()
SMALL = _mlp(32)
DEEP = _mlp(64, 32)
NORMED = _mlp(64, 32, batch_norm=True)
TANH = _mlp(32, 32, activation="tanh")
DROPPED = _mlp(64, dropout=0.3)
SOFTMAX_UNITS = _mlp(32, activation="softmax")
CNN = (("name", "cnn"),)

_TUNED = (
    Setting("digits momentum", "digits", 3000, DEEP, MOMENTUM, 64, 600),
    Setting("digits adam", "digits", 3000, DEEP, ADAM, 64, 300),
    Setting("digits softmax sgd", "digits", 3000, SOFTMAX, SGD, 64, 600),
    Setting("digits norm sgd", "digits", 2000, NORMED, SGD, 32, 600),
    Setting("noisy tanh momentum", "noisy digits", 2000, TANH, MOMENTUM, 32, 1000),
    Setting("spirals momentum", "spirals", 800, TANH, MOMENTUM, 32, 1500),
    Setting("spirals adam", "spirals", 800, DEEP, ADAM, 32, 600),
    Setting("mixture rmsprop", "mixture", 1000, DROPPED, RMSPROP, 32, 600, 5 / 6),
    Setting("many nesterov", "many", 2000, DEEP, NESTEROV, 64, 500),
    Setting("unequal momentum", "unequal", 2000, SMALL, MOMENTUM, 32, 800),
    Setting("few adamw", "digits", 120, DEEP, ADAMW, 20, 300),
    Setting("digits255 momentum", "digits255", 2000, SMALL, MOMENTUM, 32, 600),
    Setting("stripes sgd", "stripes", 2000, DEEP, SGD, 32, 1500),
    Setting("parity adam", "parity", 1500, DEEP, ADAM, 32, 1000),
    Setting("street adamw", "street", 3000, NORMED, ADAMW, 64, 600),
    Setting("street nesterov", "street", 3000, DEEP, NESTEROV, 64, 1000),
    Setting("random momentum", "random", 1000, DEEP, MOMENTUM, 32, 400, hopeless=True),
)

_FINAL = (
    Setting("digits nesterov", "digits", 2000, TANH, NESTEROV, 64, 500),
    Setting("digits norm adam", "digits", 3000, NORMED, ADAM, 64, 400),
    Setting("digits softmax adam", "digits", 3000, SOFTMAX, ADAM, 64, 600),
    Setting("digits rmsprop", "digits", 2000, DEEP, RMSPROP, 32, 500),
    Setting("noisy adamw", "noisy digits", 2000, DROPPED, ADAMW, 32, 600),
    Setting("spirals sgd", "spirals", 800, DEEP, SGD, 16, 2000),
    Setting("spirals nesterov", "spirals", 800, SMALL, NESTEROV, 32, 1000, 5 / 6),
    Setting("mixture sgd", "mixture", 1000, SMALL, SGD, 32, 500),
    Setting("many momentum", "many", 2000, NORMED, MOMENTUM, 64, 500),
    Setting("many adam", "many", 2000, SOFTMAX, ADAM, 32, 400),
    Setting("unequal adam", "unequal", 2000, SMALL, ADAM, 32, 800),
    Setting("three unequal momentum", "three unequal", 1500, SMALL, MOMENTUM, 32, 500),
    Setting("few momentum", "digits", 120, SMALL, MOMENTUM, 20, 300),
    Setting("digits255 adam", "digits255", 2000, SMALL, ADAM, 32, 600),
    Setting("stripes adam", "stripes", 2000, DROPPED, ADAM, 32, 800),
    Setting("parity momentum", "parity", 1500, TANH, MOMENTUM, 32, 1000),
    Setting("street momentum", "street", 3000, NORMED, MOMENTUM, 32, 800),
    Setting("random adam", "random", 1000, DEEP, ADAM, 32, 400, hopeless=True),
)

# The two that the issue of straw men began with, as they stand: whole images, batch 100, six epochs.
_NAMED = (
    Setting("straw man", "digits28", 3000, _mlp(100, 50), MOMENTUM, 100, 180, 5 / 6),
    Setting("adam, starter", "digits28", 3000, _mlp(100, 50), ADAM, 100, 180, 5 / 6),
)

# Written down before anything was trained on them, for the bake-off of finders (`experiments/finders`).
_NEW = (
    Setting("digits cnn momentum", "digits", 2000, CNN, MOMENTUM, 32, 150),
    Setting("digits softmax units adam", "digits", 3000, SOFTMAX_UNITS, ADAM, 64, 800),
    Setting("mixture softmax units momentum", "mixture", 1000, SOFTMAX_UNITS, MOMENTUM, 32, 800),
    Setting("few norm rmsprop", "digits", 120, NORMED, RMSPROP, 20, 300),
    Setting("three unequal adamw", "three unequal", 1500, SMALL, ADAMW, 32, 500),
)

# One class is rare, and short trials answer with the other one: how high may triangles go? The first three were tuned to.
_RARE = tuple(
    Setting(name, data, rows, model, optimizer, 50 if rows > 4000 else 32, steps, share, validation_rows=3000)
    for name, data, rows, model, optimizer, steps, share in (
        ("rare momentum", "blobs 99", 6000, _mlp(20), MOMENTUM, 720, 5 / 6),
        ("rare adam", "blobs 99", 6000, _mlp(20), ADAM, 720, 5 / 6),
        ("rare nesterov", "blobs 98", 4000, DEEP, NESTEROV, 750, 5 / 12),
        ("rare sgd", "blobs 99", 6000, SMALL, SGD, 1000, 5 / 6),
        ("rare deep momentum", "blobs 99", 6000, DEEP, MOMENTUM, 720, 5 / 6),
        ("rare tanh momentum", "blobs 95", 3000, TANH, MOMENTUM, 600, 5 / 12),
        ("rarer momentum", "blobs 99.5", 6000, _mlp(20), MOMENTUM, 1200, 5 / 12),
        ("rarer sgd", "blobs 99.5", 6000, SMALL, SGD, 1200, 5 / 12),
    )
)

TOY = Setting("toy", "mixture", 200, SMALL, MOMENTUM, 20, 60, validation_rows=100)

HALVES: dict[str, tuple[Setting, ...]] = {"tuned": _TUNED, "final": _FINAL, "named": _NAMED, "new": _NEW, "rare": _RARE}
"""The settings that rules were tuned to, those looked at once at the end, two of the issue's own, and those that came later."""
