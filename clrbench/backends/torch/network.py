"""Layer records as a torch function over named tensors."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clrbench import layers
from clrbench.backends.common import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM
from clrbench.backends.protocol import State
from clrbench.models import tagged
from clrbench.records import TrainPlan

Function: TypeAlias = Callable[[Tensor], Tensor]

# The share of the new batch, which torch calls momentum.
UPDATE_SHARE = 1 - BATCH_NORM_MOMENTUM

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
        generator: Random numbers of dropout.
        training: Whether dropout drops and batch norm uses, and keeps, the statistics of the batch.
        found: None, as there is nothing to say of a built-in network.
    """

    def __init__(self, plan: TrainPlan, device: str) -> None:
        """Build the network of a plan, from its initial weights.

        Under the `shared` update rule batch norm is in Keras's arithmetic, whose moving variance divides by n; torch's own
        divides by n - 1, and its sums over images are ten times less exact.
        """
        self.weights = {name: to_tensor(weight, device).requires_grad_() for name, weight in plan.weights.items()}
        self.statistics: dict[str, Tensor] = {}
        self.generator = torch.Generator(device).manual_seed(plan.dropout_seed)
        self.training = True
        self.found = None
        self._device = device
        self._keras_batch_norm = plan.optimizer.update_rule == "shared"
        self._function = self._chain(plan.layers, "")

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits, float32[batch, classes], of images, float32[batch, height, width, channels], or of features."""
        return self._function(images.permute(0, 3, 1, 2) if images.ndim == 4 else images)

    def drawing(self) -> AbstractContextManager[None]:
        """Do nothing: dropout has a generator of its own."""
        return nullcontext()

    scoring = drawing

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return copies of weights, statistics and random numbers."""
        state = {name: to_array(tensor) for name, tensor in (self.weights | self.statistics).items()}
        state["dropout.generator"] = self.generator.get_state().numpy()
        return state

    def restore(self, state: State) -> None:
        """Continue where `state` was taken."""
        with torch.no_grad():
            for name, tensor in (self.weights | self.statistics).items():
                tensor.copy_(to_tensor(state[name], self._device))
        self.generator.set_state(torch.tensor(state["dropout.generator"]))

    def _chain(self, branch: tuple[layers.Layer, ...], prefix: str) -> Function:
        functions = [self._bind(layer, tag) for tag, layer in tagged(branch, prefix)]

        def chain(values: Tensor) -> Tensor:
            for function in functions:
                values = function(values)
            return values

        return chain

    def _bind(self, layer: layers.Layer, tag: str) -> Function:
        """Return the function of one layer, over values that are [batch, channels, height, width] or flat."""
        match layer:
            case layers.Dense():
                kernel, bias = self.weights[f"{tag}dense.kernel"], self.weights[f"{tag}dense.bias"]
                return lambda values: torch.addmm(bias, values, kernel)
            case layers.Conv(_, size, stride, padding):
                kernel, offset = self.weights[f"{tag}conv.kernel"], self.weights.get(f"{tag}conv.bias")
                margin = size // 2 if padding == "same" else 0
                return lambda values: F.conv2d(values, kernel, offset, stride, margin)
            case layers.MaxPool(size):
                return lambda values: F.max_pool2d(values, size)
            case layers.AveragePool(size):
                return lambda values: F.avg_pool2d(values, size)
            case layers.GlobalAveragePool():
                return lambda values: values.mean((2, 3))
            case layers.Flatten():
                return lambda values: values.permute(0, 2, 3, 1).flatten(1) if values.ndim == 4 else values
            case layers.Activation(name):
                return _ACTIVATIONS[name]
            case layers.Dropout(rate):
                return partial(self._drop, keep=1 - rate)
            case layers.BatchNorm():
                return self._bind_batch_norm(tag)
            case layers.Residual(body, shortcut):
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
            return F.batch_norm(values, mean, variance, gamma, beta, self.training, UPDATE_SHARE, BATCH_NORM_EPSILON)

        def normalise_as_keras(values: Tensor) -> Tensor:
            if not self.training:
                return normalise(values)
            axes = [axis for axis in range(values.ndim) if axis != 1]
            batch_variance, batch_mean = torch.var_mean(values, axes, correction=0)
            mean.lerp_(batch_mean.detach(), UPDATE_SHARE)
            variance.lerp_(batch_variance.detach(), UPDATE_SHARE)
            scale = gamma * torch.rsqrt(batch_variance + BATCH_NORM_EPSILON)
            shift = beta - batch_mean * scale
            over_channels = [-1] + [1] * (values.ndim - 2)
            return values * scale.view(over_channels) + shift.view(over_channels)

        return normalise_as_keras if self._keras_batch_norm else normalise


def to_tensor(array: npt.NDArray[np.generic], device: str) -> Tensor:
    """Return a weight, or a slot of one, copied from the layout of `models.weight_shapes` to torch's, on a device."""
    tensor = torch.tensor(array, device=device)
    return tensor.permute(3, 2, 0, 1).contiguous() if array.ndim == 4 else tensor


def to_array(tensor: Tensor) -> npt.NDArray[np.generic]:
    """Return a copy of a tensor in the layout of `models.weight_shapes`; the inverse of `to_tensor`."""
    array = tensor.detach().cpu().numpy()
    return np.array(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array, order="C")
