"""The search for the rates of tuned arms, on workers that train nothing: accuracy is a function of the rate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from clrbench.commands import fleet as fleet_module
from clrbench.commands.fleet import Fleet, Options
from clrbench.commands.opening import open_experiment
from clrbench.commands.search import find_rates
from clrbench.data import Library
from clrbench.execution.task import Task
from clrbench.progress import Display
from clrbench.records import Evaluation, RunLog, Split, StepLog, Timing
from clrbench.store import ResultsFolder

CLR = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 1}}


class Workers:
    """Workers that note what they are asked to make, round by round, and write runs with the accuracy of their rate."""

    def __init__(self, accuracy: Callable[[float], float]) -> None:
        self.accuracy = accuracy
        self.rounds: list[list[str]] = []

    @contextmanager
    def start(self, *_: Any) -> Iterator["Workers"]:
        yield self

    def find_device(self, _: str) -> str:
        return "cpu"

    def run(self, tasks: list[Task], _: Any) -> None:
        if tasks:
            self.rounds.append([f"{task.run.arm} s{task.run.seed}" for task in tasks])
        for task in tasks:
            run = task.run
            accuracy = self.accuracy(run.schedule.model_dump()["lr"])
            ends = np.array(run.evaluation_steps, np.int32)
            values = np.ones(run.num_steps, np.float32)
            found = {Split.VALIDATION: (Evaluation(1 - accuracy, accuracy),) * len(ends)}
            log = RunLog(
                StepLog(values, values, values), ends, found, "finished", None, Timing(1.0, 0.5, 0.0, 0.0, 500)
            )
            info = {"status": "finished", "num_classes": 10, "spec": run.model_dump(mode="json", exclude_none=True)}
            ResultsFolder(task.root).write_run(task.run_id, run.steps_per_epoch, log, info)


def search(
    folder: Path, rates: list[float], accuracy: Callable[[float], float], *, redo: bool = False
) -> tuple[Workers, dict[str, float]]:
    content = {
        "name": "test",
        "data": {"dataset": "mnist", "validation": "100 rows", "train_rows": 100},
        "model": {"name": "mlp", "hidden": []},
        "batch_size": 50,
        "duration": "2 epochs",
        "seeds": 2,
        "backends": ["torch"],
        "arms": {"a": {"schedule": {"name": "constant", "lr": rates}, "tune": {"seeds": 1}}, "b": CLR},
    }
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    workers = Workers(accuracy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet_module, "local_workers", workers.start)
        fleet = Fleet(open_experiment(path, folder / "results", Library(None)), Options(redo=redo), Display(quiet=True))
        fleet.folder.create()
        chosen = find_rates(fleet, {})
    return workers, {arm: rate for (_, arm), rate in chosen.items()}


def near(best: float) -> Callable[[float], float]:
    """Return an accuracy that is highest at a rate."""
    return lambda rate: 0.9 - 0.1 * abs(float(np.log10(rate / best)))


def tries(*rates: str) -> list[str]:
    return [f"a@{rate} s1000000" for rate in rates]


GIVEN = ["a@0.01 s0", "a@0.01 s1"]


def test_a_best_rate_inside_the_grid_takes_the_tries_and_the_runs_at_the_rate_given(tmp_path: Path) -> None:
    workers, chosen = search(tmp_path, [0.01, 0.02, 0.04], near(0.02))
    assert chosen == {"a": 0.02}
    assert workers.rounds == [tries("0.01", "0.02", "0.04"), GIVEN]


def test_a_best_rate_at_the_edge_takes_one_more_and_the_given_ones_with_it(tmp_path: Path) -> None:
    workers, chosen = search(tmp_path, [0.01, 0.02, 0.04], near(1.0))
    assert chosen == {"a": 0.08}
    assert workers.rounds == [tries("0.01", "0.02", "0.04"), [*tries("0.08"), *GIVEN]]


def test_a_rate_given_that_stays_the_best_is_not_trained_apart(tmp_path: Path) -> None:
    workers, chosen = search(tmp_path, [0.01, 0.005, 0.02], near(0.01))
    assert chosen == {"a": 0.01}
    assert workers.rounds == [tries("0.01", "0.005", "0.02")]


def test_a_rate_given_that_loses_to_the_one_beyond_the_edge_is_trained_last(tmp_path: Path) -> None:
    workers, chosen = search(tmp_path, [0.01, 0.02], near(0.005))
    assert chosen == {"a": 0.005}
    assert workers.rounds == [tries("0.01", "0.02"), tries("0.005"), GIVEN]


def test_a_second_search_makes_nothing_and_comes_to_the_same_rate(tmp_path: Path) -> None:
    search(tmp_path, [0.01, 0.02, 0.04], near(1.0))
    workers, chosen = search(tmp_path, [0.01, 0.02, 0.04], near(0.01))
    assert chosen == {"a": 0.08}
    assert workers.rounds == []


def test_a_longer_list_later_makes_the_new_tries_alone(tmp_path: Path) -> None:
    search(tmp_path, [0.01, 0.02, 0.04], near(0.02))
    workers, chosen = search(tmp_path, [0.01, 0.02, 0.03, 0.04], lambda _: 0.99)
    assert chosen == {"a": 0.03}
    assert workers.rounds == [tries("0.03")]


def test_redo_makes_every_run_again_and_each_once(tmp_path: Path) -> None:
    search(tmp_path, [0.01, 0.02, 0.04], near(1.0))
    workers, _ = search(tmp_path, [0.01, 0.02, 0.04], near(1.0), redo=True)
    assert workers.rounds == [tries("0.01", "0.02", "0.04"), [*tries("0.08"), *GIVEN]]
