"""The frozen records that travel between the rooms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from clrbench.layers import BuiltNetwork, Layer, OwnNetwork

FloatArray: TypeAlias = npt.NDArray[np.float32]
DoubleArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int32]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
Images: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | npt.NDArray[np.int32]
Weights: TypeAlias = Mapping[str, FloatArray]
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What a JSON document can hold."""

T = TypeVar("T")


def json_value(value: T) -> T | None:
    """Return a value as it is, or None, which JSON calls null, where it is an infinite or missing number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Split(StrEnum):
    """Which rows of a data set are meant."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Remarks:
    """What the owner of a data set may want to know of how it was read.

    Attributes:
        class_names: What its owner calls each class; empty where they are called 0, 1, 2 and so on.
        said: What was done to it, in words: images converted, labels counted anew, files left out.
        warned: What looks as if it were not meant, with what mends it.
    """

    class_names: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()


NO_REMARKS = Remarks()


def holds_bytes(images: Images) -> bool:
    """Return whether images are bytes that are scaled to 0..1 on their way into the network; whole numbers else are not."""
    return images.dtype == np.uint8 and images.ndim == 4


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, whole, as they were read; the arrays may be memory-mapped.

    Attributes:
        name: What the spec calls it: `mnist`, or a path.
        x_train: uint8[rows, height, width, channels] in 0..255, or float32 of the same shape, used as it is; or rows of any
            other shape, of these types or int32.
        y_train: int32[rows], classes 0..num_classes-1, each of them there.
        checksum: SHA-256 of the content, in hex; part of the identity of every run that used it.
        remarks: No part of its content.
        x_validation: Rows that its owner has set apart for validation, like `x_train`; None where rows are held out of those.
        y_validation: int32[validation rows], or None likewise.
    """

    name: str
    x_train: Images
    y_train: IntArray
    x_test: Images
    y_test: IntArray
    num_classes: int
    checksum: str
    remarks: Remarks = NO_REMARKS
    x_validation: Images | None = None
    y_validation: IntArray | None = None

    def arrays_of(self, split: Split) -> tuple[Images, IntArray]:
        """Return the images and labels that the rows of a split are rows of."""
        if split is Split.TEST:
            return self.x_test, self.y_test
        if split is Split.VALIDATION and self.x_validation is not None and self.y_validation is not None:
            return self.x_validation, self.y_validation
        return self.x_train, self.y_train

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of one image; or the shape of a row of another form."""
        return self.x_train.shape[1:]


@dataclass(frozen=True)
class SplitRows:
    """Which rows a run trains on (of `x_train`), tests on (of `x_test`) and validates on.

    The rows of validation are rows of `x_validation` where a data set has them, and else of `x_train`, none of them trained on.
    """

    train: IntArray
    validation: IntArray
    test: IntArray


AdaptiveName: TypeAlias = Literal["adam", "adamw", "rmsprop", "adagrad", "adadelta"]
OptimizerName: TypeAlias = Literal["sgd"] | AdaptiveName
UpdateRule: TypeAlias = Literal["native", "shared"]


@dataclass(frozen=True)
class OptimizerSettings:
    """Which optimizer, and its constants; those not named here are the same fixed values on every backend.

    Attributes:
        momentum: Fraction of the last update kept (sgd only).
        nesterov: Whether sgd looks ahead along its momentum.
        weight_decay: Decoupled in adamw, an L2 term of the gradient elsewhere.
        update_rule: `native`, each framework's own arithmetic, or `shared`, Keras's (the paper's) on both.
    """

    name: OptimizerName = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    update_rule: UpdateRule = "native"


Pipeline: TypeAlias = Literal["resident", "stream"]


@dataclass(frozen=True)
class Standardisation:
    """What is subtracted from each channel, and then divided by, so that training rows have mean 0 and deviation 1.

    Bytes are scaled to 0..1 first; the deviation of a constant channel is 1.
    """

    mean: FloatArray
    deviation: FloatArray


@dataclass(frozen=True)
class TrainPlan:
    """All that decides the numbers of one run, drawn up in numpy before any training.

    Attributes:
        weights: Initial value of every trainable weight, by name; see `models.initial_weights`.
        batches: int32[num_steps, batch_size], rows of `Dataset.x_train` of every update.
        lr: float32[num_steps], the rate of every update.
        validation_classes: int32[validation rows], the class of every row, in the order of `rows.validation`.
        test_classes: Likewise of `rows.test`.
        evaluation_steps: int32[num_evaluations], after how many updates to evaluate, ascending.
        steps_per_epoch: Updates in one pass over the training rows.
        dropout_seed: Seed of the backend's own dropout draws.
        pipeline: `resident`, images on the device as they are, or `stream`, read batch by batch; the numbers are the same.
        standardisation: Of every image, on its way into the network; None where bytes are only scaled to 0..1.
        network: What builds a network of the user's own, for which `layers` and `weights` are empty; None for a built-in one.
    """

    layers: tuple[Layer, ...]
    weights: Weights
    optimizer: OptimizerSettings
    batches: IntArray
    lr: FloatArray
    rows: SplitRows
    validation_classes: IntArray
    test_classes: IntArray
    num_classes: int
    evaluation_steps: IntArray
    evaluated_splits: tuple[Split, ...]
    steps_per_epoch: int
    dropout_seed: int
    pipeline: Pipeline = "resident"
    standardisation: Standardisation | None = None
    network: OwnNetwork | None = None

    @property
    def num_steps(self) -> int:
        """How many updates the run makes."""
        return len(self.lr)


@dataclass(frozen=True)
class StepLog:
    """What a stretch of updates left behind, one entry an update.

    Attributes:
        lr: float32[k], the rate read back from the optimizer.
        loss: float32[k], mean cross-entropy of the mini-batch before its update, in nats.
        accuracy: float32[k], fraction of the mini-batch classified rightly before its update.
    """

    lr: FloatArray
    loss: FloatArray
    accuracy: FloatArray


@dataclass(frozen=True, eq=False)
class Scores:
    """What a network comes to on the rows of a split.

    Attributes:
        loss: Mean cross-entropy, in nats; nan where there are no rows.
        hits: bool[rows], which rows it gets right, in the order of the split.
    """

    loss: float
    hits: BoolArray

    @property
    def accuracy(self) -> float:
        """Fraction of the rows that it gets right; nan where there are none."""
        return float(self.hits.mean()) if len(self.hits) else math.nan


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy (nats) and accuracies (fractions) over the rows of a split.

    Attributes:
        balanced_accuracy: Mean over the classes of the share of their rows that is right.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float = math.nan


@dataclass(frozen=True, eq=False)
class Hits:
    """Which test rows a run gets right at its end: bool[test rows], and how many of each class."""

    rows: BoolArray
    by_class: tuple[int, ...]


RunStatus: TypeAlias = Literal["finished", "diverged"]


@dataclass(frozen=True)
class Timing:
    """Where the time of a run went; loading includes drawing up the plan. An image counts once per update that saw it."""

    train_seconds: float
    evaluation_seconds: float
    compile_seconds: float
    load_seconds: float
    num_images: int


@dataclass(frozen=True)
class RunLog:
    """All that a run left behind.

    Attributes:
        steps: Of all planned updates; nan from the update after a divergence on.
        evaluation_steps: int32[num_evaluations], after how many updates it was evaluated.
        evaluations: Of each evaluated split, one a planned evaluation; nan after a divergence.
        test_hits: None where it diverged, or was not evaluated on test rows.
        own: float64[num_evaluations] of each metric that only the script of a run knows, by name.
        kept: Content of further files that a script left behind, by name.
    """

    steps: StepLog
    evaluation_steps: IntArray
    evaluations: Mapping[Split, tuple[Evaluation, ...]]
    status: RunStatus
    reason: str | None
    timing: Timing
    test_hits: Hits | None = None
    own: Mapping[str, DoubleArray] = field(default_factory=dict)
    kept: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run stands: all that its next update needs, and all that it left behind so far.

    Attributes:
        state: Weights, optimizer and random numbers; see `backends.protocol.Trainer.state`.
        evaluations: Of each evaluated split, one for each planned evaluation made so far.
    """

    state: Mapping[str, npt.NDArray[np.generic]]
    steps: StepLog
    evaluations: Mapping[Split, tuple[Evaluation, ...]]
    timing: Timing

    @property
    def updates_done(self) -> int:
        """How many updates were made."""
        return len(self.steps.loss)


@dataclass(frozen=True)
class SplitSizes:
    """How many rows each split has."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Provenance:
    """What a run was made with, as far as it may explain a difference between two runs of one spec.

    Attributes:
        versions: Of clrbench, numpy and the packages of the backend, by name; a pair of runs must share them.
        protocol: `planning.plan.PROTOCOL` at the time.
        build: What the framework says of its own build and of the device.
        environment: The environment variables that change numbers, by name.
        git_commit: Of the folder that the spec lies in; None outside a repository.
        device: cpu, cuda or mps.
        standardisation: `mean` and `deviation`, one number a channel; None where bytes are only scaled.
        network: What there is to know of a network of the user's own; None for a built-in one.
    """

    versions: Mapping[str, str]
    protocol: int
    python: str
    machine: str
    system: str
    libc: str | None
    processor: str
    logical_cpus: int | None
    build: Mapping[str, Json]
    environment: Mapping[str, str]
    git_commit: str | None
    device: str
    threads: int
    executor: str
    data_checksum: str
    rows: SplitSizes
    standardisation: Mapping[str, list[float]] | None
    network: BuiltNetwork | None = None

    @property
    def shared_by_pairs(self) -> Mapping[str, str]:
        """What the runs of a pair must have in common: versions, and the initial weights of a network of the user's own."""
        return {**self.versions, **({} if self.network is None else {"initial weights": self.network.initial_weights})}


MIN_CURVE_POINTS = 12
"""The curve of a range test that has fewer is refused."""


@dataclass(frozen=True)
class Bounds:
    """The rates that the curve of a range test suggests, and the evidence for them; `rates.Rates` is what arms take.

    Attributes:
        base_lr: Rate at which accuracy starts to rise; None if the test refuses, or where that is in doubt.
        max_lr: Rate at which accuracy peaks, then slows, turns ragged or falls; None if the test refuses.
        reason: None, or why there is no answer: a stable phrase, a colon and what to do.
        constant_lr: A third of `max_lr`, not confirmed, as a constant rate to try; None if the test refuses.
        seeds: How many sweeps the bounds come from.
        seed_base_lr: `base_lr` of each seed's own curve; None where that curve alone gives no answer.
        loss_rules: What the rules that read the loss say, each a rate or None: `steepest` (d loss / d log lr is smallest),
            `valley` (midway, in log lr, down to the minimum), `minimum_tenth` (a tenth of the rate of the minimum).
        caveats: What to know before relying on the bounds, a sentence each.
    """

    base_lr: float | None
    max_lr: float | None
    reason: str | None = None
    constant_lr: float | None = None
    seeds: int = 0
    seed_base_lr: tuple[float | None, ...] = ()
    seed_max_lr: tuple[float | None, ...] = ()
    loss_rules: Mapping[str, float | None] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()

    @property
    def rates(self) -> tuple[float, float]:
        """`base_lr`, a tenth of `max_lr` where it is not known, and `max_lr` of a test that does not refuse."""
        if self.max_lr is None:
            raise ValueError(f"the range test refuses: {self.reason}")
        return self.max_lr / 10 if self.base_lr is None else self.base_lr, self.max_lr
