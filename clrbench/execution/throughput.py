"""How many images a second each pipeline brings to the device, alone and in training; runs in a worker process."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from clrbench import backends
from clrbench.backends.protocol import Trainer
from clrbench.data import Library
from clrbench.execution.task import load_dataset
from clrbench.planning.plan import make_plan
from clrbench.records import IntArray, Pipeline, TrainPlan
from clrbench.spec import RunSpec

Measured: TypeAlias = Literal["alone", "training"]

REPETITIONS = 5
STRETCH_SECONDS = 0.5
SHORTEST_SECONDS = 0.1
"""A stretch that takes less tells little about how long another one takes."""

_Pass: TypeAlias = Callable[[IntArray], object]


@dataclass(frozen=True)
class Sample:
    """One stretch of batches that was timed.

    Attributes:
        measured: `alone`, images only brought to the device, or `training`, an update made with every batch too.
        repetition: From 1 on; the pipelines take turns, so those of equal number are neighbours in time.
    """

    pipeline: Pipeline
    measured: Measured
    repetition: int
    images_per_second: float


def measure_pipelines(library: Library, run: RunSpec, device: str) -> list[Sample]:
    """Time the batches of a run through each pipeline, side by side in this process."""
    dataset = load_dataset(library, run.data.dataset, run.reading())
    plan = make_plan(run, dataset, library.place)
    backend = backends.load(run.backend)
    trainers = {
        pipeline: backend.make_trainer(replace(plan, pipeline=pipeline), dataset, device)
        for pipeline in get_args(Pipeline)
    }
    samples = []
    for measured in get_args(Measured):
        passes = {pipeline: _pass(trainer, measured) for pipeline, trainer in trainers.items()}
        # All pipelines get the same batches: as many as the slowest one manages.
        batches = _repeated(plan, min(_steps_in_time(passing, plan) for passing in passes.values()))
        for repetition in range(1, REPETITIONS + 1):
            for pipeline, passing in passes.items():
                rate = batches.size / _seconds(passing, batches)
                samples.append(Sample(pipeline, measured, repetition, rate))
    return samples


def _pass(trainer: Trainer, measured: Measured) -> _Pass:
    if measured == "alone":
        return trainer.feed
    # A rate of 0 takes as long as any other, and cannot diverge.
    return lambda batches: trainer.train(batches, np.zeros(len(batches), np.float32))


def _steps_in_time(passing: _Pass, plan: TrainPlan) -> int:
    """Return how many steps fit into a stretch; the first pass of all compiles, and is not timed."""
    num_steps = 1
    passing(_repeated(plan, num_steps))
    while (seconds := _seconds(passing, _repeated(plan, num_steps))) < SHORTEST_SECONDS:
        num_steps *= 2
    return max(1, int(num_steps * STRETCH_SECONDS / seconds))


def _repeated(plan: TrainPlan, num_steps: int) -> IntArray:
    """Return the first batches of a plan, from the start again where it ends."""
    return np.take(plan.batches, range(num_steps), axis=0, mode="wrap")


def _seconds(passing: _Pass, batches: IntArray) -> float:
    started = time.perf_counter()
    passing(batches)
    return time.perf_counter() - started
