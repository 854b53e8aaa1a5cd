"""The optimizers of the torch backend: torch's own, or with Keras's arithmetic where the two differ."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from clrbench.backends.common import ADADELTA_RHO, ADAGRAD_ACCUMULATOR, ADAM_BETAS, EPSILON, RMSPROP_RHO
from clrbench.records import OptimizerSettings


def make_optimizer(settings: OptimizerSettings, weights: list[Tensor]) -> Optimizer:
    """Return the optimizer of all trainable weights, in one parameter group; its rate is set before every step.

    Adagrad and adadelta need no `shared` form: with equal constants torch's and Keras's agree within float32 rounding.
    """
    # Torch wraps this for its compiler, whose import takes a worker a second or two.
    Optimizer.add_param_group = inspect.unwrap(Optimizer.add_param_group)  # type: ignore[method-assign]
    fused = weights[0].device.type in ("cpu", "cuda") or None
    foreach = None if fused else True
    shared = settings.update_rule == "shared"
    make: Callable[..., Optimizer]
    match settings.name:
        case "sgd":
            sgd = KerasMomentum if shared else partial(torch.optim.SGD, fused=fused, foreach=foreach)
            make = partial(sgd, momentum=settings.momentum, nesterov=settings.nesterov)
        case "adam" | "adamw" if shared:
            make = partial(KerasAdam, decoupled=settings.name == "adamw", step=0)
        case "adam" | "adamw":
            adam = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
            make = partial(adam, betas=ADAM_BETAS, eps=EPSILON, fused=fused, foreach=foreach)
        case "rmsprop" if shared:
            make = KerasRMSprop
        case "rmsprop":
            make = partial(torch.optim.RMSprop, alpha=RMSPROP_RHO, eps=EPSILON, foreach=True)
        case "adagrad":
            first = ADAGRAD_ACCUMULATOR
            make = partial(torch.optim.Adagrad, initial_accumulator_value=first, eps=EPSILON, foreach=True)
        case "adadelta":
            make = partial(torch.optim.Adadelta, rho=ADADELTA_RHO, eps=EPSILON, foreach=True)
    return make(weights, lr=0.0, weight_decay=settings.weight_decay)


class _KerasForm(Optimizer):
    """An optimizer written out in Keras's arithmetic, which no option of torch's gives; its slots are zero at first."""

    slots: tuple[str, ...] = ("velocity",)

    def __init__(self, weights: Iterable[Tensor], **defaults: float) -> None:
        super().__init__(weights, defaults)
        for weight in self.param_groups[0]["params"]:
            self.state[weight] = {slot: torch.zeros_like(weight) for slot in self.slots}

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights once."""
        (group,) = self.param_groups
        # What a network of the user's own did not use in this step has no gradient, and stays as it is.
        weights = [weight for weight in group["params"] if weight.grad is not None]
        gradients = [weight.grad for weight in weights]
        if group["weight_decay"] and not group.get("decoupled"):
            gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        self._update(weights, gradients, *([self.state[weight][slot] for weight in weights] for slot in self.slots))

    def _update(self, weights: list[Tensor], gradients: list[Tensor], *slots: list[Tensor]) -> None:
        raise NotImplementedError


class KerasMomentum(_KerasForm):
    """SGD with `v = momentum * v - lr * g; w += v`, or with Nesterov's look-ahead `w += momentum * v - lr * g`.

    Torch holds `b = momentum * b + g; w -= lr * b`, which is the same for a constant rate only.

    Source: Sutskever et al. 2013, section 2.
    """

    def _update(self, weights: list[Tensor], gradients: list[Tensor], *slots: list[Tensor]) -> None:
        ((velocities,), (group,)) = slots, self.param_groups
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, gradients, alpha=-group["lr"])
        if group["nesterov"]:
            torch._foreach_add_(weights, velocities, alpha=group["momentum"])
            torch._foreach_add_(weights, gradients, alpha=-group["lr"])
        else:
            torch._foreach_add_(weights, velocities)


class KerasRMSprop(_KerasForm):
    """RMSprop with epsilon inside the root: `w -= lr * g / sqrt(v + epsilon)`."""

    def _update(self, weights: list[Tensor], gradients: list[Tensor], *slots: list[Tensor]) -> None:
        ((velocities,), (group,)) = slots, self.param_groups
        torch._foreach_mul_(velocities, RMSPROP_RHO)
        torch._foreach_addcmul_(velocities, gradients, gradients, value=1 - RMSPROP_RHO)
        roots = torch._foreach_add(velocities, EPSILON)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(weights, gradients, roots, value=-group["lr"])


class KerasAdam(_KerasForm):
    """Adam with epsilon added to the uncorrected root of the second moment; torch corrects the root first.

    Keras takes the powers of the betas in float32, which at 0.999 leaves 5 digits of 1 - beta ** step; so does this.

    Source: Kingma and Ba 2015, the efficient form at the end of section 2.
    """

    slots = ("momentum", "velocity")

    def _update(self, weights: list[Tensor], gradients: list[Tensor], *slots: list[Tensor]) -> None:
        ((momenta, velocities), (group,)) = slots, self.param_groups
        if group["decoupled"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        group["step"] += 1
        first, second = 1 - np.array(ADAM_BETAS, np.float32) ** np.float32(group["step"])
        torch._foreach_lerp_(momenta, gradients, 1 - ADAM_BETAS[0])
        torch._foreach_lerp_(velocities, torch._foreach_mul(gradients, gradients), 1 - ADAM_BETAS[1])
        roots = torch._foreach_sqrt(velocities)
        torch._foreach_add_(roots, EPSILON)
        rate = group["lr"] * float(np.sqrt(second)) / float(first)
        torch._foreach_addcdiv_(weights, momenta, roots, value=-rate)
