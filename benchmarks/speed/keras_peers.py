"""An epoch in stock Keras, as its users write it, and what it could be at most."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import numpy as np

from speed.cases import BASE_LR, CLRBENCH, DENSE, FILTERS, HIDDEN, MOMENTUM, NUM_CLASSES, Case, Contenders, Epoch
from speed.ours import clrbench_epoch

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import tensorflow as tf


def network(case: Case) -> Any:
    """Return the network of a case."""
    tf.config.threading.set_intra_op_parallelism_threads(case.threads)
    tf.config.threading.set_inter_op_parallelism_threads(case.threads)
    layers = keras.layers
    if case.model == "mlp":
        hidden = [layers.Dense(units, activation="relu") for units in HIDDEN]
        return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(NUM_CLASSES)])
    blocks = [
        layer
        for filters in FILTERS
        for layer in (layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D())
    ]
    dense = [layers.Flatten(), layers.Dense(DENSE, activation="relu"), layers.Dense(NUM_CLASSES)]
    return keras.Sequential([keras.Input((32, 32, 3)), *blocks, *dense])


def fit_epoch(case: Case) -> Epoch:
    """Return an epoch of `fit` with a callback that sets the rate of every batch and keeps its loss."""
    model, rates = network(case), case.rates().tolist()
    images, labels = case.scaled()

    class PerBatch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.losses: list[float] = []
            self.start = time.perf_counter()

        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            self.model.optimizer.learning_rate = rates[batch]

        def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
            self.losses.append(logs["loss"])

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            self.seconds = time.perf_counter() - self.start

    model.compile(
        keras.optimizers.SGD(BASE_LR, momentum=MOMENTUM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    callback = PerBatch()

    def epoch() -> float:
        model.fit(images, labels, batch_size=case.batch_size, verbose=0, callbacks=[callback])
        return float(callback.seconds)

    return epoch


def minimal_epoch(case: Case) -> Epoch:
    """Return an epoch of a bare `tf.function` loop over resident float images that records loss and accuracy."""
    model = network(case)
    images, labels = (tf.constant(array) for array in case.scaled())
    optimizer = keras.optimizers.SGD(BASE_LR, momentum=MOMENTUM)
    optimizer.build(model.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator]
    def train(batches: Any, rates: Any) -> Any:
        num_steps = tf.shape(rates)[0]
        losses, accuracies = tf.TensorArray(tf.float32, num_steps), tf.TensorArray(tf.float32, num_steps)
        for step in tf.range(num_steps):
            rows = batches[step]
            targets = tf.gather(labels, rows)
            optimizer.learning_rate.assign(rates[step])
            with tf.GradientTape() as tape:
                logits = model(tf.gather(images, rows), training=True)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            losses = losses.write(step, loss)
            hits = tf.equal(tf.argmax(logits, 1, tf.int32), targets)
            accuracies = accuracies.write(step, tf.reduce_mean(tf.cast(hits, tf.float32)))
        return losses.stack(), accuracies.stack()

    rows, rates = tf.constant(case.batches()), tf.constant(case.rates())

    def epoch() -> float:
        start = time.perf_counter()
        for log in train(rows, rates):
            log.numpy()
        return time.perf_counter() - start

    return epoch


def products_epoch(case: Case) -> Epoch:
    """Return the matrix products of an epoch of the mlp: those of three layers forward and back.

    A slice and a few sums keep TensorFlow from leaving any of them out.
    """
    tf.config.threading.set_intra_op_parallelism_threads(case.threads)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((case.num_rows, case.dense_shapes()[0][0]), np.float32))
    kernels = [tf.constant(rng.random(shape, np.float32)) for shape in case.dense_shapes()]

    def step(index: Any, total: Any) -> Any:
        values = tf.slice(images, [index * case.batch_size, 0], [case.batch_size, -1])
        inputs = []
        for kernel in kernels:
            inputs.append(values)
            values = tf.matmul(values, kernel)
        for place in range(len(kernels) - 1, -1, -1):
            total += tf.matmul(inputs[place], values, transpose_a=True)[0, 0]
            if place:
                values = tf.matmul(values, kernels[place], transpose_b=True)
        return index + 1, total

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def train() -> Any:
        return tf.while_loop(lambda index, _: index < case.num_steps, step, [0, 0.0], parallel_iterations=1)[1]

    def epoch() -> float:
        start = time.perf_counter()
        train().numpy()
        return time.perf_counter() - start

    return epoch


CONTENDERS: Contenders = {
    CLRBENCH: partial(clrbench_epoch, "keras"),
    "fit with a callback": fit_epoch,
    "minimal loop": minimal_epoch,
    "matrix products alone": products_epoch,
}
