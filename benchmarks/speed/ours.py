"""An epoch of clrbench: the stretch of updates that its runner asks a backend for."""

from __future__ import annotations

import time

import numpy as np

from clrbench import backends, models
from clrbench.records import OptimizerSettings, Split, SplitRows, TrainPlan
from speed.cases import MOMENTUM, Case, Epoch


def clrbench_epoch(backend_name: str, case: Case) -> Epoch:
    """Return an epoch on a backend, by its name."""
    backend = backends.load(backend_name)
    backend.set_threads(case.threads)
    dataset = case.dataset()
    layers = models.build_layers(case.settings, dataset.image_shape, dataset.num_classes)
    plan = TrainPlan(
        layers=layers,
        weights=models.initial_weights(layers, dataset.image_shape, np.random.default_rng(0)),
        optimizer=OptimizerSettings("sgd", momentum=MOMENTUM),
        batches=case.batches(),
        lr=case.rates(),
        rows=SplitRows(*(np.arange(0, dtype=np.int32) for _ in Split)),
        validation_classes=np.empty(0, np.int32),
        test_classes=np.empty(0, np.int32),
        num_classes=dataset.num_classes,
        evaluation_steps=np.empty(0, np.int32),
        evaluated_splits=(),
        steps_per_epoch=case.num_steps,
        dropout_seed=0,
    )
    trainer = backend.make_trainer(plan, dataset, case.device)

    def epoch() -> float:
        start = time.perf_counter()
        trainer.train(plan.batches, plan.lr)
        return time.perf_counter() - start

    return epoch
