"""Architectures as layer records, and their initial weights in numpy: no framework, so every backend gets the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from clrbench.errors import SpecError
from clrbench.layers import (
    Activation,
    ActivationName,
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Residual,
)
from clrbench.records import FloatArray

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class ModelSettings:
    """Which of `ARCHITECTURES`, and its options.

    Attributes:
        hidden: Units of each hidden layer of the mlp.
        dropout: Fraction of hidden values that mlp (every layer) and cnn (the dense layer) drop while training.
        batch_norm: Whether mlp and cnn normalise before each hidden activation.
    """

    name: str
    hidden: tuple[int, ...] = (100, 50)
    activation: ActivationName = "relu"
    dropout: float = 0.0
    batch_norm: bool = False


def build_layers(model: ModelSettings, image_shape: Shape, num_classes: int) -> tuple[Layer, ...]:
    """Return the layers of an architecture, from images (height, width, channels) to `Dense(num_classes)`, the logits.

    Raises:
        SpecError: If the images are too small for the architecture, or the rows are not images, and for the mlp no features
            either.
    """
    if len(image_shape) != 3 and (model.name, len(image_shape)) != ("mlp", 1):
        raise SpecError(
            f"{model.name} takes images, [rows, height, width] or [rows, height, width, channels]"
            f"{', or [rows, features]' if model.name == 'mlp' else ''}, and a row of this data has the shape "
            f"{image_shape}; choose {'' if model.name == 'mlp' or len(image_shape) != 1 else 'mlp, or '}a network of your own "
            "(./net.py:build), or make images of the rows",
            key=("model", "name"),
        )
    layers = (*ARCHITECTURES[model.name](model), Dense(num_classes))
    if not _fits(layers, image_shape):
        smallest = next(size for size in range(1, 1000) if _fits(layers, (size, size, image_shape[2])))
        raise SpecError(
            f"{model.name} takes images of at least {smallest} x {smallest} pixels, and these are "
            f"{image_shape[0]} x {image_shape[1]}; choose mlp, or a data set with larger images",
            key=("model", "name"),
        )
    return layers


def _hidden(layer: Dense | Conv, model: ModelSettings) -> tuple[Layer, ...]:
    """Return a layer, its optional batch norm and its activation; a convolution before a batch norm has no bias."""
    if not model.batch_norm:
        return layer, Activation(model.activation)
    if isinstance(layer, Conv):
        layer = Conv(layer.filters, layer.kernel_size, layer.stride, layer.padding, bias=False)
    return layer, BatchNorm(), Activation(model.activation)


def _dropout(model: ModelSettings) -> tuple[Layer, ...]:
    return (Dropout(model.dropout),) if model.dropout > 0 else ()


def _mlp(model: ModelSettings) -> tuple[Layer, ...]:
    blocks = [layer for units in model.hidden for layer in (*_hidden(Dense(units), model), *_dropout(model))]
    return Flatten(), *blocks


def _cnn(model: ModelSettings) -> tuple[Layer, ...]:
    return (
        *_hidden(Conv(32, 3), model),
        MaxPool(),
        *_hidden(Conv(64, 3), model),
        MaxPool(),
        Flatten(),
        *_hidden(Dense(128), model),
        *_dropout(model),
    )


def _lenet5(model: ModelSettings) -> tuple[Layer, ...]:
    """LeCun et al. 1998, section II.B, with full connections and a softmax in place of the Gaussian ones."""
    activation = Activation(model.activation)
    return (
        *(Conv(6, 5), activation, AveragePool()),
        *(Conv(16, 5, padding="valid"), activation, AveragePool()),
        *(Flatten(), Dense(120), activation, Dense(84), activation),
    )


def _resnet8(model: ModelSettings) -> tuple[Layer, ...]:
    """Banbury et al. 2021, MLPerf Tiny, image classification."""
    activation = Activation(model.activation)
    layers: list[Layer] = [Conv(16, 3, bias=False), BatchNorm(), activation]
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        body = (
            *(Conv(filters, 3, stride, bias=False), BatchNorm(), activation),
            *(Conv(filters, 3, bias=False), BatchNorm()),
        )
        shortcut = (Conv(filters, 1, stride),) if stride > 1 else ()
        layers += [Residual(body, shortcut), activation]
    return *layers, GlobalAveragePool()


ARCHITECTURES: Mapping[str, Callable[[ModelSettings], tuple[Layer, ...]]] = MappingProxyType(
    {"mlp": _mlp, "cnn": _cnn, "lenet5": _lenet5, "resnet8": _resnet8}
)
"""Every architecture by its name in a spec: its settings -> the layers before the logits."""


def output_shape(layers: tuple[Layer, ...], shape: Shape) -> Shape:
    """Return the shape that `layers` make of an input (height, width, channels, or features), without the batch axis."""
    for layer in layers:
        shape = _layer_output_shape(layer, shape)
    return shape


def _layer_output_shape(layer: Layer, shape: Shape) -> Shape:
    match layer:
        case Dense(units):
            return (units,)
        case Conv(filters, kernel_size, stride, padding):
            margin = 2 * (kernel_size // 2) if padding == "same" else 0
            return *((pixels + margin - kernel_size) // stride + 1 for pixels in shape[:2]), filters
        case MaxPool(size) | AveragePool(size):
            return *(pixels // size for pixels in shape[:2]), shape[2]
        case GlobalAveragePool():
            return shape[2:]
        case Flatten():
            return (math.prod(shape),)
        case Residual(body):
            return output_shape(body, shape)
        case _:
            return shape


def _fits(layers: tuple[Layer, ...], shape: Shape) -> bool:
    return all(min(output_shape(layers[:end], shape)) > 0 for end in range(1, len(layers) + 1))


def tagged(layers: tuple[Layer, ...], prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield each layer with the start of its weights' names: `03.`, or `05.body.00.` given the prefix `05.body.`."""
    for index, layer in enumerate(layers):
        yield f"{prefix}{index:02d}.", layer


def _leaves(layers: tuple[Layer, ...], shape: Shape, prefix: str = "") -> Iterator[tuple[str, Layer, Shape]]:
    """Yield tag, layer and input shape of every layer but the `Residual` ones, which yield what is in them."""
    for tag, layer in tagged(layers, prefix):
        if isinstance(layer, Residual):
            yield from _leaves(layer.body, shape, f"{tag}body.")
            yield from _leaves(layer.shortcut, shape, f"{tag}shortcut.")
        else:
            yield tag, layer, shape
        shape = _layer_output_shape(layer, shape)


def weight_shapes(layers: tuple[Layer, ...], image_shape: Shape) -> dict[str, Shape]:
    """Return the shape of every trainable weight by name, in the order of the layers.

    Kernels are [in, out] in dense layers and [height, width, in, out] in convolutions.
    """
    shapes: dict[str, Shape] = {}
    for tag, layer, shape in _leaves(layers, image_shape):
        match layer:
            case Dense(units):
                shapes |= {f"{tag}dense.kernel": (shape[0], units), f"{tag}dense.bias": (units,)}
            case Conv(filters, size):
                shapes[f"{tag}conv.kernel"] = (size, size, shape[2], filters)
                if layer.bias:
                    shapes[f"{tag}conv.bias"] = (filters,)
            case BatchNorm():
                shapes |= {f"{tag}batch_norm.gamma": shape[-1:], f"{tag}batch_norm.beta": shape[-1:]}
    return shapes


def initial_weights(layers: tuple[Layer, ...], image_shape: Shape, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Draw the value of every trainable weight before training, by name and in the shapes of `weight_shapes`.

    Kernels are Glorot-uniform, in the order of the layers; biases are 0, and batch norms scale by 1 and shift by 0.

    Source: Glorot and Bengio 2010, section 4.2.1, equation 16.
    """
    weights: dict[str, FloatArray] = {}
    for name, shape in weight_shapes(layers, image_shape).items():
        if name.endswith("kernel"):
            fans = math.prod(shape[:-2]) * (shape[-2] + shape[-1])
            limit = math.sqrt(6 / fans)
            weights[name] = rng.uniform(-limit, limit, shape).astype(np.float32)
        else:
            weights[name] = np.full(shape, name.endswith("gamma"), np.float32)
    return weights


def num_parameters(layers: tuple[Layer, ...], image_shape: Shape) -> int:
    """Return how many trainable numbers a network holds."""
    return sum(math.prod(shape) for shape in weight_shapes(layers, image_shape).values())


def largest_activation(layers: tuple[Layer, ...], image_shape: Shape) -> int:
    """Return how many numbers the largest input or output of any layer holds, for one image."""
    return max(
        math.prod(values)
        for _, layer, shape in _leaves(layers, image_shape)
        for values in (shape, _layer_output_shape(layer, shape))
    )


def forward_multiply_adds(layers: tuple[Layer, ...], image_shape: Shape) -> int:
    """Return the multiply-adds of the dense layers and convolutions, for one image, forward only."""
    total = 0
    for _, layer, shape in _leaves(layers, image_shape):
        if isinstance(layer, Dense):
            total += shape[0] * layer.units
        elif isinstance(layer, Conv):
            outputs = math.prod(_layer_output_shape(layer, shape))
            total += outputs * layer.kernel_size**2 * shape[2]
    return total
