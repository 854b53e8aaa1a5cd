"""Running means are told from raw curves, whatever the ramp and the noise."""

from __future__ import annotations

import numpy as np
import pytest

from clrbench.data import mnist
from clrbench.rates.running_mean import looks_like_running_mean
from clrbench.records import DoubleArray

TRIES = 40


def clean(points: int, kind: str) -> DoubleArray:
    x = np.linspace(0, 1, points)
    match kind:
        case "exponential":
            loss = 2.3 - 1.8 / (1 + np.exp(-(x - 0.6) * 25)) + np.where(x > 0.9, (x - 0.9) * 30, 0)
        case "linear":
            loss = 0.4 + 1.9 * np.exp(-x * 12) + np.where(x > 0.8, (x - 0.8) * 10, 0)
        case _:
            loss = 2.3 - 2 * x**2
    return np.asarray(loss, np.float64)


def mean_of_all_so_far(values: DoubleArray) -> DoubleArray:
    return np.asarray(np.cumsum(values) / np.arange(1, len(values) + 1), np.float64)


def moving_average(values: DoubleArray, kept: float = 0.98) -> DoubleArray:
    """Return the smoothed loss of fastai's and Lightning's finders."""
    average, found = 0.0, []
    for update, value in enumerate(values, 1):
        average = kept * average + (1 - kept) * value
        found.append(average / (1 - kept**update))
    return np.array(found)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", ["exponential", "linear", "falling"])
@pytest.mark.parametrize("points", [60, 100, 300, 1000])
def test_raw_losses_are_not_taken_for_means_and_means_are_seen(points: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = [clean(points, kind) * (1 + 0.1 * rng.standard_normal(points)) for _ in range(TRIES)]
    assert sum(map(looks_like_running_mean, raw)) <= 1
    assert sum(looks_like_running_mean(mean_of_all_so_far(one)) for one in raw) >= 0.85 * TRIES
    assert sum(looks_like_running_mean(moving_average(one)) for one in raw) >= 0.75 * TRIES


@pytest.mark.parametrize("points", [60, 300])
def test_accuracies_of_mini_batches(points: int) -> None:
    rng = np.random.default_rng(2)
    right = np.clip(1 - clean(points, "exponential") / 2.6, 0.1, 1)
    raw = [rng.binomial(64, right) / 64 for _ in range(TRIES)]
    assert sum(map(looks_like_running_mean, raw)) <= 1
    assert sum(looks_like_running_mean(mean_of_all_so_far(one)) for one in raw) >= 0.8 * TRIES


@pytest.mark.parametrize("points", [20, 100])
def test_smooth_and_short_curves_have_nothing_to_tell_by(points: int) -> None:
    assert not looks_like_running_mean(clean(points, "falling"))
    assert not looks_like_running_mean(np.ones(points))


def test_what_follows_a_divergence_is_left_out() -> None:
    rng = np.random.default_rng(3)
    raw = 2.3 + 0.1 * rng.standard_normal(200)
    mean = mean_of_all_so_far(raw)
    mean[150:] = np.nan
    assert looks_like_running_mean(mean)
    mean[10:] = np.nan
    assert not looks_like_running_mean(mean)


@pytest.mark.acceptance
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_fit_of_keras_tells_its_callbacks_is_a_running_mean_and_a_batch_alone_is_not(seed: int) -> None:
    import keras

    rates, arrays = np.geomspace(1e-4, 3.0, 300), mnist.read()
    x, y = arrays["x_train"][:19200].reshape(-1, 784) / np.float32(255), arrays["y_train"][:19200]

    def model() -> keras.Model:
        keras.utils.set_random_seed(seed)
        made = keras.Sequential([keras.layers.Input((784,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        made.compile(keras.optimizers.SGD(0.01), loss, metrics=["accuracy"])
        return made

    class Sweep(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            self.model.optimizer.learning_rate = rates[batch]

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            seen.append(dict(logs or {}))

    seen: list[dict[str, float]] = []
    model().fit(x, y, batch_size=64, callbacks=[Sweep()], verbose=0)
    alone, trained = [], model()
    for lr, batch in zip(rates, np.random.default_rng(seed).permutation(19200).reshape(300, 64), strict=True):
        trained.optimizer.learning_rate = lr
        trained.reset_metrics()
        alone.append(trained.train_on_batch(x[batch], y[batch], return_dict=True))
    for name in ("loss", "accuracy"):
        assert looks_like_running_mean(np.array([logs[name] for logs in seen]))
        assert not looks_like_running_mean(np.array([logs[name] for logs in alone]))
