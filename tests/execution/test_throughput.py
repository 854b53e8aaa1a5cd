"""Timing the pipelines, with trainers that take a known time on a clock of their own."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from clrbench.data.reading import Reading
from clrbench.execution import throughput
from clrbench.execution.throughput import REPETITIONS, STRETCH_SECONDS, Sample, measure_pipelines

PLANNED = np.arange(7 * 40, dtype=np.int32).reshape(7, 40)
FIRST_CALL_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    batches: np.ndarray
    pipeline: str


@dataclass
class Machine:
    """A clock, and what was asked for on it."""

    seconds: float = 0.0
    calls: list[tuple[str, str, np.ndarray]] = field(default_factory=list)

    def work(self, pipeline: str, measured: str, batches: np.ndarray) -> None:
        is_first = (pipeline, measured) not in {call[:2] for call in self.calls}
        step_seconds = {"resident": 0.001, "stream": 0.004}[pipeline] * {"alone": 1, "training": 10}[measured]
        self.seconds += step_seconds * len(batches) + FIRST_CALL_SECONDS * is_first
        self.calls.append((pipeline, measured, batches))

    def make_trainer(self, plan: Plan, dataset: object, device: str) -> SimpleNamespace:
        assert (dataset, device) == ("dataset", "cuda")

        def train(batches: np.ndarray, lr: np.ndarray) -> None:
            np.testing.assert_array_equal(lr, np.zeros(len(batches)))
            self.work(plan.pipeline, "training", batches)

        return SimpleNamespace(train=train, feed=lambda batches: self.work(plan.pipeline, "alone", batches))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(throughput, "load_dataset", lambda *_: "dataset")
    monkeypatch.setattr(throughput, "make_plan", lambda *_: Plan(PLANNED, "resident"))
    monkeypatch.setattr(throughput.backends, "load", {"torch": machine}.__getitem__)
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: machine.seconds)
    return machine


def measure() -> list[Sample]:
    return measure_pipelines(
        SimpleNamespace(place="folder"),
        SimpleNamespace(backend="torch", data=SimpleNamespace(dataset="mnist"), reading=Reading),
        "cuda",
    )


@pytest.mark.usefixtures("machine")
def test_every_pipeline_is_measured_alone_and_in_training_without_its_first_call() -> None:
    rates = {("alone", "resident"): 40_000, ("alone", "stream"): 10_000}
    rates |= {("training", "resident"): 4_000, ("training", "stream"): 1_000}
    samples = measure()
    assert [(sample.measured, sample.repetition, sample.pipeline) for sample in samples] == [
        (measured, repetition, pipeline)
        for measured in ("alone", "training")
        for repetition in range(1, REPETITIONS + 1)
        for pipeline in ("resident", "stream")
    ]
    for sample in samples:
        assert sample.images_per_second == pytest.approx(rates[sample.measured, sample.pipeline])


def test_all_pipelines_get_the_batches_of_the_plan_over_and_over_for_as_long_as_the_slowest_may_take(
    machine: Machine,
) -> None:
    measure()
    for measured, step_seconds in (("alone", 0.004), ("training", 0.04)):
        stretches = [batches for _, name, batches in machine.calls if name == measured][-2 * REPETITIONS :]
        for batches in stretches:
            np.testing.assert_array_equal(batches, PLANNED[np.arange(len(batches)) % 7])
        assert len({len(batches) for batches in stretches}) == 1
        assert STRETCH_SECONDS - 2 * step_seconds < step_seconds * len(stretches[0]) <= STRETCH_SECONDS + 1e-9
