"""Many trainings of one small network at once, as one stacked model in torch; the numbers are those of a `Trainer`.

A training of a small network is nearly all overhead, so a hundred of them in a stack take a tenth of the time.
Dense networks only; `one_by_one.py` trains others. `tests/test_benchmarks.py` holds it to `backends.torch` on paired plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clrbench import layers
from clrbench.backends.common import ADAM_BETAS, BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, EPSILON, RMSPROP_RHO
from clrbench.models import tagged
from clrbench.records import Dataset, OptimizerSettings, Standardisation, TrainPlan

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What one training left behind; nan in accuracies and losses from where it diverged.

    Attributes:
        train_loss: float64[num_steps], raw mini-batch losses.
        validation_loss: float64[evaluations], as all that follow.
        validation_balanced: Mean over the classes of the share that is classified rightly.
    """

    train_loss: DoubleArray
    validation_loss: DoubleArray
    validation_accuracy: DoubleArray
    validation_balanced: DoubleArray
    test_accuracy: DoubleArray
    test_balanced: DoubleArray


_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "softmax": partial(torch.softmax, dim=-1),
}


class _Stack:
    """The weights of all models, [models, in, out], and the function they make of [models, batch, features]."""

    def __init__(self, plans: Sequence[TrainPlan]) -> None:
        self.layers = plans[0].layers
        self.weights = {
            name: torch.tensor(np.stack([plan.weights[name] for plan in plans])).requires_grad_()
            for name in plans[0].weights
        }
        self.statistics: dict[str, Tensor] = {}
        self.generator = torch.Generator().manual_seed(plans[0].dropout_seed)

    def __call__(self, values: Tensor, *, training: bool) -> Tensor:
        for tag, layer in tagged(self.layers):
            match layer:
                case layers.Flatten():
                    pass
                case layers.Dense():
                    bias = self.weights[f"{tag}dense.bias"].unsqueeze(1)
                    values = torch.baddbmm(bias, values, self.weights[f"{tag}dense.kernel"])
                case layers.Activation(name):
                    values = _ACTIVATIONS[name](values)
                case layers.Dropout(rate):
                    if training:
                        keep = torch.empty_like(values).bernoulli_(1 - rate, generator=self.generator)
                        values = values * keep / (1 - rate)
                case layers.BatchNorm():
                    values = self._normalise(tag, values, training)
                case _:
                    raise NotImplementedError(str(layer))
        return values

    def _normalise(self, tag: str, values: Tensor, training: bool) -> Tensor:
        gamma, beta = (self.weights[f"{tag}batch_norm.{name}"].unsqueeze(1) for name in ("gamma", "beta"))
        mean, variance = self.statistics.setdefault(
            tag, torch.stack([torch.zeros_like(gamma), torch.ones_like(gamma)]).detach()
        )
        if training:
            batch_variance, batch_mean = torch.var_mean(values, 1, correction=0, keepdim=True)
            rows = values.shape[1]
            share = 1 - BATCH_NORM_MOMENTUM
            mean.lerp_(batch_mean.detach(), share)
            variance.lerp_(batch_variance.detach() * rows / (rows - 1), share)
        else:
            batch_mean, batch_variance = mean, variance
        normal: Tensor = (values - batch_mean) * torch.rsqrt(batch_variance + BATCH_NORM_EPSILON)
        return normal * gamma + beta


class _Optimizer:
    """The native forms of torch, each model with a rate of its own."""

    def __init__(self, settings: OptimizerSettings, weights: list[Tensor]) -> None:
        self.settings, self.weights = settings, weights
        self.first = [torch.zeros_like(weight) for weight in weights]
        self.second = [torch.zeros_like(weight) for weight in weights]
        self.steps = 0

    @torch.no_grad()
    def step(self, rates: Tensor) -> None:
        """Update every weight; `rates` is float32[models]."""
        self.steps += 1
        for weight, first, second in zip(self.weights, self.first, self.second, strict=True):
            gradient, rate = weight.grad, rates.view([-1] + [1] * (weight.ndim - 1))
            assert gradient is not None
            weight.sub_(rate * self._direction(weight, gradient, rate, first, second))
            weight.grad = None

    def _direction(self, weight: Tensor, gradient: Tensor, rate: Tensor, first: Tensor, second: Tensor) -> Tensor:
        settings = self.settings
        if settings.name == "adamw":
            weight.mul_(1 - rate * settings.weight_decay)
        elif settings.weight_decay:
            gradient = gradient + settings.weight_decay * weight
        match settings.name:
            case "sgd":
                first.mul_(settings.momentum).add_(gradient)
                return gradient + settings.momentum * first if settings.nesterov else first
            case "adam" | "adamw":
                first.lerp_(gradient, 1 - ADAM_BETAS[0])
                second.mul_(ADAM_BETAS[1]).addcmul_(gradient, gradient, value=1 - ADAM_BETAS[1])
                corrections = [1 - beta**self.steps for beta in ADAM_BETAS]
                return first / corrections[0] / ((second / corrections[1]).sqrt() + EPSILON)
            case "rmsprop":
                second.mul_(RMSPROP_RHO).addcmul_(gradient, gradient, value=1 - RMSPROP_RHO)
                return gradient / (second.sqrt() + EPSILON)
            case _:
                raise NotImplementedError(settings.name)


def train(
    plans: Sequence[TrainPlan],
    dataset: Dataset,
    evaluation_steps: Sequence[int],
    test_steps: Sequence[int],
    loss_limit: float,
) -> list[Outcome]:
    """Train all plans, alike in all but rates, weights and batches; evaluate after each of these numbers of updates.

    Test rows are looked at after those of `test_steps` only, which are among the others.
    """
    stack = _Stack(plans)
    optimizer = _Optimizer(plans[0].optimizer, list(stack.weights.values()))
    images, test = (_inputs(split, plans[0].standardisation) for split in (dataset.x_train, dataset.x_test))
    labels = torch.tensor(dataset.y_train, dtype=torch.long)
    batches = torch.tensor(np.stack([plan.batches for plan in plans]), dtype=torch.long)
    rates = torch.tensor(np.stack([plan.lr for plan in plans]))
    rows = plans[0].rows
    losses, found, nothing = [], [], np.full(len(plans), np.nan)
    for step in range(rates.shape[1]):
        chosen = batches[:, step]
        logits = stack(images[chosen], training=True)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[chosen].flatten(), reduction="none").view(
            len(plans), -1
        )
        means = loss.mean(1)
        torch.autograd.backward(means.sum())
        losses.append(means.detach().numpy().copy())
        optimizer.step(rates[:, step])
        if step + 1 in evaluation_steps:
            validation = _evaluate(stack, images[rows.validation], dataset.y_train[rows.validation])
            tested = _evaluate(stack, test, dataset.y_test)[1:] if step + 1 in test_steps else (nothing, nothing)
            found.append((*validation, *tested))
    return outcomes(np.array(losses).T, np.array(found), np.array(sorted(evaluation_steps)), loss_limit)


def _inputs(images: npt.NDArray[np.generic], scale: Standardisation | None) -> Tensor:
    """Return images as they enter the network, float32[rows, features]."""
    floats = np.asarray(images, np.float32)
    if scale is not None:
        floats = (floats - scale.mean) / scale.deviation
    return torch.tensor(floats.reshape(len(floats), -1))


@torch.no_grad()
def _evaluate(stack: _Stack, images: Tensor, labels: npt.NDArray[np.int32]) -> tuple[DoubleArray, ...]:
    """Return loss, accuracy and balanced accuracy of every model."""
    number = len(next(iter(stack.weights.values())))
    # In parts: a stack makes much of one row.
    parts = torch.split(images, max(1, 40_000_000 // (number * images.shape[1] * 4)))
    logits = torch.cat([stack(part.expand(number, -1, -1), training=False) for part in parts], dim=1)
    truth = torch.tensor(labels, dtype=torch.long)
    right = logits.argmax(2) == truth
    log_odds = torch.log_softmax(logits, 2).gather(2, truth.view(1, -1, 1).expand(number, -1, 1))
    classes = [right[:, truth == label].double().mean(1) for label in torch.tensor(np.unique(labels))]
    loss, accuracy, balanced = -log_odds.mean((1, 2)).double(), right.double().mean(1), torch.stack(classes).mean(0)
    return loss.numpy(), accuracy.numpy(), balanced.numpy()


def outcomes(
    losses: DoubleArray, found: DoubleArray, evaluation_steps: npt.NDArray[np.int64], loss_limit: float
) -> list[Outcome]:
    """Put nan from where a model diverged; `losses` is [models, steps], `found` [evaluations, metrics, models]."""
    made = []
    for model, raw in enumerate(losses):
        beyond = np.flatnonzero(~(raw <= loss_limit))
        first = int(beyond[0]) if beyond.size else len(raw)
        if beyond.size == 0 and not np.isfinite(found[:, 0, model]).all():
            first = int(evaluation_steps[~np.isfinite(found[:, 0, model])][0]) - 1
        train_loss = np.where(np.arange(len(raw)) <= first, raw, np.nan).astype(np.float64)
        values = np.where(evaluation_steps[:, None] <= first, found[:, :, model], np.nan)
        made.append(Outcome(train_loss, *values.T))
    return made
