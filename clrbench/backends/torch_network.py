"""Layer records as a torch function over named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clrbench.models import tagged
from clrbench.records import (
    Activation,
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
    Weights,
)

Function: TypeAlias = Callable[[Tensor], Tensor]

BATCH_NORM_MOMENTUM = 0.1  # the new batch's share, which Keras calls 0.9
BATCH_NORM_EPSILON = 1e-3

_ACTIVATIONS: Mapping[str, Function] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": partial(torch.softmax, dim=1),
    "elu": F.elu,
    "gelu": F.gelu,
    "linear": lambda values: values,
}


class Network:
    """A network on a device: images in, logits out.

    Attributes:
        weights: Trainable tensors by name; kernels of convolutions are [out, in, height, width].
        statistics: Moving means and variances of the batch norms, by name.
        generator: Where dropout draws from.
        training: Whether dropout drops and batch norm uses, and keeps, the statistics of the batch.
    """

    def __init__(
        self, layers: tuple[Layer, ...], weights: Weights, *, device: str, dropout_seed: int, biased_variance: bool
    ) -> None:
        """Build the network.

        Args:
            layers: From the images to the logits.
            weights: Initial values; see `models.weight_shapes`.
            device: Where the tensors live.
            dropout_seed: Seed of `generator`.
            biased_variance: Whether the moving variance takes the mean over n, as Keras's, or over n - 1, as torch's.
        """
        self.weights = {name: to_tensor(weight, device).requires_grad_() for name, weight in weights.items()}
        self.statistics: dict[str, Tensor] = {}
        self.generator = torch.Generator(device).manual_seed(dropout_seed)
        self.training = True
        self._biased_variance = biased_variance
        self._function = self._chain(layers, "")

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32[batch, classes], logits.

        Args:
            images: float32[batch, height, width, channels].
        """
        return self._function(images.permute(0, 3, 1, 2))

    def _chain(self, layers: tuple[Layer, ...], prefix: str) -> Function:
        functions = [self._bind(layer, tag) for tag, layer in tagged(layers, prefix)]

        def chain(values: Tensor) -> Tensor:
            for function in functions:
                values = function(values)
            return values

        return chain

    def _bind(self, layer: Layer, tag: str) -> Function:
        """Return the function of one layer, over values that are [batch, channels, height, width] or flat."""
        match layer:
            case Dense():
                kernel, bias = self.weights[f"{tag}dense.kernel"], self.weights[f"{tag}dense.bias"]
                return lambda values: torch.addmm(bias, values, kernel)
            case Conv(_, size, stride, padding):
                kernel, offset = self.weights[f"{tag}conv.kernel"], self.weights.get(f"{tag}conv.bias")
                margin = size // 2 if padding == "same" else 0
                return lambda values: F.conv2d(values, kernel, offset, stride, margin)
            case MaxPool(size):
                return lambda values: F.max_pool2d(values, size)
            case AveragePool(size):
                return lambda values: F.avg_pool2d(values, size)
            case GlobalAveragePool():
                return lambda values: values.mean((2, 3))
            case Flatten():
                return lambda values: values.permute(0, 2, 3, 1).flatten(1)
            case Activation(name):
                return _ACTIVATIONS[name]
            case Dropout(rate):
                return partial(self._drop, keep=1 - rate)
            case BatchNorm():
                return self._bind_batch_norm(tag)
            case Residual(body, shortcut):
                inner, around = self._chain(body, f"{tag}body."), self._chain(shortcut, f"{tag}shortcut.")
                return lambda values: inner(values) + around(values)

    def _drop(self, values: Tensor, keep: float) -> Tensor:
        if not self.training:
            return values
        return values * torch.empty_like(values).bernoulli_(keep, generator=self.generator).div_(keep)

    def _bind_batch_norm(self, tag: str) -> Function:
        gamma, beta = self.weights[f"{tag}batch_norm.gamma"], self.weights[f"{tag}batch_norm.beta"]
        mean = self.statistics[f"{tag}batch_norm.moving_mean"] = torch.zeros_like(gamma, requires_grad=False)
        variance = self.statistics[f"{tag}batch_norm.moving_variance"] = torch.ones_like(gamma, requires_grad=False)

        def normalise(values: Tensor) -> Tensor:
            if not (self.training and self._biased_variance):
                return F.batch_norm(
                    values, mean, variance, gamma, beta, self.training, BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON
                )
            batch_mean, batch_variance = torch.zeros_like(mean), torch.zeros_like(variance)
            values = F.batch_norm(values, batch_mean, batch_variance, gamma, beta, True, 1.0, BATCH_NORM_EPSILON)
            rows = values.numel() // values.shape[1]
            mean.lerp_(batch_mean, BATCH_NORM_MOMENTUM)
            variance.lerp_(batch_variance.mul_((rows - 1) / rows), BATCH_NORM_MOMENTUM)
            return values

        return normalise


def to_tensor(array: npt.NDArray[Any], device: str) -> Tensor:
    """Return a copy of an array as torch's functions take it: kernels of convolutions [out, in, height, width].

    Args:
        array: A weight, or an optimizer's slot of one, in the layout of `models.weight_shapes`.
        device: Where to put it.
    """
    tensor = torch.tensor(array, device=device)
    return tensor.permute(3, 2, 0, 1).contiguous() if array.ndim == 4 else tensor


def to_array(tensor: Tensor) -> npt.NDArray[Any]:
    """Return a copy of a tensor in the layout of `models.weight_shapes`; the inverse of `to_tensor`.

    Args:
        tensor: A weight, or an optimizer's slot of one.
    """
    array = tensor.detach().cpu().numpy()
    return np.array(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array, order="C")
