"""What the tests ask of a backend; runs in that backend's own process, because two frameworks fight over threads."""

import os
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clrbench import backends
from clrbench.errors import BackendError
from clrbench.records import Evaluation, Split, StepLog

_loaded = []


def start(name):
    """Load a backend in this process; what it writes to stderr meanwhile is kept."""
    os.environ["KERAS_BACKEND"] = "torch"
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        _loaded.append(backends.load(name))
        _loaded[0].set_threads(1)
        _loaded[0].find_device("auto")
        os.dup2(stderr, 2)
        file.seek(0)
        _loaded.append(file.read().decode())


def describe():
    """Return what was written to stderr at the start, and the backend that Keras came up on."""
    return _loaded[1], "keras" in sys.modules and sys.modules["keras"].config.backend()


@dataclass(frozen=True)
class Outcome:
    """What a plan left behind."""

    log: StepLog
    state: dict[str, np.ndarray]
    evaluations: dict[Split, Evaluation]


def train(plan, dataset, cuts=(), splits=()):
    """Train a plan; at every cut, a step, a fresh trainer takes over the state of the one before."""
    trainer = _loaded[0].make_trainer(plan, dataset, "cpu")
    logs = []
    for begin, end in pairwise([0, *cuts, plan.num_steps]):
        if begin:
            state = trainer.state()
            # The one before must not be idle yet, lest its memory be taken over with its state.
            trainer, _ = _loaded[0].make_trainer(plan, dataset, "cpu"), trainer
            trainer.restore(state)
        logs.append(trainer.train(plan.batches[begin:end], plan.lr[begin:end]))
    log = StepLog(*(np.concatenate([getattr(log, field) for log in logs]) for field in ("lr", "loss", "accuracy")))
    return Outcome(log, trainer.state(), {split: trainer.evaluate(split) for split in splits})


def count_compilations(plans, dataset):
    """Train plans one after another, in stretches of several lengths; return how often each trainer compiled (keras)."""
    counts = []
    for plan in plans:
        trainer = _loaded[0].make_trainer(plan, dataset, "cpu")
        for end in (0, 1, plan.num_steps):
            trainer.train(plan.batches[:end], plan.lr[:end])
        for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
            trainer.evaluate(split)
        program = trainer._program
        counts.append([function.experimental_get_tracing_count() for function in (program.stretch, program.score)])
        del trainer, program
    return counts


def call(name, *arguments):
    """Call a function of the backend's module; return what it returns, or the text of its `BackendError`."""
    try:
        return getattr(_loaded[0], name)(*arguments)
    except BackendError as err:
        return str(err)
