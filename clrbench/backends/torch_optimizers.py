"""The optimizers of the torch backend: torch's own, or with Keras's arithmetic where the two differ."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from clrbench.records import OptimizerSettings

BETAS = (0.9, 0.999)
EPSILON = 1e-7
RMSPROP_RHO = 0.9
ADADELTA_RHO = 0.95
ADAGRAD_ACCUMULATOR = 0.1

CARRIED = ("last_lr", "num_steps")  # what the classes below keep in their parameter group from step to step


def make_optimizer(settings: OptimizerSettings, weights: list[Tensor]) -> Optimizer:
    """Return the optimizer of `weights`, with one parameter group and a rate that is set before every step.

    Args:
        settings: The update rule and its constants. Adagrad and adadelta need no `shared` form: with equal constants
            torch's and Keras's agree within float32 rounding.
        weights: All trainable weights.
    """
    common: dict[str, Any] = {"lr": 0.0, "weight_decay": settings.weight_decay}
    fast: dict[str, Any] = {"fused": True} if weights[0].device.type in ("cpu", "cuda") else {"foreach": True}
    shared = settings.update_rule == "shared"
    match settings.name:
        case "sgd" if shared and settings.nesterov:
            return KerasNesterov(weights, momentum=settings.momentum, **common)
        case "sgd":
            sgd = KerasMomentum if shared and settings.momentum else torch.optim.SGD
            return sgd(weights, momentum=settings.momentum, nesterov=settings.nesterov, **common, **fast)
        case "adam":
            adam = KerasAdam if shared else torch.optim.Adam
            return adam(weights, betas=BETAS, eps=EPSILON, **common, **fast)
        case "adamw":
            adamw = KerasAdamW if shared else torch.optim.AdamW
            return adamw(weights, betas=BETAS, eps=EPSILON, **common, **fast)
        case "rmsprop":
            if shared:
                return KerasRMSprop(weights, **common)
            return torch.optim.RMSprop(weights, alpha=RMSPROP_RHO, eps=EPSILON, foreach=True, **common)
        case "adagrad":
            common["initial_accumulator_value"] = ADAGRAD_ACCUMULATOR
            return torch.optim.Adagrad(weights, eps=EPSILON, foreach=True, **common)
        case "adadelta":
            return torch.optim.Adadelta(weights, rho=ADADELTA_RHO, eps=EPSILON, foreach=True, **common)


class KerasMomentum(torch.optim.SGD):
    """SGD with `v = momentum * v - lr * g; w += v`, got from torch's rule by rescaling its momentum.

    Torch holds `b = momentum * b + g; w -= lr * b`. With `v = -lr * b`, Keras's rule asks for
    `momentum * last_lr / lr` in place of `momentum`.

    Source: Sutskever et al. 2013, section 2, equations 1 and 2.
    """

    def __init__(self, weights: Iterable[Tensor], momentum: float, **options: Any) -> None:
        """Make the optimizer; see `torch.optim.SGD`."""
        super().__init__(weights, momentum=momentum, **options)
        self._momentum = momentum

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights once."""
        (group,) = self.param_groups
        group["momentum"] = self._momentum * group.get("last_lr", group["lr"]) / group["lr"]
        group["last_lr"] = group["lr"]
        super().step(closure)


class KerasAdam(torch.optim.Adam):
    """Adam with epsilon added to the uncorrected root of the second moment, as in Keras; torch corrects the root first.

    Source: Kingma and Ba 2015, the efficient form at the end of section 2.
    """

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights once."""
        _uncorrect_epsilon(self.param_groups[0])
        super().step(closure)


class KerasAdamW(torch.optim.AdamW):
    """AdamW with epsilon where `KerasAdam` has it."""

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights once."""
        _uncorrect_epsilon(self.param_groups[0])
        super().step(closure)


def _uncorrect_epsilon(group: dict[str, Any]) -> None:
    # Counted here because reading Adam's own count would wait for a GPU at every step.
    group["num_steps"] = group.get("num_steps", 0) + 1
    group["eps"] = EPSILON / math.sqrt(1 - BETAS[1] ** group["num_steps"])


class _SlotOptimizer(Optimizer):
    """An optimizer with one slot a weight, zero at first."""

    slot: str

    def __init__(self, weights: Iterable[Tensor], **defaults: float) -> None:
        super().__init__(weights, defaults)

    def _gather(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], dict[str, Any]]:
        """Return weights, gradients with their L2 term, slots, and the group's constants."""
        (group,) = self.param_groups
        weights = group["params"]
        gradients = [weight.grad for weight in weights]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        for weight in weights:
            if self.slot not in self.state[weight]:
                self.state[weight][self.slot] = torch.zeros_like(weight)
        return weights, gradients, [self.state[weight][self.slot] for weight in weights], group


class KerasNesterov(_SlotOptimizer):
    """SGD with Nesterov's look-ahead as Keras has it: `v = momentum * v - lr * g; w += momentum * v - lr * g`."""

    slot = "velocity"

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights once."""
        weights, gradients, velocities, group = self._gather()
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, gradients, alpha=-group["lr"])
        torch._foreach_add_(weights, velocities, alpha=group["momentum"])
        torch._foreach_add_(weights, gradients, alpha=-group["lr"])


class KerasRMSprop(_SlotOptimizer):
    """RMSprop with epsilon inside the root, as Keras has it: `w -= lr * g / sqrt(v + epsilon)`."""

    slot = "velocity"

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights once."""
        weights, gradients, velocities, group = self._gather()
        torch._foreach_mul_(velocities, RMSPROP_RHO)
        torch._foreach_addcmul_(velocities, gradients, gradients, value=1 - RMSPROP_RHO)
        roots = torch._foreach_add(velocities, EPSILON)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(weights, gradients, list(roots), value=-group["lr"])
