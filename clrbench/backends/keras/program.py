"""What TensorFlow compiles: a stretch of training steps, and the score of a chunk of rows."""

import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from clrbench.backends.keras.imports import keras, tf
from clrbench.backends.keras.optimizers import decayed, make_optimizer
from clrbench.backends.protocol import State
from clrbench.records import OptimizerSettings, Standardisation

Numbers: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class ImageType:
    """The rows that a program is compiled for.

    Attributes:
        shape: Height, width and channels of an image, or the shape of a row of another form.
        dtype: `uint8`, `float32` or `int32`.
        standardisation: Mean and deviation.
        keeps_integers: Whether whole numbers reach the network as such.
    """

    shape: tuple[int, ...]
    dtype: str
    standardisation: tuple[Numbers, Numbers] | None = None
    keeps_integers: bool = False


def as_numbers(standardisation: Standardisation | None) -> tuple[Numbers, Numbers] | None:
    """Return mean and deviation as tuples, which can be compared and hashed."""
    if standardisation is None:
        return None
    return tuple(standardisation.mean.tolist()), tuple(standardisation.deviation.tolist())


class AnyNetwork(Protocol):
    """A Keras model, and its variables by name."""

    model: keras.Model
    weights: dict[str, keras.Variable]
    statistics: dict[str, keras.Variable]
    seeds: dict[str, keras.Variable]


def scaled(images: tf.Tensor, of: ImageType) -> tf.Tensor:
    """Return images as the network takes them."""
    if of.keeps_integers:
        return tf.cast(images, tf.int32)
    if of.dtype != "float32":
        images = tf.cast(images, tf.float32)
    if of.dtype == "uint8" and len(of.shape) == 3:
        images = images / 255
    if of.standardisation is not None:
        # Pixel by pixel: TensorFlow takes ten times as long over a last axis of three channels.
        mean, deviation = (np.tile(np.array(one, np.float32), math.prod(of.shape[:-1])) for one in of.standardisation)
        pixels = (tf.reshape(images, [-1, len(mean)]) - mean) / deviation
        images = tf.reshape(pixels, [-1, *of.shape])
    return images


class Program:
    """A network and its optimizer, compiled: independent of data, weights and seeds, so that many runs can share it.

    Attributes:
        stretch: (images, labels, batches, lr) to the rates, losses and accuracies of the steps, as `Trainer.train`.
        score: (images, labels, rows) to float64, the sum of the losses of the rows, and bool[rows], which of them are right.
        feed: (images, labels, batches) to a number that depends on every batch as the network would take it.
    """

    def __init__(
        self, network: AnyNetwork, optimizer: OptimizerSettings, batch_size: int, image_type: ImageType
    ) -> None:
        """Take a network, whose variables are the program's from now on; the functions compile at their first call."""
        self._image_type = image_type
        self._network = network
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
        self.restart({**weights, **seeds})

    def restart(self, start: State) -> None:
        """Go back to before the first step, where the variables named have these values."""
        self.restore({**self._fresh, **start})

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
            logits = self._network.model(self._as_input(images), training=True)
            loss = tf.reduce_mean(cross_entropies(logits, labels))
            objective = _objective(loss, self._network.model)
        accuracy = tf.reduce_mean(tf.cast(_hits(logits, labels), tf.float32))
        gradients, weights = used_gradients(tape, objective, self._weights)
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply(decayed(self._settings, gradients, weights), weights)
        return tf.convert_to_tensor(self._optimizer.learning_rate), loss, accuracy

    def _score(self, images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels = tf.gather(labels, rows)
        logits = self._network.model(self._as_input(tf.gather(images, rows)), training=False)
        return tf.reduce_sum(tf.cast(cross_entropies(logits, labels), tf.float64)), _hits(logits, labels)

    def _as_input(self, images: tf.Tensor) -> tf.Tensor:
        return scaled(images, self._image_type)

    def _feed(self, images: tf.Tensor, labels: tf.Tensor, batches: tf.Tensor) -> tf.Tensor:
        num_steps = tf.shape(batches)[0]

        def step(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = batches[index]
            values, targets = self._as_input(tf.gather(images, rows)), tf.gather(labels, rows)
            return index + 1, total + tf.cast(tf.reshape(values, [-1])[0], tf.float32) + tf.cast(targets[0], tf.float32)

        _, total = tf.while_loop(lambda index, _: index < num_steps, step, [0, 0.0], parallel_iterations=1)
        return total


def used_gradients(
    tape: tf.GradientTape, objective: tf.Tensor, weights: list[keras.Variable]
) -> tuple[list[tf.Tensor], list[keras.Variable]]:
    """Return the gradients of the weights that the outputs depend on, all of them dense, and these weights."""
    gradients = tape.gradient(objective, [weight.value for weight in weights])
    used = [(one, weight) for one, weight in zip(gradients, weights, strict=True) if one is not None]
    # An embedding's come as pieces, which not every optimizer takes.
    return [tf.convert_to_tensor(one) for one, _ in used], [weight for _, weight in used]


def _objective(loss: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """Return what is minimised: the loss, and what layers add to it, such as regularizers do."""
    return loss + tf.add_n(model.losses) if model.losses else loss


def cross_entropies(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return the cross-entropy of each row, float32[rows]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _hits(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.argmax(logits, 1, tf.int32), labels)
