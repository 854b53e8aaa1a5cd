"""Layer records as a Keras model whose weights go by the names of `models.weight_shapes`."""

from clrbench import layers
from clrbench.backends.common import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM
from clrbench.backends.keras.imports import keras, tf
from clrbench.models import tagged


class Network:
    """A Keras model of a network.

    Attributes:
        model: Images to logits.
        weights: Its trainable variables by name.
        statistics: Moving means and variances of the batch norms, by name.
        seeds: States of the dropout layers' generators, by name.
    """

    def __init__(
        self, architecture: tuple[layers.Layer, ...], image_shape: tuple[int, ...], *, exact_batch_norm: bool
    ) -> None:
        """Build the model, its variables still unset; with `exact_batch_norm`, of `ExactBatchNormalization` layers."""
        self.weights: dict[str, keras.Variable] = {}
        self.statistics: dict[str, keras.Variable] = {}
        self.seeds: dict[str, keras.Variable] = {}
        self._batch_norm = ExactBatchNormalization if exact_batch_norm else keras.layers.BatchNormalization
        images = keras.Input(image_shape)
        self.model = keras.Model(images, self._chain(architecture, "", images))

    def _chain(self, branch: tuple[layers.Layer, ...], prefix: str, values: keras.KerasTensor) -> keras.KerasTensor:
        for tag, layer in tagged(branch, prefix):
            values = self._apply(layer, tag, values)
        return values

    def _apply(self, layer: layers.Layer, tag: str, values: keras.KerasTensor) -> keras.KerasTensor:
        """Return what one layer makes of symbolic values, and keep its variables."""
        match layer:
            case layers.Dense(units):
                made = keras.layers.Dense(units)
                values = made(values)
                self.weights |= {f"{tag}dense.kernel": made.kernel, f"{tag}dense.bias": made.bias}
                return values
            case layers.Conv(_, size, _, padding):
                if padding == "same":
                    # "same" in TensorFlow pads more at the far edge when the stride is 2.
                    values = keras.layers.ZeroPadding2D(size // 2)(values)
                made = keras.layers.Conv2D(layer.filters, size, layer.stride, use_bias=layer.bias)
                values = made(values)
                self.weights[f"{tag}conv.kernel"] = made.kernel
                if layer.bias:
                    self.weights[f"{tag}conv.bias"] = made.bias
                return values
            case layers.BatchNorm():
                made = self._batch_norm(momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON)
                values = made(values)
                self.weights |= {f"{tag}batch_norm.gamma": made.gamma, f"{tag}batch_norm.beta": made.beta}
                self.statistics[f"{tag}batch_norm.moving_mean"] = made.moving_mean
                self.statistics[f"{tag}batch_norm.moving_variance"] = made.moving_variance
                return values
            case layers.Dropout(rate):
                made = keras.layers.Dropout(rate, seed=0)
                self.seeds[f"{tag}dropout.seed"] = made.seed_generator.state
                return made(values)
            case layers.MaxPool(size):
                return keras.layers.MaxPooling2D(size)(values)
            case layers.AveragePool(size):
                return keras.layers.AveragePooling2D(size)(values)
            case layers.GlobalAveragePool():
                return keras.layers.GlobalAveragePooling2D()(values)
            case layers.Flatten():
                return keras.layers.Flatten()(values)
            case layers.Activation(name):
                return keras.layers.Activation(name)(values)
            case layers.Residual(body, shortcut):
                inner = self._chain(body, f"{tag}body.", values)
                return keras.layers.Add()([inner, self._chain(shortcut, f"{tag}shortcut.", values)])


class ExactBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch norm whose means over images are taken axis by axis.

    TensorFlow's float32 sum over all axes at once is off by 1e-5 where many pixels are alike, as in MNIST's background;
    a relu behind it then flips for some pixel at nearly every step.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the normalised inputs, and move the statistics while training."""
        if not training:
            return super().call(inputs, training=False)
        mean = _mean(inputs)
        variance = _mean(keras.ops.square(inputs - mean))
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return keras.ops.batch_normalization(inputs, mean, variance, -1, self.beta, self.gamma, self.epsilon)


def _mean(values: tf.Tensor) -> tf.Tensor:
    while len(values.shape) > 1:
        values = keras.ops.mean(values, axis=-2)
    return values
