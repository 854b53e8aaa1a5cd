"""What networks are made of, as records: layers that every backend builds from, or code of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

ActivationName: TypeAlias = Literal["relu", "tanh", "sigmoid", "softmax", "elu", "gelu", "linear"]
Padding: TypeAlias = Literal["same", "valid"]


@dataclass(frozen=True)
class Dense:
    """A fully connected layer with a bias."""

    units: int


@dataclass(frozen=True)
class Conv:
    """A square convolution; `same` pads kernel_size // 2 pixels on every side, whatever the stride."""

    filters: int
    kernel_size: int
    stride: int = 1
    padding: Padding = "same"
    bias: bool = True


@dataclass(frozen=True)
class MaxPool:
    """Maximum over size x size windows that do not overlap; a rest at the edge is dropped."""

    size: int = 2


@dataclass(frozen=True)
class AveragePool:
    """Mean over size x size windows that do not overlap; a rest at the edge is dropped."""

    size: int = 2


@dataclass(frozen=True)
class GlobalAveragePool:
    """Mean of each channel over all pixels."""


@dataclass(frozen=True)
class Flatten:
    """Height, width and channels as one axis, in that order, on every backend."""


@dataclass(frozen=True)
class Activation:
    """An elementwise activation, or a softmax over the channels."""

    name: ActivationName


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation over all axes but the channels."""


@dataclass(frozen=True)
class Dropout:
    """Sets a fraction `rate` of the values to zero while training and scales up the others."""

    rate: float


@dataclass(frozen=True)
class Residual:
    """The sum of what `body` and `shortcut` make of one input; an empty shortcut is the input itself."""

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


Layer: TypeAlias = (
    Dense | Conv | MaxPool | AveragePool | GlobalAveragePool | Flatten | Activation | BatchNorm | Dropout | Residual
)


@dataclass(frozen=True)
class OwnNetwork:
    """A network of the user's own: what builds it.

    Attributes:
        reference: `package.module:function`, or the whole path of a file and a function in it.
        folder: The working folder while it is built.
        options: What the function is called with beside the shape of a row and the number of classes, as JSON.
        source: SHA-256, in hex, of the files that it is made of.
        seed: Of its initial weights.
    """

    reference: str
    folder: Path
    options: str
    source: str
    seed: int


@dataclass(frozen=True)
class BuiltNetwork:
    """What there is to know of a network of the user's own, once it is built.

    Attributes:
        initial_weights: SHA-256, in hex, of the initial weights, which the runs of a pair must share.
        num_parameters: Trainable numbers.
        draws: Whether it has random numbers of its own while it trains, as dropout does.
        is_seeded: Whether its initial weights follow from the seed, as those of a pretrained network do not.
        warnings: What looks unmeant.
    """

    initial_weights: str
    num_parameters: int
    draws: bool
    is_seeded: bool
    warnings: tuple[str, ...] = ()
