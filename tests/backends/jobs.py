"""What the tests ask of a backend; runs in that backend's own process, because two frameworks fight over threads."""

import gc
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from cases import DEVICE

from clrbench import backends
from clrbench.backends import pieces
from clrbench.errors import BackendError
from clrbench.records import Scores, Split, StepLog

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
    warnings.simplefilter("error")


def describe():
    """Return what was written to stderr at the start, and the backend that Keras came up on."""
    return _loaded[1], "keras" in sys.modules and sys.modules["keras"].config.backend()


def imported_by_training(plan, dataset):
    """Return which modules were imported while a plan was trained, and not before."""
    before = set(sys.modules)
    train(plan, dataset)
    return sys.modules.keys() - before


@dataclass(frozen=True)
class Outcome:
    """What a plan left behind."""

    log: StepLog
    state: dict[str, np.ndarray]
    evaluations: dict[Split, Scores]


def train(plan, dataset, cuts=(), splits=()):
    """Train a plan; at every cut, a step, a fresh trainer takes over the state of the one before."""
    trainer = _loaded[0].make_trainer(plan, dataset, DEVICE)
    logs = []
    for begin, end in pairwise([0, *cuts, plan.num_steps]):
        if begin:
            state = trainer.state()
            # The one before must not be idle yet, lest its memory be taken over with its state.
            trainer, _ = _loaded[0].make_trainer(plan, dataset, DEVICE), trainer
            trainer.restore(state)
        logs.append(trainer.train(plan.batches[begin:end], plan.lr[begin:end]))
    log = StepLog(*(np.concatenate([getattr(log, field) for log in logs]) for field in ("lr", "loss", "accuracy")))
    return Outcome(log, trainer.state(), {split: trainer.evaluate(split) for split in splits})


def train_and_evaluate(plan, dataset):
    """Train a plan, and evaluate after every update."""
    trainer = _loaded[0].make_trainer(plan, dataset, DEVICE)
    logs = []
    for step in range(plan.num_steps):
        logs.append(trainer.train(plan.batches[step : step + 1], plan.lr[step : step + 1]))
        trainer.evaluate(Split.TEST)
    log = StepLog(*(np.concatenate([getattr(log, field) for log in logs]) for field in ("lr", "loss", "accuracy")))
    return Outcome(log, trainer.state(), {})


def network_of(plan, dataset):
    """Return what a backend finds of a network of the user's own."""
    return _loaded[0].make_trainer(plan, dataset, DEVICE).network


def fail_to_build(plan, dataset):
    """Return the text of the `BackendError` that a network of the user's own ends in; "" where it does not."""
    try:
        _loaded[0].make_trainer(plan, dataset, DEVICE)
    except BackendError as err:
        return str(err)
    return ""


def feed_and_train(plan, dataset):
    """Feed the batches of a plan and then train them; return the state before, in between and the outcome."""
    trainer = _loaded[0].make_trainer(plan, dataset, DEVICE)
    states = [trainer.state()]
    trainer.feed(plan.batches)
    states.append(trainer.state())
    return states, Outcome(trainer.train(plan.batches, plan.lr), trainer.state(), {})


class Watched(np.ndarray):
    """Images that take note of how many are read at once."""

    reads = []

    def __getitem__(self, rows):
        found = np.asarray(super().__getitem__(rows))
        self.reads.append(len(found))
        return found


def stream(plan, dataset, folder, rows_at_once):
    """Train a plan on images mapped from files, a piece at a time; return the outcome, and the rows of every read."""
    mapped = {}
    for name in ("x_train", "x_test"):
        np.save(folder / f"{name}.npy", getattr(dataset, name))
        mapped[name] = np.load(folder / f"{name}.npy", mmap_mode="r").view(Watched)
    usual, pieces.PIECE_BYTES = pieces.PIECE_BYTES, rows_at_once * dataset.x_train[0].nbytes
    Watched.reads.clear()
    try:
        outcome = train(replace(plan, pipeline="stream"), replace(dataset, **mapped), splits=list(Split))
    finally:
        pieces.PIECE_BYTES = usual
    return outcome, Watched.reads


def adopt(images):
    """Return what is left of images that Keras took over, once they and many arrays of their size are gone."""
    from clrbench.backends.keras.input import adopted

    tensor = adopted(images)
    images = images.shape, images.dtype
    gc.collect()
    for fill in range(50):
        np.full(*images[:1], fill, images[1])
    return tensor.numpy()


def count_compilations(plans, dataset):
    """Train plans one after another, in stretches of several lengths; return how often each trainer compiled (keras)."""
    counts = []
    for plan in plans:
        trainer = _loaded[0].make_trainer(plan, dataset, DEVICE)
        for end in (0, 1, plan.num_steps):
            trainer.train(plan.batches[:end], plan.lr[:end])
        for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
            trainer.evaluate(split)
        program = trainer._program
        counts.append([function.experimental_get_tracing_count() for function in (program.stretch, program.score)])
        del trainer, program
    return counts


def has_cudnn(dropout):
    """Return whether an LSTM may use cuDNN before and while it runs, and after, once it draws from torch (torch)."""
    import torch

    from clrbench.backends.torch.own_network import draw_from_torch

    seen = []

    class Layer(torch.nn.LSTM):
        def forward(self, values):
            seen.append(torch.backends.cudnn.enabled)
            return super().forward(values)

    module = torch.nn.Sequential(Layer(3, 4, num_layers=2, dropout=dropout))
    seen.append(torch.backends.cudnn.enabled)
    draw_from_torch(module)
    module(torch.zeros(2, 3))
    return [*seen, torch.backends.cudnn.enabled]


def convolution_layouts(plan, dataset):
    """Return of each convolution of torch, as it trains, whether rows, columns and then channels lie in memory."""
    from torch.nn import functional

    found, convolve = [], functional.conv2d

    def watched(*arguments):
        import torch

        values = convolve(*arguments)
        found.append(values.is_contiguous(memory_format=torch.channels_last))
        return values

    functional.conv2d = watched
    try:
        train(plan, dataset)
    finally:
        functional.conv2d = convolve
    return found


def allows_tf32():
    """Return whether convolutions and products may be computed in ten bits of precision (torch)."""
    import torch

    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def call(name, *arguments):
    """Call a function of the backend's module; return what it returns, or the text of its `BackendError`."""
    try:
        return getattr(_loaded[0], name)(*arguments)
    except BackendError as err:
        return str(err)
