"""A setting as a user of torch would write it: a module, a `DataLoader`, an optimizer; weights and batches are clrbench's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from settings import Setting
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from clrbench import layers
from clrbench.backends.common import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM
from clrbench.backends.torch.input import Input
from clrbench.backends.torch.network import to_tensor
from clrbench.backends.torch.optimizers import make_optimizer
from clrbench.models import tagged
from clrbench.planning.plan import make_plan
from clrbench.records import OptimizerSettings, TrainPlan

Batches = DataLoader[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Training:
    """What a finder is given of one seed, before any update.

    Attributes:
        batches: As many as there are updates, in the order in which clrbench trains on them.
    """

    network: nn.Module
    batches: Batches
    optimizer: OptimizerSettings

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer of the setting over the weights; its rate is for the finder to set."""
        return make_optimizer(self.optimizer, list(self.network.parameters()))


def make_training(setting: Setting, seed: int, num_steps: int) -> Training:
    """Return the network and the first batches of a seed; torch's own random numbers, of dropout, start at the seed."""
    torch.manual_seed(seed)
    dataset = setting.dataset()
    plan = make_plan(setting.run(seed, num_steps), dataset)
    source = Input(dataset.x_train, dataset.y_train, plan, "cpu")
    every_row = np.arange(len(dataset.y_train), dtype=np.int32)
    images, labels = (tensor.clone() for tensor in next(iter(source.chunks(every_row, len(every_row)))))
    # A row of the sampler is a whole batch.
    batches: Batches = DataLoader(TensorDataset(images, labels), batch_size=None, sampler=plan.batches.tolist())
    return Training(module_of(plan), batches, plan.optimizer)


def module_of(plan: TrainPlan) -> nn.Module:
    """Return a plain module with the initial weights of a plan: images, float32[batch, height, width, channels], to logits."""
    return nn.Sequential(_ChannelsFirst(), *(_part(layer, tag, plan) for tag, layer in tagged(plan.layers)))


class _ChannelsFirst(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 3, 1, 2)


class _Flatten(nn.Module):
    """Height, width and channels in that order, as `layers.Flatten` says."""

    def forward(self, values: Tensor) -> Tensor:
        return values.permute(0, 2, 3, 1).flatten(1)


def _part(layer: layers.Layer, tag: str, plan: TrainPlan) -> nn.Module:
    def weight(name: str) -> Tensor:
        return to_tensor(plan.weights[f"{tag}{name}"], "cpu")

    match layer:
        case layers.Flatten():
            return _Flatten()
        case layers.Dense():
            kernel = weight("dense.kernel").T.contiguous()
            return _filled(nn.Linear(kernel.shape[1], kernel.shape[0]), weight=kernel, bias=weight("dense.bias"))
        case layers.Conv(filters, size, stride, "same", True):
            kernel = weight("conv.kernel")
            convolution = nn.Conv2d(kernel.shape[1], filters, size, stride, size // 2)
            return _filled(convolution, weight=kernel, bias=weight("conv.bias"))
        case layers.MaxPool(size):
            return nn.MaxPool2d(size)
        case layers.Activation(name):
            return {"relu": nn.ReLU(), "tanh": nn.Tanh(), "softmax": nn.Softmax(dim=1)}[name]
        case layers.Dropout(rate):
            return nn.Dropout(rate)
        case layers.BatchNorm():
            gamma = weight("batch_norm.gamma")
            norm = nn.BatchNorm1d(len(gamma), BATCH_NORM_EPSILON, 1 - BATCH_NORM_MOMENTUM)
            return _filled(norm, weight=gamma, bias=weight("batch_norm.beta"))
        case _:
            raise NotImplementedError(str(layer))


def _filled(module: nn.Module, **weights: Tensor) -> nn.Module:
    for name, value in weights.items():
        setattr(module, name, nn.Parameter(value))
    return module
