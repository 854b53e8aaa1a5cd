"""Run spec + data set -> all the numbers of a run that are fixed before it: a pure function, the same on every backend."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from clrbench.data.split import stratified
from clrbench.layers import Layer
from clrbench.models import build_layers, initial_weights
from clrbench.planning.network import framework_versions, own_network, source_digest
from clrbench.records import (
    Dataset,
    DoubleArray,
    Images,
    IntArray,
    Split,
    SplitRows,
    Standardisation,
    TrainPlan,
    holds_bytes,
)
from clrbench.spec import Clock, OwnModel, RunSpec
from clrbench.spec.data import Data
from clrbench.spec.network import BuiltIn

PROTOCOL = 3
"""Raised by hand whenever the same spec would give other numbers, so that old runs are not taken for new ones."""

WEIGHTS_STREAM, BATCHES_STREAM, DROPOUT_STREAM, SPLIT_STREAM = range(4)
"""Each purpose draws from a random stream of its own, so that none of them shifts another."""

SPLIT_SEED = 0
"""The validation rows are the same ones for every run, so they do not depend on its seed."""

READING_KEYS = {"dataset", "test", "resize"}
"""Keys of a spec's data that decide which arrays are read, for which their checksum stands."""

STATISTICS_ROWS = 1000
"""Images read at once for their mean and deviation."""

MAX_SCALED = 5.0
"""Floats of at most this size, signs aside, are taken to be scaled or standardised already."""

CONSTANT_DEVIATION = 1e-6
"""A channel that deviates less, as a share of its mean, is constant but for rounding."""


def make_plan(run: RunSpec, dataset: Dataset, folder: Path = Path()) -> TrainPlan:
    """Return the plan of a run; two runs that differ in their schedule only have plans that differ in `lr` only.

    Relative paths of the run start from `folder`.
    """
    if isinstance(run.model, OwnModel):
        layers: tuple[Layer, ...] = ()
        network = own_network(run.model, folder, int(_stream(run.seed, WEIGHTS_STREAM).integers(2**31)))
    else:
        layers, network = build_layers(run.model.settings(), dataset.image_shape, dataset.num_classes), None
    rows = split_rows(run.data, dataset)
    clock = Clock(run.steps_per_epoch, run.num_steps)
    return TrainPlan(
        layers=layers,
        weights=initial_weights(layers, dataset.image_shape, _stream(run.seed, WEIGHTS_STREAM)) if layers else {},
        optimizer=run.optimizer.settings(),
        batches=batch_order(rows.train, run, _stream(run.seed, BATCHES_STREAM)),
        lr=run.schedule.table(clock).astype(np.float32),
        rows=rows,
        validation_classes=dataset.arrays_of(Split.VALIDATION)[1][rows.validation],
        test_classes=dataset.y_test[rows.test],
        num_classes=dataset.num_classes,
        evaluation_steps=np.array(run.evaluation_steps, dtype=np.int32),
        evaluated_splits=tuple(Split(name) for name in run.evaluated_splits),
        steps_per_epoch=run.steps_per_epoch,
        dropout_seed=int(_stream(run.seed, DROPOUT_STREAM).integers(2**31)),
        pipeline=run.data.pipeline,
        standardisation=_standardisation(run.data, dataset),
        network=network,
    )


def run_identity(run: RunSpec, dataset: Dataset, device: str, threads: int, folder: Path = Path()) -> str:
    """Return the sha256, in hex, of everything that decides the numbers of a run.

    Where the data set lies and how it is read is left out: its checksum stands for it. So is the file of a table of rates,
    which the spec holds itself, and so is the name of the arm. So are the evaluations, which change no number of the training:
    a run that was evaluated at more points than asked for serves as it is. Of a network of the user's own count its source, its
    options and the version of its framework, which need no framework: its weights follow from them and the seed. Of a script,
    the checksum of its files stands for all that it trains and trains on.
    """
    everything = {
        "protocol": PROTOCOL,
        "run": _deciding_keys(run),
        "data": dataset.checksum,
        **(_network_keys(run, dataset, folder) if run.train is None else {}),
        "device": device,
        "threads": threads,
        # Only where floats are scaled: everything else keeps the identity that it had before they were.
        **({"scaled": True} if run.train is None and _is_scaled(run.data, dataset) else {}),
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _is_scaled(data: Data, dataset: Dataset) -> bool:
    return data.preprocessing == "scale" and bool(_float_scale(data, dataset))


def different_trainings(runs: Iterable[RunSpec]) -> list[RunSpec]:
    """Return the runs without those that are another one under the name of another arm; the one evaluated most often stays."""
    by_evaluations = sorted(runs, key=lambda run: len(run.evaluation_steps))
    return list({json.dumps(_deciding_keys(run), sort_keys=True): run for run in by_evaluations}.values())


def _network_keys(run: RunSpec, dataset: Dataset, folder: Path) -> dict[str, object]:
    """Return what stands for the initial weights."""
    if isinstance(run.model, OwnModel):
        return {"network": source_digest(run.model, folder), "versions": framework_versions(run.backend)}
    return {"weights": _weights_digest(run.model, run.seed, dataset.image_shape, dataset.num_classes)}


def _deciding_keys(run: RunSpec) -> dict[str, object]:
    """Return what decides the numbers of a run beside its data and its machine."""
    keys = run.model_dump(
        mode="json", exclude={"arm": True, "data": READING_KEYS, "evaluation_steps": True, "schedule": {"file"}}
    )
    if isinstance(run.model, OwnModel):
        keys["model"]["function"] = run.model.name
    return keys if run.train is None else {**keys, "train": run.train.known_by}


@cache
def _weights_digest(model: BuiltIn, seed: int, image_shape: tuple[int, ...], num_classes: int) -> str:
    layers = build_layers(model.settings(), image_shape, num_classes)
    digest = hashlib.sha256()
    for name, values in initial_weights(layers, image_shape, _stream(seed, WEIGHTS_STREAM)).items():
        digest.update(name.encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def split_rows(data: Data, dataset: Dataset) -> SplitRows:
    """Return the rows of each split, drawn so that every class keeps its share in each.

    Validation rows of a data set's own are taken as they are, all of them, and none is held out of the training rows.
    """
    rng = _stream(SPLIT_SEED, SPLIT_STREAM)
    every_row = np.arange(len(dataset.y_train), dtype=np.int32)
    num_held_out = data.validation.rows(len(every_row)) if dataset.y_validation is None else 0
    validation = stratified(every_row, dataset.y_train, num_held_out, rng)
    train = np.setdiff1d(every_row, validation, assume_unique=True)
    if dataset.y_validation is not None and data.validation.amount > 0:
        validation = np.arange(len(dataset.y_validation), dtype=np.int32)
    if data.train_rows is not None:
        train = stratified(train, dataset.y_train[train], data.train_rows, rng)
    test = np.arange(len(dataset.y_test), dtype=np.int32)
    if data.test_rows is not None:
        test = stratified(test, dataset.y_test, data.test_rows, rng)
    return SplitRows(train, validation, test)


def batch_order(train: IntArray, run: RunSpec, rng: np.random.Generator) -> IntArray:
    """Return the training rows of every batch: a new permutation each epoch, cut into full batches.

    Returns:
        int32[num_steps, batch_size]; a longer run begins with the batches of a shorter one.
    """
    used = run.steps_per_epoch * run.batch_size
    num_epochs = -(-run.num_steps // run.steps_per_epoch)
    order = np.empty((num_epochs, used), dtype=np.int32)
    for epoch in range(num_epochs):
        order[epoch] = rng.permutation(train)[:used]
    return order.reshape(-1, run.batch_size)[: run.num_steps]


@lru_cache(maxsize=1)
def _standardisation(data: Data, dataset: Dataset) -> Standardisation | None:
    """Return what the pixels are standardised or scaled by; None where they are divided by 255 or taken as they are.

    The last one is kept, since the next run of the same experiment has the same training rows.
    """
    if data.preprocessing == "standardise":
        return standardisation(dataset.x_train, split_rows(data, dataset).train)
    largest = _float_scale(data, dataset)
    if largest is None:
        return None
    channels = dataset.image_shape[-1]
    return Standardisation(np.zeros(channels, np.float32), np.full(channels, largest, np.float32))


@lru_cache(maxsize=1)
def _float_scale(data: Data, dataset: Dataset) -> float | None:
    """Return what `scale` divides floats by: the largest value, without its sign, of the training rows.

    None for bytes, which are divided by 255 anyway, for floats that are scaled already: all within `MAX_SCALED`, and for what
    is no image: it is taken as it is.
    """
    if dataset.x_train.dtype != np.float32 or dataset.x_train.ndim != 4:
        return None
    rows = split_rows(data, dataset).train
    chunks = (rows[start : start + STATISTICS_ROWS] for start in range(0, len(rows), STATISTICS_ROWS))
    largest = max(float(np.abs(dataset.x_train[chunk]).max()) for chunk in chunks)
    return largest if largest > MAX_SCALED else None


def standardisation(images: Images, rows: IntArray) -> Standardisation:
    """Return mean and deviation of each channel over some rows, bytes scaled to 0..1 first; a chunk is read at a time."""
    scale = 255.0 if holds_bytes(images) else 1.0
    channels = images.shape[-1]

    def mean(of: Callable[[DoubleArray], DoubleArray]) -> DoubleArray:
        sums = [
            of(images[rows[start : start + STATISTICS_ROWS]].reshape(-1, channels) / np.float64(scale)).sum(axis=0)
            for start in range(0, len(rows), STATISTICS_ROWS)
        ]
        total: DoubleArray = np.sum(sums, axis=0)
        return total / (len(rows) * math.prod(images.shape[1:-1]))

    centre = mean(lambda pixels: pixels)
    deviation = np.sqrt(mean(lambda pixels: np.square(pixels - centre)))
    deviation[deviation <= CONSTANT_DEVIATION * np.abs(centre)] = 1.0
    return Standardisation(centre.astype(np.float32), deviation.astype(np.float32))


def _stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose])
