"""A network of the user's own on torch: built, checked, and with all that its next step depends on."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from clrbench.backends.own_network import (
    EVALUATION_SEED,
    Builder,
    Generator,
    Randomness,
    is_same_state,
    output_warnings,
    same_start_warning,
    state_digest,
)
from clrbench.backends.protocol import State
from clrbench.backends.torch.network import to_array, to_tensor
from clrbench.layers import BuiltNetwork
from clrbench.records import Dataset, FloatArray, TrainPlan

# What building a network showed, once a process: what makes it, but for the seed, and the device.
_checked: dict[tuple[object, ...], tuple[bool, bool, tuple[str, ...]]] = {}


class OwnNetwork:
    """A `torch.nn.Module` of the user's own on a device; see `network.Network`, in whose place it stands.

    Attributes:
        weights: Its trainable parameters by name; one that several layers share is there once.
        found: What there is to know of it.
    """

    def __init__(self, plan: TrainPlan, dataset: Dataset, device: str, batch: tuple[Tensor, Tensor]) -> None:
        """Build the network from the seed of the plan; the first of a process is tried on a batch, rows and classes.

        Raises:
            BackendError: If it cannot be built or used.
        """
        if plan.network is None:
            raise TypeError("the plan is one of a built-in network")
        if device == "cuda":
            _compute_the_same_every_time()
        self._device = device
        self._randomness = Randomness(_generators(device), _seed)
        self._builder = Builder(plan.network, dataset.image_shape, dataset.num_classes, self._randomness)
        self._sample = batch[0][:2]
        self._module = self._build(plan.network.seed)
        self.weights = {name: one for name, one in self._module.named_parameters() if one.requires_grad}
        if not self.weights:
            raise self._builder.fail("it has no trainable parameter; allowed: at least one")
        start = _module_state(self._module)
        network = plan.network
        made_of = (network.reference, network.options, network.source, dataset.image_shape, dataset.num_classes, device)
        if made_of not in _checked:
            _checked[made_of] = self._check(network.seed, start, batch)
        num_parameters = sum(weight.numel() for weight in self.weights.values())
        self.found = BuiltNetwork(state_digest(start), num_parameters, *_checked[made_of])
        self._randomness.begin(plan.dropout_seed)

    def __call__(self, values: Tensor) -> Tensor:
        """Return logits, float32[batch, classes], of rows as the data has them."""
        logits: Tensor = self._module(as_given(values))
        return logits

    @property
    def training(self) -> bool:
        """Whether it trains, in torch's sense."""
        return self._module.training

    @training.setter
    def training(self, mode: bool) -> None:
        self._module.train(mode)

    def drawing(self) -> AbstractContextManager[None]:
        """Have it draw its random numbers on where the last step stopped."""
        return self._randomness.going_on()

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """Have it draw the same random numbers, if any, at every evaluation, and none of those of training."""
        with self._randomness.seeded(EVALUATION_SEED):
            yield

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of parameters, buffers and random numbers."""
        return {**_module_state(self._module), **self._randomness.state()}

    def restore(self, state: State) -> None:
        """Continue where `state` was taken."""
        with torch.no_grad():
            for name, parameter in self._module.named_parameters():
                parameter.copy_(to_tensor(state[f"parameter.{name}"], self._device))
            for key, array in state.items():
                if key.startswith("buffer."):
                    _set_buffer(self._module, key.removeprefix("buffer."), to_tensor(array, self._device))
        self._randomness.restore(state)

    def _build(self, seed: int) -> nn.Module:
        return self._builder.build(seed, self._finish)

    def _finish(self, made: object) -> nn.Module:
        if not isinstance(made, nn.Module):
            raise self._builder.wrong_kind(made, "torch.nn.Module", "keras.Model")
        module = made.to(self._device)
        if self._device == "cuda":
            draw_from_torch(module)
        tensors = (*module.parameters(), *module.buffers())
        if any(nn.parameter.is_lazy(one) for one in tensors):
            # Lazy layers draw their weights once they see what comes in.
            with torch.no_grad(), self._builder.code.running("calling the network"):
                module.eval()(as_given(self._sample))
        module.train()
        self._builder.check_types({name: _type(one) for name, one in module.named_parameters()})
        for name, buffer in module.named_buffers():
            if not _has_numpy_type(buffer):
                raise self._builder.fail(f"its buffer {name} is {_type(buffer)}; allowed: a type that numpy has")
        return module

    def _check(self, seed: int, start: State, batch: tuple[Tensor, Tensor]) -> tuple[bool, bool, tuple[str, ...]]:
        """Return whether it draws random numbers, whether the seed decides its weights, and what looks unmeant.

        Two more networks are built for it.
        """
        second, other = self._build(seed), self._build(seed + 1)
        mine = {id(one) for one in (*self._module.parameters(), *self._module.buffers())}
        if any(id(one) in mine for one in (*second.parameters(), *second.buffers())):
            raise self._builder.fail(
                "it returned the same module, or the same parameters, twice; build a new one at every call"
            )
        self._builder.check_same(start, _module_state(second))
        varies = not is_same_state(_trained(start), _trained(_module_state(other)))
        draws = self._try(second, batch)
        warnings = self._warnings(second, batch[0])
        return draws, varies, (*warnings, *(() if varies else (same_start_warning(draws=draws),)))

    def _try(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> bool:
        """Make half a step: forward and backward; return whether that drew random numbers."""
        rows, classes = batch
        builder = self._builder
        with self._randomness.seeded(seed=0):
            before = self._randomness.position()
            with builder.code.running("the first forward pass"):
                logits = module(as_given(rows))
            self._check_logits(logits, len(rows))
            with builder.code.running("the first backward pass"):
                torch.autograd.backward(F.cross_entropy(logits, classes))
            draws = self._randomness.position() != before
        gradients = [one.grad for one in module.parameters() if one.grad is not None]
        if not gradients:
            raise builder.fail("its outputs depend on no trainable parameter; allowed: logits that can be trained")
        if any(gradient.layout != torch.strided for gradient in gradients):
            raise builder.fail("it has sparse gradients; allowed: dense ones; leave sparse=True out of its embeddings")
        return draws

    @torch.no_grad()
    def _warnings(self, module: nn.Module, rows: Tensor) -> list[str]:
        module.eval()
        weights: list[Tensor] = [one for one in module.parameters() if one.requires_grad]

        def outputs(some: Tensor) -> Tensor:
            with self._randomness.seeded(EVALUATION_SEED), self._builder.code.running("evaluating it"):
                logits = module(as_given(some))
            self._check_logits(logits, len(some))
            found: Tensor = logits
            return found

        def at(factor: float) -> FloatArray:
            torch._foreach_mul_(weights, factor)
            return outputs(rows).cpu().numpy()

        # The last rows of a split may be a single one.
        outputs(rows[:1])
        return output_warnings(outputs(rows).cpu().numpy(), at)

    def _check_logits(self, logits: object, rows: int) -> None:
        if not isinstance(logits, Tensor):
            raise self._builder.fail(f"its output is a {type(logits).__name__}; allowed: a tensor, the logits alone")
        self._builder.check_outputs(tuple(logits.shape), _type(logits), rows)


def as_given(values: Tensor) -> Tensor:
    """Return rows as a module of the user's own takes them: images with their channels first, all else as it is."""
    return values.permute(0, 3, 1, 2).contiguous() if values.ndim == 4 else values


def draw_from_torch(module: nn.Module) -> None:
    """Have recurrent layers with dropout leave cuDNN aside, whose random numbers no checkpoint can hold."""
    for layer in module.modules():
        if isinstance(layer, nn.RNNBase) and layer.dropout:
            without_cudnn = torch.backends.cudnn.flags(enabled=False, deterministic=True, allow_tf32=False)
            layer.forward = without_cudnn(layer.forward)


def _compute_the_same_every_time() -> None:
    """Have a GPU round alike from one run to the next; what cannot is warned about by torch."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Attention has kernels that are the same every time only where all else of torch must be, or fail.
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)


def _generators(device: str) -> list[Generator]:
    found = [
        Generator("torch", lambda: torch.get_rng_state().numpy(), lambda state: torch.set_rng_state(_bytes(state)))
    ]
    if device == "cuda":
        found.append(
            Generator(
                "cuda",
                lambda: torch.cuda.get_rng_state().numpy(),
                lambda state: torch.cuda.set_rng_state(_bytes(state)),
            )
        )
    if device == "mps":
        found.append(
            Generator(
                "mps", lambda: torch.mps.get_rng_state().numpy(), lambda state: torch.mps.set_rng_state(_bytes(state))
            )
        )
    return found


def _bytes(state: np.ndarray) -> Tensor:
    return torch.tensor(state, dtype=torch.uint8)


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _has_numpy_type(tensor: Tensor) -> bool:
    """Return whether numpy has the type of a tensor, as a checkpoint needs."""
    try:
        torch.empty(0, dtype=tensor.dtype).numpy()
    except TypeError:
        return False
    return True


def _module_state(module: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of all parameters and buffers; one that has several names is there under the first."""
    parameters = {f"parameter.{name}": to_array(one) for name, one in module.named_parameters()}
    return parameters | {f"buffer.{name}": to_array(one) for name, one in module.named_buffers()}


def _trained(state: State) -> State:
    return {name: array for name, array in state.items() if name.startswith("parameter.")}


def _set_buffer(module: nn.Module, name: str, value: Tensor) -> None:
    """Give a buffer a value, under all of its names; one that has changed its size since it was built, too."""
    place, _, leaf = name.rpartition(".")
    owner = module.get_submodule(place)
    current = owner._buffers.get(leaf)
    if current is not None and current.shape == value.shape and current.dtype == value.dtype:
        current.copy_(value)
        return
    if current is None:
        owner.register_buffer(leaf, value)
        return
    for one in module.modules():
        for key, buffer in one._buffers.items():
            if buffer is current:
                one._buffers[key] = value
