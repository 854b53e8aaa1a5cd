"""A network of the user's own on Keras: built, checked, and its variables by name."""

from collections.abc import Mapping

import numpy as np

from clrbench.backends.keras.imports import keras, tf
from clrbench.backends.keras.program import ImageType, cross_entropies, scaled, used_gradients
from clrbench.backends.own_network import (
    EVALUATION_SEED,
    Builder,
    Randomness,
    is_same_state,
    output_warnings,
    same_start_warning,
    state_digest,
)
from clrbench.layers import BuiltNetwork
from clrbench.layers import OwnNetwork as Recipe
from clrbench.records import Dataset, FloatArray, IntArray

# What building a network showed, once a process: what makes it, but for the seed, and the device.
_checked: dict[tuple[object, ...], tuple[bool, tuple[str, ...]]] = {}


class OwnNetwork:
    """A Keras model of the user's own; see `network.Network`, in whose place it stands.

    Attributes:
        model: Rows to logits.
        weights: Its trainable variables by name; one that several layers share is there once.
        statistics: Its other variables, such as moving means.
        seeds: States of its random numbers, as those of dropout.
        found: What there is to know of it.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, batch: IntArray, image_type: ImageType, device: str) -> None:
        """Build the network from the seed of its recipe; the first of a process is tried on a batch of training rows.

        Raises:
            BackendError: If it cannot be built or used.
        """
        randomness = Randomness((), keras.utils.set_random_seed)
        self._builder = Builder(recipe, dataset.image_shape, dataset.num_classes, randomness)
        self._inputs = scaled(tf.constant(dataset.x_train[batch]), image_type)
        self._labels = tf.constant(dataset.y_train[batch])
        self.model = self._build(recipe.seed)
        names = _names(self.model)
        kept = {id(variable) for variable in self.model.weights}
        trained = {id(variable) for variable in self.model.trainable_variables}
        if not trained:
            raise self._builder.fail("it has no trainable weight; allowed: at least one")
        self.weights = {name: one for name, one in names.items() if id(one) in trained}
        self.statistics = {name: one for name, one in names.items() if id(one) in kept - trained}
        self.seeds = {name: one for name, one in names.items() if id(one) not in kept}
        made_of = (recipe.reference, recipe.options, recipe.source, dataset.image_shape, dataset.num_classes, device)
        if made_of not in _checked:
            _checked[made_of] = self._check(recipe.seed)
        num_parameters = sum(int(np.prod(weight.shape)) for weight in self.weights.values())
        start = state_digest(_values({**self.weights, **self.statistics}))
        self.found = BuiltNetwork(start, num_parameters, bool(self.seeds), *_checked[made_of])

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of every variable."""
        return tuple(tuple(variable.shape) for variable in _names(self.model).values())

    def values(self) -> dict[str, np.ndarray]:
        """Return copies of all variables by name."""
        return _values(_names(self.model))

    def _build(self, seed: int) -> keras.Model:
        return self._builder.build(seed, self._finish)

    def _finish(self, made: object) -> keras.Model:
        if not isinstance(made, keras.Model):
            raise self._builder.wrong_kind(made, "keras.Model", "torch.nn.Module")
        if not made.built:
            # Its layers draw their weights once they see what comes in.
            with self._builder.code.running("calling the network"):
                made(self._inputs[:2], training=False)
        types = {variable.path: str(variable.dtype) for variable in made.weights}
        self._builder.check_types({name: kind for name, kind in types.items() if "float" in kind})
        return made

    def _check(self, seed: int) -> tuple[bool, tuple[str, ...]]:
        """Return whether the seed decides its weights, and what looks unmeant; two more networks are built for it."""
        second, other = self._build(seed), self._build(seed + 1)
        mine = {id(variable) for variable in self.model.variables}
        if any(id(variable) in mine for variable in second.variables):
            raise self._builder.fail(
                "it returned the same model, or the same variables, twice; build a new one at every call"
            )
        paths = {name: f"variable {variable.path}" for name, variable in _names(self.model).items()}
        first, again = (_values(_names(one)) for one in (self.model, second))
        self._builder.check_same(*({paths.get(name, name): found[name] for name in found} for found in (first, again)))
        varies = not is_same_state(_values(self.weights), _values(_trained(other)))
        warnings = self._try(second)
        return varies, (*warnings, *(() if varies else (same_start_warning(draws=bool(self.seeds)),)))

    def _try(self, model: keras.Model) -> list[str]:
        """Make half a step, forward and backward, and evaluate; return what looks unmeant in the outputs."""
        builder = self._builder
        with builder.randomness.seeded(0):
            with tf.GradientTape() as tape:
                with builder.code.running("the first forward pass"):
                    logits = model(self._inputs, training=True)
                self._check_logits(logits, len(self._labels))
                loss = tf.reduce_mean(cross_entropies(logits, self._labels))
            with builder.code.running("the first backward pass"):
                gradients, _ = used_gradients(tape, loss, model.trainable_variables)
            if not gradients:
                raise builder.fail("its outputs depend on no trainable weight; allowed: logits that can be trained")

        def outputs(rows: tf.Tensor) -> tf.Tensor:
            with builder.randomness.seeded(EVALUATION_SEED), builder.code.running("evaluating it"):
                found = model(rows, training=False)
            self._check_logits(found, len(rows))
            return found

        def at(factor: float) -> FloatArray:
            for variable in model.trainable_variables:
                variable.assign(variable * factor)
            return np.array(outputs(self._inputs).numpy())

        # The last rows of a split may be a single one.
        outputs(self._inputs[:1])
        return output_warnings(outputs(self._inputs).numpy(), at)

    def _check_logits(self, logits: object, rows: int) -> None:
        if not tf.is_tensor(logits):
            raise self._builder.fail(f"its output is a {type(logits).__name__}; allowed: a tensor, the logits alone")
        self._builder.check_outputs(logits.shape, logits.dtype.name, rows)  # type: ignore[attr-defined]


def _names(model: keras.Model) -> dict[str, keras.Variable]:
    """Return every variable once, by its place: Keras numbers the names of layers through a whole process."""
    once = {id(variable): variable for variable in model.variables}
    return {f"network.{index:04d}": variable for index, variable in enumerate(once.values())}


def _trained(model: keras.Model) -> dict[str, keras.Variable]:
    trained = {id(variable) for variable in model.trainable_variables}
    return {name: variable for name, variable in _names(model).items() if id(variable) in trained}


def _values(variables: Mapping[str, keras.Variable]) -> dict[str, np.ndarray]:
    return {name: np.array(variable.value.numpy()) for name, variable in variables.items()}
