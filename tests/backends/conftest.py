import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import jobs
import reference
from cases import SEED

from clrbench.data import Library
from clrbench.models import build_layers, initial_weights
from clrbench.records import Split, SplitRows, TrainPlan
from clrbench.spec import BACKEND_NAMES as BACKENDS

NUM_ROWS = 3000

collect_ignore_glob = ["networks/*"]  # each belongs to one framework, and neither is imported here


@pytest.fixture(scope="session")
def dataset():
    mnist = Library().load("mnist")
    return replace(
        mnist,
        x_train=mnist.x_train[:NUM_ROWS],
        y_train=mnist.y_train[:NUM_ROWS],
        x_test=mnist.x_test[:500],
        y_test=mnist.y_test[:500],
    )


@pytest.fixture(scope="session")
def ask():
    """Ask a backend's process, by the backend's name, to do one of `jobs`."""
    spawn = multiprocessing.get_context("spawn")
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    processes = {
        name: ProcessPoolExecutor(1, mp_context=spawn, initializer=jobs.start, initargs=(name,)) for name in BACKENDS
    }

    def do(name, job, *arguments, **options):
        return processes[name].submit(job, *arguments, **options).result()

    yield do
    for process in processes.values():
        process.shutdown()


@pytest.fixture(scope="session")
def expect(ask, dataset):
    """Return what numpy makes of a plan, worked out once; in a backend's process, which has one thread."""
    known = {}

    def do(plan):
        if plan.optimizer not in known:
            known[plan.optimizer] = ask("torch", reference.train, plan, dataset)
        return known[plan.optimizer]

    return do


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request, ask):
    """Ask each backend in turn."""

    def do(job, *arguments, **options):
        return ask(request.param, job, *arguments, **options)

    do.name = request.param
    return do


@pytest.fixture(scope="session")
def make_plan(dataset):
    """Draw up a plan for the data set, or for another one of as many rows."""
    usual = dataset

    def make(model, optimizer, lr, *, batch_size=100, seed=0, dataset=usual):
        layers = build_layers(model, dataset.image_shape, dataset.num_classes)
        drawn = SEED * 1000 + seed
        batches = np.random.default_rng([drawn, 1]).integers(0, NUM_ROWS - 500, (len(lr), batch_size), np.int32)
        return TrainPlan(
            layers=layers,
            weights=initial_weights(layers, dataset.image_shape, np.random.default_rng([drawn, 0])),
            optimizer=optimizer,
            batches=batches,
            lr=np.asarray(lr, np.float32),
            rows=SplitRows(
                train=np.arange(NUM_ROWS - 500, dtype=np.int32),
                validation=np.arange(NUM_ROWS - 500, NUM_ROWS, dtype=np.int32),
                test=np.arange(450, dtype=np.int32),
            ),
            validation_classes=dataset.y_train[NUM_ROWS - 500 : NUM_ROWS],
            test_classes=dataset.y_test[:450],
            num_classes=dataset.num_classes,
            evaluation_steps=np.array([len(lr)], np.int32),
            evaluated_splits=(Split.TEST,),
            steps_per_epoch=(NUM_ROWS - 500) // batch_size,
            dropout_seed=seed,
        )

    return make
