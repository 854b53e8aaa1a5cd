"""The optimizers of the Keras backend, whose arithmetic is also the `shared` one."""

from clrbench.backends.common import ADADELTA_RHO, ADAGRAD_ACCUMULATOR, ADAM_BETAS, EPSILON, RMSPROP_RHO
from clrbench.backends.keras.imports import keras, tf
from clrbench.records import OptimizerSettings


def make_optimizer(settings: OptimizerSettings, weights: list[keras.Variable]) -> keras.optimizers.Optimizer:
    """Return the optimizer of all trainable weights, built; its rate is set before every step."""
    optimizer = _make(settings)
    optimizer.build(weights)
    return optimizer


def decayed(settings: OptimizerSettings, gradients: list[tf.Tensor], weights: list[keras.Variable]) -> list[tf.Tensor]:
    """Return the gradients with the L2 term that Keras has no option for; adamw decays by itself."""
    if not settings.weight_decay or settings.name == "adamw":
        return gradients
    return [gradient + settings.weight_decay * weight for gradient, weight in zip(gradients, weights, strict=True)]


class FusedMomentum(keras.optimizers.SGD):  # type: ignore[misc]
    """Keras's SGD with momentum, as TensorFlow's one operation for it: one pass over the memory in place of five."""

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """Update one weight and its momentum."""
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.convert_to_tensor(learning_rate),
            grad=gradient,
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )


def _make(settings: OptimizerSettings) -> keras.optimizers.Optimizer:
    match settings.name:
        case "sgd":
            sgd = FusedMomentum if settings.momentum else keras.optimizers.SGD
            return sgd(1.0, momentum=settings.momentum, nesterov=settings.nesterov)
        case "adam":
            return keras.optimizers.Adam(1.0, *ADAM_BETAS, epsilon=EPSILON)
        case "adamw":
            return keras.optimizers.AdamW(1.0, settings.weight_decay, *ADAM_BETAS, epsilon=EPSILON)
        case "rmsprop":
            return keras.optimizers.RMSprop(1.0, RMSPROP_RHO, momentum=0.0, epsilon=EPSILON)
        case "adagrad":
            return keras.optimizers.Adagrad(1.0, ADAGRAD_ACCUMULATOR, epsilon=EPSILON)
        case "adadelta":
            return keras.optimizers.Adadelta(1.0, ADADELTA_RHO, epsilon=EPSILON)
