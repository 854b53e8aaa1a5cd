"""Training on torch: a tight loop over images on the device, with one wait for the device a stretch."""

import inspect
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clrbench.backends.common import evaluation_rows
from clrbench.backends.own_network import OWN_EVALUATION_ROWS
from clrbench.backends.protocol import State
from clrbench.backends.torch.input import Input
from clrbench.backends.torch.network import Network, to_array, to_tensor
from clrbench.backends.torch.optimizers import make_optimizer
from clrbench.backends.torch.own_network import OwnNetwork
from clrbench.layers import BuiltNetwork
from clrbench.records import Dataset, FloatArray, IntArray, Scores, Split, StepLog, TrainPlan

GATHERED_BYTES = 2**21
"""Of float32 images; what a core's cache holds, about."""


class TorchTrainer:
    """A `Trainer` on PyTorch."""

    def __init__(self, plan: TrainPlan, dataset: Dataset, device: str) -> None:
        """Put images and weights on the device; see `Backend.make_trainer`."""
        self._device = device
        self._rows = plan.rows
        self._rows_at_once = evaluation_rows(plan.layers, dataset.image_shape) if plan.layers else OWN_EVALUATION_ROWS
        options = plan, device
        self._train_set = Input(dataset.x_train, dataset.y_train, *options)
        test_set = Input(dataset.x_test, dataset.y_test, *options)
        self._evaluation_sets = {Split.TRAIN: self._train_set, Split.VALIDATION: self._train_set, Split.TEST: test_set}
        if dataset.x_validation is not None and len(plan.rows.validation):
            images, labels = dataset.arrays_of(Split.VALIDATION)
            self._evaluation_sets[Split.VALIDATION] = Input(images, labels, *options)
        self._network = Network(plan, device) if plan.network is None else self._own_network(plan, dataset)
        self._weights = list(self._network.weights.values())
        self._optimizer = make_optimizer(plan.optimizer, self._weights)
        # Torch wraps `step` for its profiler and compiler, which costs a small network a tenth of its time.
        self._step = partial(inspect.unwrap(type(self._optimizer).step), self._optimizer)

    @property
    def network(self) -> BuiltNetwork | None:
        """What there is to know of a network of the user's own; see `Trainer`."""
        return self._network.found

    def _own_network(self, plan: TrainPlan, dataset: Dataset) -> OwnNetwork:
        ((images, classes),) = self._train_set.chunks(plan.batches[:1], 1)
        return OwnNetwork(plan, dataset, self._device, (images[0], classes[0]))

    def train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        """Make one update for every row of `batches`; see `Trainer`."""
        with self._network.drawing():
            return self._train(batches, lr)

    def _train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        self._network.training = True
        group = self._optimizer.param_groups[0]
        values = iter(lr.tolist())
        rates: list[float] = []
        # Memory of their own from the start: small tensors between the large ones that come and go would scatter these.
        losses, accuracies = torch.empty(2, len(lr), device=self._device).unbind()
        for images, classes in self._some_steps(batches):
            steps = slice(len(rates), len(rates) + len(classes))
            updates = []
            for batch, targets in zip(images.unbind(), classes.unbind(), strict=True):
                group["lr"] = next(values)
                rates.append(group["lr"])
                updates.append(self._update(batch, targets))
            batch_losses, logits = zip(*updates, strict=True)
            losses[steps] = torch.stack(batch_losses)
            accuracies[steps] = (torch.stack(logits).argmax(2) == classes).float().mean(1)
        return StepLog(np.array(rates, np.float32), losses.cpu().numpy(), accuracies.cpu().numpy())

    def feed(self, batches: IntArray) -> None:
        """Bring the rows of every batch to the device, and train nothing; see `Trainer`."""
        # Reading a number waits for the device.
        float(sum(images.flatten()[0] for images, _ in self._some_steps(batches)))

    def _some_steps(self, batches: IntArray) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels of as many steps at a time as a cache holds."""
        steps_at_once = max(1, GATHERED_BYTES // (self._train_set.image_bytes * batches.shape[1]))
        return self._train_set.chunks(batches, steps_at_once)

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
    def evaluate(self, split: Split) -> Scores:
        """Return the loss over a split, and which rows are right; see `Trainer`."""
        rows: IntArray = getattr(self._rows, split)
        if not len(rows):
            return Scores(float("nan"), np.empty(0, np.bool_))
        with self._network.scoring():
            return self._evaluate(split, rows)

    def _evaluate(self, split: Split, rows: IntArray) -> Scores:
        self._network.training = False
        losses = torch.empty(len(rows), device=self._device)
        hits = torch.empty(len(rows), device=self._device, dtype=torch.bool)
        done = 0
        for images, labels in self._evaluation_sets[split].chunks(rows, self._rows_at_once):
            chunk = slice(done, done + len(labels))
            logits = self._network(images)
            losses[chunk] = F.cross_entropy(logits, labels, reduction="none")
            hits[chunk] = logits.argmax(1) == labels
            done += len(labels)
        return Scores(losses.cpu().double().mean().item(), hits.cpu().numpy())

    def state(self) -> State:
        """Return all that the next step depends on; see `Trainer`."""
        state = self._network.state()
        for name, weight in self._network.weights.items():
            for slot, tensor in self._optimizer.state[weight].items():
                state[f"optimizer.{slot}.{name}"] = to_array(tensor)
        (group,) = self._optimizer.param_groups
        state["step"] = np.array(group.get("step", 0))
        return state

    def restore(self, state: State) -> None:
        """Continue where `state` was taken; see `Trainer`."""
        self._network.restore(state)
        self._optimizer.state.clear()
        for key, array in state.items():
            if key.startswith("optimizer."):
                _, slot, name = key.split(".", 2)
                self._optimizer.state[self._network.weights[name]][slot] = to_tensor(array, self._device)
        self._optimizer.param_groups[0]["step"] = int(state["step"])
