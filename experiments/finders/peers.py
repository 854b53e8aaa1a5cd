"""The finders of torch-lr-finder, fastai and Lightning, each called as its documentation has it, with its own defaults."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch
from matplotlib.figure import Figure
from settings import Setting
from torch import Tensor, nn

from finders.networks import Training, make_training
from finders.rules import PEERS, Suggestion, peer_rule

START_LR = 1e-7
"""Where torch-lr-finder begins in its README (it takes the rate of the optimizer) and fastai by default; Lightning: 1e-8."""

NO_ANSWER = (RuntimeError, ValueError, IndexError)
"""What the rules raise where a sweep ended too soon for them."""

Swept = tuple[Mapping[str, float | None], int]
"""What each rule suggests after one sweep, and how many updates that made."""


def versions() -> dict[str, str]:
    """Return the version of each peer that is installed here."""
    return {package: version(package) for package in PEERS}


def suggestions(setting: Setting, seed: int, length: str, num_steps: int) -> list[Suggestion]:
    """Return what every rule of every peer suggests after one sweep of its own of so many updates."""
    found = []
    for package, sweep in SWEEPS.items():
        with quiet():
            rates, updates = sweep(make_training(setting, seed, num_steps), num_steps)
        for rule in PEERS[package]:
            name = peer_rule(package, version(package), rule, length)
            found.append(_suggestion(name, rates[rule], updates))
    return found


def _suggestion(name: str, lr: float | None, updates: int) -> Suggestion:
    """Return one rate as a constant, and as the upper bound of triangles from a tenth of it."""
    if lr is None or not math.isfinite(lr) or lr <= 0:
        return Suggestion(name, None, None, None, updates)
    rounded = float(f"{lr:.4g}")
    return Suggestion(name, rounded, float(f"{rounded / 10:.4g}"), rounded, updates)


def torch_lr_finder(training: Training, num_steps: int) -> Swept:
    """Sweep with torch-lr-finder, exponentially to 10, and return its steepest gradient."""
    from torch_lr_finder import LRFinder

    finder = LRFinder(training.network, training.make_optimizer(), nn.CrossEntropyLoss())
    finder.range_test(training.batches, start_lr=START_LR, num_iter=num_steps)
    try:
        _, lr = finder.plot(ax=Figure().subplots(), suggest_lr=True)
    except NO_ANSWER:
        lr = None
    return {"steepest": None if lr is None else float(lr)}, len(finder.history["lr"])


def fastai(training: Training, num_steps: int) -> Swept:
    """Sweep with fastai, exponentially from 1e-7 to 10, and return what its four rules say of this one sweep."""
    from fastai.callback.schedule import SuggestionMethod
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    def optimizer(weights: Any, lr: float) -> Any:  # noqa: ARG001
        return OptimWrapper(opt=training.make_optimizer())

    rules = [_answer_or_nan(getattr(SuggestionMethod, rule.capitalize()), rule) for rule in PEERS["fastai"]]
    with tempfile.TemporaryDirectory() as folder:
        loaders = DataLoaders(training.batches, training.batches, device="cpu")
        learner = Learner(
            loaders,
            training.network,
            loss_func=nn.CrossEntropyLoss(),
            opt_func=optimizer,
            path=folder,
            model_dir="kept",
        )
        with learner.no_bar():
            found = learner.lr_find(num_it=num_steps, show_plot=False, suggest_funcs=tuple(rules))
    return found._asdict(), len(learner.recorder.losses)


def _answer_or_nan(rule: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a rule of fastai that says nan where it fails, so that the others are heard."""

    def guarded(rates: Tensor, losses: Tensor, num_steps: int) -> tuple[float, tuple[float, float]]:
        # Valley compares every pair of losses, which takes minutes on a tensor and seconds on the same numbers in a list.
        values = (rates.tolist(), losses.tolist()) if name == "valley" else (rates, losses)
        try:
            suggested, point = rule(*values, num_steps)
        except NO_ANSWER:
            return math.nan, (math.nan, math.nan)
        return float(suggested), point

    guarded.__name__ = name
    return guarded


def lightning(training: Training, num_steps: int) -> Swept:
    """Sweep with Lightning's tuner, exponentially from 1e-8 to 1, and return its suggestion."""
    import lightning.pytorch as pl
    from lightning.pytorch.tuner.tuning import Tuner

    class Module(pl.LightningModule):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.network = training.network

        def training_step(self, batch: Sequence[Tensor], _: int) -> Tensor:
            images, labels = batch
            return nn.functional.cross_entropy(self.network(images), labels)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return training.make_optimizer()

    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        found = Tuner(trainer).lr_find(
            Module(), train_dataloaders=training.batches, num_training=num_steps, update_attr=False
        )
        assert found is not None
        lr = found.suggestion()
    return {"suggestion": None if lr is None else float(lr)}, len(found.results["lr"])


SWEEPS: Mapping[str, Callable[[Training, int], Swept]] = {
    "torch-lr-finder": torch_lr_finder,
    "fastai": fastai,
    "lightning": lightning,
}
"""How each peer sweeps, by the name of its package."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and advice of the peers to themselves."""
    logging.getLogger("lightning.pytorch").setLevel(logging.CRITICAL)
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():  # noqa: PTH123
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
