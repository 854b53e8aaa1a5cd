"""The PyTorch backend: a tight loop over images that stay on the device, with one wait for the device a stretch."""

from __future__ import annotations

import inspect
import warnings
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clrbench.backends import EVALUATION_ROWS, State, choose_device
from clrbench.backends.torch_network import Network, to_array, to_tensor
from clrbench.backends.torch_optimizers import make_optimizer
from clrbench.records import Dataset, Evaluation, FloatArray, Images, IntArray, Split, StepLog, TrainPlan

GATHERED_BYTES = 2**21  # of float32 images; what a core's cache holds, about


def set_threads(num_threads: int) -> None:
    """Fix the CPU threads of this process; see `Backend`."""
    torch.set_num_threads(num_threads)
    # As TensorFlow does: arithmetic on denormal numbers is slow on many processors, and momentum decays into them.
    torch.set_flush_denormal(True)


def find_device(wanted: str) -> str:
    """Return the device to use; see `Backend`."""
    present: tuple[str, ...] = ("cuda",) if torch.cuda.is_available() else ()
    present += ("mps",) if torch.backends.mps.is_available() else ()
    return choose_device(wanted, (*present, "cpu"))


def versions() -> dict[str, str]:
    """Return the version of torch."""
    return {"torch": torch.__version__}


def make_trainer(plan: TrainPlan, dataset: Dataset, device: str) -> TorchTrainer:
    """Return a trainer that stands before the first step of `plan`; see `Backend`."""
    torch.backends.cudnn.deterministic = True
    return TorchTrainer(plan, dataset, device)


class TorchTrainer:
    """A `Trainer` on PyTorch."""

    def __init__(self, plan: TrainPlan, dataset: Dataset, device: str) -> None:
        """Put images and weights on the device; see `Backend.make_trainer`."""
        self._device = device
        self._rows = plan.rows
        self._train_set = _resident(dataset.x_train, dataset.y_train, device)
        self._test_set = _resident(dataset.x_test, dataset.y_test, device)
        self._network = Network(
            plan.layers,
            plan.weights,
            device=device,
            dropout_seed=plan.dropout_seed,
            keras_batch_norm=plan.optimizer.update_rule == "shared",
        )
        self._weights = list(self._network.weights.values())
        self._optimizer = make_optimizer(plan.optimizer, self._weights)
        # Torch wraps `step` for its profiler and compiler, which costs a small network a tenth of its time.
        self._step = partial(inspect.unwrap(type(self._optimizer).step), self._optimizer)

    def train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        """Make one update for every row of `batches`; see `Trainer`."""
        if not len(lr):
            return StepLog(lr.copy(), np.empty(0, np.float32), np.empty(0, np.float32))
        self._network.training = True
        images, labels = self._train_set
        rows = torch.tensor(batches, device=self._device)
        group = self._optimizer.param_groups[0]
        rates, losses, accuracies = [], [], []
        steps_at_once = max(1, GATHERED_BYTES // (4 * images[0].numel() * batches.shape[1]))
        gather = _Gather(images, steps_at_once * batches.shape[1])
        values = iter(lr.tolist())
        for chunk in torch.split(rows, steps_at_once):
            classes = labels[chunk]
            logits = []
            for batch, targets in zip(gather(chunk).unbind(), classes.unbind(), strict=True):
                group["lr"] = next(values)
                rates.append(group["lr"])
                loss, outputs = self._update(batch, targets)
                losses.append(loss)
                logits.append(outputs)
            accuracies.append((torch.stack(logits).argmax(2) == classes).float().mean(1))
        return StepLog(
            np.array(rates, np.float32), torch.stack(losses).cpu().numpy(), torch.cat(accuracies).cpu().numpy()
        )

    def _update(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._network(images)
        loss = F.cross_entropy(logits, labels)
        for weight in self._weights:
            weight.grad = None
        torch.autograd.backward(loss)
        with torch.no_grad():
            self._step()
        return loss.detach(), logits.detach()

    @torch.no_grad()
    def evaluate(self, split: Split) -> Evaluation:
        """Return loss and accuracy over a split; see `Trainer`."""
        rows: IntArray = getattr(self._rows, split)
        if not len(rows):
            return Evaluation(float("nan"), float("nan"))
        self._network.training = False
        images, labels = self._test_set if split is Split.TEST else self._train_set
        gather = _Gather(images, EVALUATION_ROWS)
        losses, hits = [], []
        for chunk in torch.split(torch.tensor(rows, device=self._device), EVALUATION_ROWS):
            logits = self._network(gather(chunk))
            losses.append(F.cross_entropy(logits, labels[chunk], reduction="none"))
            hits.append(logits.argmax(1) == labels[chunk])
        return Evaluation(torch.cat(losses).cpu().double().mean().item(), torch.cat(hits).cpu().double().mean().item())

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that the next step depends on; see `Trainer`."""
        state = {name: to_array(tensor) for name, tensor in self._tensors().items()}
        for name, weight in self._network.weights.items():
            for slot, tensor in self._optimizer.state[weight].items():
                state[f"optimizer.{slot}.{name}"] = to_array(tensor)
        (group,) = self._optimizer.param_groups
        state["step"] = np.array(group.get("step", 0))
        state["dropout.generator"] = self._network.generator.get_state().numpy()
        return state

    def restore(self, state: State) -> None:
        """Continue where `state` was taken; see `Trainer`."""
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(to_tensor(state[name], self._device))
        self._optimizer.state.clear()
        for key, array in state.items():
            kind, _, rest = key.partition(".")
            if kind == "optimizer":
                slot, _, name = rest.partition(".")
                self._optimizer.state[self._network.weights[name]][slot] = to_tensor(array, self._device)
        self._optimizer.param_groups[0]["step"] = int(state["step"])
        self._network.generator.set_state(torch.tensor(state["dropout.generator"]))

    def _tensors(self) -> dict[str, Tensor]:
        return self._network.weights | self._network.statistics


class _Gather:
    """Rows of resident images as float32, written into the same memory every time: new pages cost more than copying."""

    def __init__(self, images: Tensor, capacity: int) -> None:
        self._image_shape = images.shape[1:]
        self._images = images.flatten(1)
        pixels = self._images.shape[1]
        self._floats = torch.empty(capacity, pixels, device=images.device)
        self._bytes = torch.empty(capacity, pixels, dtype=images.dtype, device=images.device)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return float32[*rows.shape, height, width, channels]; bytes are scaled to 0..1."""
        floats, found = self._floats[: rows.numel()], self._bytes[: rows.numel()]
        if self._images.dtype == torch.uint8:
            torch.index_select(self._images, 0, rows.flatten(), out=found)
            torch.div(floats.copy_(found), 255, out=floats)
        else:
            torch.index_select(self._images, 0, rows.flatten(), out=floats)
        return floats.view(*rows.shape, *self._image_shape)


def _resident(images: Images, labels: IntArray, device: str) -> tuple[Tensor, Tensor]:
    with warnings.catch_warnings():
        # Torch warns about read-only arrays; nothing here writes to them.
        warnings.simplefilter("ignore", UserWarning)
        on_device = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return on_device, torch.tensor(labels, dtype=torch.int64, device=device)
