"""An epoch in plain torch, as its users write it, in three frameworks on top of it, and what it could be at most."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim.lr_scheduler import CyclicLR
from torch.utils.data import DataLoader, TensorDataset

from speed.cases import (
    BASE_LR,
    CLRBENCH,
    DENSE,
    FILTERS,
    HIDDEN,
    MAX_LR,
    MOMENTUM,
    NUM_CLASSES,
    STEP_SIZE_EPOCHS,
    Case,
    Contenders,
    Epoch,
)
from speed.ours import clrbench_epoch


def network(case: Case) -> nn.Module:
    """Return the network of a case."""
    torch.set_num_threads(case.threads)
    return _layers(case.model).to(case.device)


def _layers(model: str) -> nn.Sequential:
    if model == "mlp":
        first, second = HIDDEN
        layers = [nn.Linear(28 * 28, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(second, NUM_CLASSES))
    first, second = FILTERS
    return nn.Sequential(
        *(nn.Conv2d(3, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(8 * 8 * second, DENSE), nn.ReLU(), nn.Linear(DENSE, NUM_CLASSES)),
    )


def tensors(case: Case) -> tuple[Tensor, Tensor]:
    """Return float32[rows, channels, height, width], and int64[rows]."""
    images, labels = case.scaled()
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), torch.from_numpy(labels).long()


def loader(case: Case) -> DataLoader[tuple[Tensor, ...]]:
    """Return the usual loader."""
    return DataLoader(TensorDataset(*tensors(case)), case.batch_size, shuffle=True)


def sgd(model: nn.Module) -> torch.optim.SGD:
    """Return the usual optimizer."""
    return torch.optim.SGD(model.parameters(), lr=BASE_LR, momentum=MOMENTUM)


def cyclic(optimizer: torch.optim.Optimizer, case: Case) -> CyclicLR:
    """Return the usual schedule."""
    step_size = STEP_SIZE_EPOCHS * case.num_steps
    return CyclicLR(optimizer, BASE_LR, MAX_LR, step_size_up=step_size, cycle_momentum=False)


def dataloader_epoch(case: Case) -> Epoch:
    """Return an epoch of the usual script, which records the loss only."""
    model, batches = network(case), loader(case)
    optimizer = sgd(model)
    scheduler = cyclic(optimizer, case)
    criterion = nn.CrossEntropyLoss()

    def epoch() -> float:
        losses, start = [], time.perf_counter()
        for on_host in batches:
            inputs, targets = (part.to(case.device) for part in on_host)
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        return time.perf_counter() - start

    return epoch


def minimal_epoch(case: Case, memory_format: torch.memory_format = torch.contiguous_format) -> Epoch:
    """Return an epoch of a bare loop over resident float images that records loss and accuracy of every update."""
    model = network(case).to(memory_format=memory_format)  # type: ignore[call-overload]
    images, labels = (part.to(case.device) for part in tensors(case))
    images = images.contiguous(memory_format=memory_format)
    optimizer = sgd(model)
    batches, rates = torch.from_numpy(case.batches()).long().to(case.device), case.rates().tolist()

    def epoch() -> float:
        start = time.perf_counter()
        losses, accuracies = torch.empty(2, len(batches), device=case.device)
        for step, rows in enumerate(batches):
            optimizer.param_groups[0]["lr"] = rates[step]
            targets = labels[rows]
            logits = model(images[rows])
            loss = F.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[step] = loss.detach()
            accuracies[step] = (logits.argmax(1) == targets).float().mean()
        # Reading a number waits for the device.
        accuracies[-1].item()
        return time.perf_counter() - start

    return epoch


def products_epoch(case: Case) -> Epoch:
    """Return the matrix products of an epoch of the mlp, and nothing else: those of three layers forward and back."""
    torch.set_num_threads(case.threads)
    images = torch.rand(case.num_rows, case.dense_shapes()[0][0])
    kernels = [torch.rand(shape) for shape in case.dense_shapes()]

    def step(values: Tensor) -> None:
        inputs = []
        for kernel in kernels:
            inputs.append(values)
            values = torch.mm(values, kernel)
        for index in range(len(kernels) - 1, -1, -1):
            torch.mm(inputs[index].T, values)
            if index:
                values = torch.mm(values, kernels[index].T)

    def epoch() -> float:
        start = time.perf_counter()
        for batch in images.split(case.batch_size):
            step(batch)
        return time.perf_counter() - start

    return epoch


def lightning_epoch(case: Case) -> Epoch:
    """Return an epoch of Lightning, with the schedule stepped every update and the loss of each kept."""
    import lightning
    from lightning.pytorch.callbacks import Callback

    model, batches = network(case), loader(case)

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            inputs, targets = batch
            return F.cross_entropy(self.network(inputs), targets)

        def configure_optimizers(self) -> Any:
            optimizer = sgd(self.network)
            schedule = {"scheduler": cyclic(optimizer, case), "interval": "step"}
            return {"optimizer": optimizer, "lr_scheduler": schedule}

    class Log(Callback):  # type: ignore[misc]
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            self.losses: list[float] = []
            self.start = time.perf_counter()

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
            self.losses.append(outputs["loss"].item())

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            self.seconds = time.perf_counter() - self.start

    module, log = Module(), Log()
    silent = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    quiet: dict[str, Any] = dict.fromkeys(silent, False)

    def epoch() -> float:
        trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", callbacks=[log], **quiet)
        trainer.fit(module, batches)
        return float(log.seconds)

    return epoch


def ignite_epoch(case: Case) -> Epoch:
    """Return an epoch of Ignite's engine."""
    from ignite.engine import Engine, Events

    model, batches = network(case), loader(case)
    optimizer = sgd(model)
    scheduler, losses, times = cyclic(optimizer, case), [], [0.0, 0.0]

    def update(_: Any, batch: tuple[Tensor, Tensor]) -> float:
        inputs, targets = batch
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    def on_update(engine: Any) -> None:
        scheduler.step()
        losses.append(engine.state.output)

    def clock(place: int) -> None:
        times[place] = time.perf_counter()

    engine = Engine(update)
    engine.add_event_handler(Events.ITERATION_COMPLETED, on_update)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda _: clock(0))
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: clock(1))

    def epoch() -> float:
        engine.run(batches, max_epochs=1)
        return times[1] - times[0]

    return epoch


def fastai_epoch(case: Case) -> Epoch:
    """Return an epoch of fastai's learner, whose recorder keeps the losses; a callback sets the rate of each update."""
    import fastai.callback.progress  # noqa: F401, which gives learners `no_bar`
    from fastai.callback.core import Callback
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import SGD

    rates = case.rates().tolist()
    short = DataLoader(TensorDataset(*(part[: case.batch_size] for part in tensors(case))), case.batch_size)

    class Cycle(Callback):  # type: ignore[misc]
        def before_train(self) -> None:
            self.start = time.perf_counter()

        def before_batch(self) -> None:
            if self.training:
                self.opt.set_hyper("lr", rates[self.iter])

        def after_train(self) -> None:
            self.seconds = time.perf_counter() - self.start

    cycle = Cycle()
    learner = Learner(
        DataLoaders(loader(case), short),
        network(case),
        loss_func=nn.CrossEntropyLoss(),
        opt_func=partial(SGD, mom=MOMENTUM),
        cbs=[cycle],
    )

    def epoch() -> float:
        with learner.no_bar(), learner.no_logging():
            learner.fit(1, BASE_LR)
        return float(cycle.seconds)

    return epoch


CONTENDERS: Contenders = {
    CLRBENCH: partial(clrbench_epoch, "torch"),
    "DataLoader and CyclicLR": dataloader_epoch,
    "Lightning": lightning_epoch,
    "Ignite": ignite_epoch,
    "fastai": fastai_epoch,
    "minimal loop": minimal_epoch,
    "minimal loop, channels_last": partial(minimal_epoch, memory_format=torch.channels_last),
    "matrix products alone": products_epoch,
}
