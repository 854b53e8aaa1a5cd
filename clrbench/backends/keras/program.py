"""What TensorFlow compiles: a stretch of training steps, and the score of a chunk of rows."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from clrbench.backends.keras.imports import keras, tf
from clrbench.backends.keras.network import Network
from clrbench.backends.keras.optimizers import decayed, make_optimizer
from clrbench.backends.protocol import State
from clrbench.layers import Layer
from clrbench.records import OptimizerSettings, Standardisation

Numbers: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class ImageType:
    """The images that a program is compiled for: height, width and channels, `uint8` or `float32`, mean and deviation."""

    shape: tuple[int, int, int]
    dtype: str
    standardisation: tuple[Numbers, Numbers] | None = None


def as_numbers(standardisation: Standardisation | None) -> tuple[Numbers, Numbers] | None:
    """Return mean and deviation as tuples, which can be compared and hashed."""
    if standardisation is None:
        return None
    return tuple(standardisation.mean.tolist()), tuple(standardisation.deviation.tolist())


class Program:
    """A network and its optimizer, compiled: independent of data, weights and seeds, so that many runs can share it.

    Attributes:
        stretch: (images, labels, batches, lr) to the rates, losses and accuracies of the steps, as `Trainer.train`.
        score: (images, labels, rows) to float64, the sum of the losses of the rows, and bool[rows], which of them are right.
        feed: (images, labels, batches) to a number that depends on every batch as the network would take it.
    """

    def __init__(
        self, layers: tuple[Layer, ...], optimizer: OptimizerSettings, batch_size: int, image_type: ImageType
    ) -> None:
        """Build the network; the functions compile at their first call."""
        self._image_type = image_type
        self._network = Network(layers, image_type.shape, exact_batch_norm=optimizer.update_rule == "shared")
        self._weights = list(self._network.weights.values())
        self._settings = optimizer
        self._optimizer = make_optimizer(optimizer, self._weights)
        self._fresh = self.state()
        images, ints = tf.TensorSpec([None, *image_type.shape], image_type.dtype), tf.TensorSpec([None], tf.int32)
        batches, rates = tf.TensorSpec([None, batch_size], tf.int32), tf.TensorSpec([None], tf.float32)
        # A fixed signature: one compilation for every length of a stretch or a chunk.
        self.stretch = tf.function(self._stretch, input_signature=[images, ints, batches, rates], autograph=False)
        self.score = tf.function(self._score, input_signature=[images, ints, ints], autograph=False)
        self.feed = tf.function(self._feed, input_signature=[images, ints, batches], autograph=False)

    def reset(self, weights: State, dropout_seed: int) -> None:
        """Go back to before the first step, to these initial weights; each dropout layer draws from a seed of its own."""
        rng = np.random.default_rng(dropout_seed)
        seeds = {name: np.array([rng.integers(2**31), 0]) for name in self._network.seeds}
        self.restore({**self._fresh, **weights, **seeds})

    def state(self) -> State:
        """Return a copy of every variable by name."""
        return {name: np.array(variable.value.numpy()) for name, variable in self._variables().items()}

    def restore(self, state: State) -> None:
        """Set every variable from what `state` returned."""
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def _variables(self) -> dict[str, keras.Variable]:
        network = self._network
        slots = {f"optimizer.{index:03d}": variable for index, variable in enumerate(self._optimizer.variables)}
        return network.weights | network.statistics | network.seeds | slots

    def _stretch(
        self, images: tf.Tensor, labels: tf.Tensor, batches: tf.Tensor, lr: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        num_steps = tf.shape(lr)[0]

        def step(index: tf.Tensor, *logs: tf.Tensor) -> tuple[tf.Tensor, ...]:
            rows = batches[index]
            values = self._update(tf.gather(images, rows), tf.gather(labels, rows), lr[index])
            return index + 1, *(log.write(index, value) for log, value in zip(logs, values, strict=True))

        logs = [tf.TensorArray(tf.float32, num_steps, element_shape=[]) for _ in range(3)]
        _, *logs = tf.while_loop(lambda index, *_: index < num_steps, step, [0, *logs], parallel_iterations=1)
        return tuple(log.stack() for log in logs)

    def _update(self, images: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Make one update; return its rate as the optimizer has it, and loss and accuracy from before it."""
        with tf.GradientTape() as tape:
            logits = self._network.model(self._scaled(images), training=True)
            loss = tf.reduce_mean(_losses(logits, labels))
        accuracy = tf.reduce_mean(tf.cast(_hits(logits, labels), tf.float32))
        gradients = tape.gradient(loss, [weight.value for weight in self._weights])
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply(decayed(self._settings, gradients, self._weights), self._weights)
        return tf.convert_to_tensor(self._optimizer.learning_rate), loss, accuracy

    def _score(self, images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels = tf.gather(labels, rows)
        logits = self._network.model(self._scaled(tf.gather(images, rows)), training=False)
        return tf.reduce_sum(tf.cast(_losses(logits, labels), tf.float64)), _hits(logits, labels)

    def _feed(self, images: tf.Tensor, labels: tf.Tensor, batches: tf.Tensor) -> tf.Tensor:
        num_steps = tf.shape(batches)[0]

        def step(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = batches[index]
            values, targets = self._scaled(tf.gather(images, rows)), tf.gather(labels, rows)
            return index + 1, total + values[0, 0, 0, 0] + tf.cast(targets[0], tf.float32)

        _, total = tf.while_loop(lambda index, _: index < num_steps, step, [0, 0.0], parallel_iterations=1)
        return total

    def _scaled(self, images: tf.Tensor) -> tf.Tensor:
        """Return images as the network takes them."""
        if self._image_type.dtype == "uint8":
            images = tf.cast(images, tf.float32) / 255
        if self._image_type.standardisation is not None:
            height, width, _ = self._image_type.shape
            # Pixel by pixel: TensorFlow takes ten times as long over a last axis of three channels.
            mean, deviation = (
                np.tile(np.array(of, np.float32), height * width) for of in self._image_type.standardisation
            )
            pixels = (tf.reshape(images, [-1, len(mean)]) - mean) / deviation
            images = tf.reshape(pixels, [-1, *self._image_type.shape])
        return images


def _losses(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _hits(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.argmax(logits, 1, tf.int32), labels)
