"""Training on Keras: steps are one compiled loop over images on the device, a whole data set or a piece of it."""

import weakref
from dataclasses import replace

import numpy as np

from clrbench.backends.common import evaluation_rows, keeps_integers
from clrbench.backends.keras.imports import tf
from clrbench.backends.keras.input import make_input
from clrbench.backends.keras.network import Network
from clrbench.backends.keras.own_network import OwnNetwork
from clrbench.backends.keras.program import ImageType, Program, as_numbers
from clrbench.backends.own_network import OWN_EVALUATION_ROWS
from clrbench.backends.protocol import State
from clrbench.layers import BuiltNetwork
from clrbench.records import Dataset, FloatArray, IntArray, Scores, Split, StepLog, TrainPlan

MAX_IDLE_PROGRAMS = 4

_TF_DEVICES = {"cpu": "/CPU:0", "cuda": "/GPU:0", "mps": "/GPU:0"}

# Programs that no trainer uses, by what was compiled into them: runs that differ in seed or schedule compile once.
_idle_programs: dict[tuple[object, ...], Program] = {}


class KerasTrainer:
    """A `Trainer` on Keras and TensorFlow."""

    def __init__(self, plan: TrainPlan, dataset: Dataset, device: str) -> None:
        """Put images and weights on the device; see `Backend.make_trainer`."""
        self._rows = plan.rows
        self._rows_at_once = evaluation_rows(plan.layers, dataset.image_shape) if plan.layers else OWN_EVALUATION_ROWS
        place = _TF_DEVICES[device]
        self._train_set = make_input(dataset.x_train, dataset.y_train, place, plan.pipeline)
        test_set = make_input(dataset.x_test, dataset.y_test, place, plan.pipeline)
        self._evaluation_sets = {Split.TRAIN: self._train_set, Split.VALIDATION: self._train_set, Split.TEST: test_set}
        if dataset.x_validation is not None and len(plan.rows.validation):
            own = make_input(*dataset.arrays_of(Split.VALIDATION), place, plan.pipeline)
            self._evaluation_sets[Split.VALIDATION] = own
        kind = (dataset.x_train.dtype.name, as_numbers(plan.standardisation), keeps_integers(plan, dataset.x_train))
        image_type = ImageType(dataset.image_shape, *kind)
        self._found: BuiltNetwork | None = None
        with tf.device(place):
            made_of = self._start(plan, dataset, image_type, device)
        weakref.finalize(self, _keep, made_of, self._program).atexit = False

    def _start(self, plan: TrainPlan, dataset: Dataset, image_type: ImageType, device: str) -> tuple[object, ...]:
        """Bring a program, an idle one if there is one, to before the first step; return what was compiled into it."""
        compiled = (plan.optimizer, plan.batches.shape[1], image_type)
        if plan.network is None:
            made_of: tuple[object, ...] = (plan.layers, *compiled, device)
            self._program = _idle(made_of) or Program(
                Network(plan.layers, image_type.shape, exact_batch_norm=plan.optimizer.update_rule == "shared"),
                *compiled,
            )
            self._program.reset(plan.weights, plan.dropout_seed)
            return made_of
        own = OwnNetwork(plan.network, dataset, plan.batches[0], image_type, device)
        self._found, start = own.found, own.values()
        made_of = (replace(plan.network, seed=0), own.shapes, *compiled, device)
        self._program = _idle(made_of) or Program(own, *compiled)
        self._program.restart(start)
        return made_of

    @property
    def network(self) -> BuiltNetwork | None:
        """What there is to know of a network of the user's own; see `Trainer`."""
        return self._found

    def train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        """Make one update for every row of `batches`; see `Trainer`."""
        logs, begin = [], 0
        for images, labels, rows in self._train_set.pieces(batches):
            rates = lr[begin : begin + len(rows)]
            logs.append([log.numpy() for log in self._program.stretch(images, labels, rows, rates)])
            begin += len(rows)
        return StepLog(*(np.concatenate(parts) for parts in zip(*logs, strict=True)))

    def feed(self, batches: IntArray) -> None:
        """Bring the rows of every batch to the device, and train nothing; see `Trainer`."""
        for images, labels, rows in self._train_set.pieces(batches):
            # Asking for the number waits for the device.
            self._program.feed(images, labels, rows).numpy()

    def evaluate(self, split: Split) -> Scores:
        """Return the loss over a split, and which rows are right; see `Trainer`."""
        rows: IntArray = getattr(self._rows, split)
        if not len(rows):
            return Scores(float("nan"), np.empty(0, np.bool_))
        at_once = self._rows_at_once
        scores = [
            self._program.score(images, labels, chunk)
            for images, labels, piece in self._evaluation_sets[split].pieces(rows, at_once)
            for chunk in np.split(piece, range(at_once, len(piece), at_once))
        ]
        losses, hits = ([value.numpy() for value in values] for values in zip(*scores, strict=True))
        return Scores(float(np.sum(losses) / len(rows)), np.concatenate(hits))

    def state(self) -> State:
        """Return all that the next step depends on; see `Trainer`."""
        return self._program.state()

    def restore(self, state: State) -> None:
        """Continue where `state` was taken; see `Trainer`."""
        self._program.restore(state)


def _idle(made_of: tuple[object, ...]) -> Program | None:
    return _idle_programs.pop(made_of) if made_of in _idle_programs else None


def _keep(made_of: tuple[object, ...], program: Program) -> None:
    _idle_programs[made_of] = program
    if len(_idle_programs) > MAX_IDLE_PROGRAMS:
        del _idle_programs[next(iter(_idle_programs))]
