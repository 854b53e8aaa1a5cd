"""Pairs of the article as a stock Keras script trains them, one after another; prints the seconds of each as JSON.

python stock_pairs.py 10
"""

import json
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

from clrbench.data import Library

EPOCHS = 15


class Triangular(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the rate of every batch, as the callback of the article does, and keeps the loss."""

    def __init__(self, base_lr: float, max_lr: float, step_size: int) -> None:
        super().__init__()
        self.base_lr, self.max_lr, self.step_size = base_lr, max_lr, step_size
        self.step = 0
        self.losses: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Set the rate."""
        cycle = 1 + self.step // (2 * self.step_size)
        height = max(0.0, 1 - abs(self.step / self.step_size - 2 * cycle + 1))
        self.model.optimizer.learning_rate = self.base_lr + (self.max_lr - self.base_lr) * height
        self.step += 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Keep the loss."""
        self.losses.append(logs["loss"])


def train(seed: int, lr: float, batch_size: int, callbacks: list[keras.callbacks.Callback]) -> None:
    """Train one side of a pair, evaluated on the test rows after every epoch."""
    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(units, activation="softmax") for units in (100, 50)]
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), *hidden, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(lr), loss, metrics=["accuracy"])
    model.fit(
        *(x_train, y_train),
        batch_size=batch_size,
        epochs=EPOCHS,
        validation_data=(x_test, y_test),
        callbacks=callbacks,
        verbose=0,
    )


if __name__ == "__main__":
    mnist = Library().load("mnist")
    x_train, y_train = mnist.x_train.astype(np.float32) / 255, mnist.y_train
    x_test, y_test = mnist.x_test.astype(np.float32) / 255, mnist.y_test
    seconds = []
    for seed in range(int(sys.argv[1])):
        start = time.perf_counter()
        train(seed, 0.1, 100, [])
        train(seed, 0.001, 2000, [Triangular(0.001, 0.006, 2000)])
        seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds))
