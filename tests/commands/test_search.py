"""The search for the rates of tuned arms, on an executor that trains nothing: accuracy is a function of the rate."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from fakes import FakeExecutor

from clrbench.commands.search import find_rates
from clrbench.commands.setup import Job, Setup
from clrbench.data import Library
from clrbench.execution.runner import Options
from clrbench.progress import Display

CLR = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 1}}


def search(
    folder: Path, rates: list[float], accuracy: Callable[[float], float], *, redo: bool = False
) -> tuple[FakeExecutor, dict[str, float]]:
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
    executor = FakeExecutor(accuracy)
    setup = Setup(open_executor=executor.open)
    job = Job(path, folder / "results", Library(None), Options(redo=redo), Display(quiet=True), setup)
    runner = job.runner(job.open())
    runner.folder.create()
    chosen = find_rates(runner, {})
    return executor, {arm: rate for (_, arm), rate in chosen.items()}


def near(best: float) -> Callable[[float], float]:
    """Return an accuracy that is highest at a rate."""
    return lambda rate: 0.9 - 0.1 * abs(float(np.log10(rate / best)))


def tries(*rates: str) -> list[str]:
    return [f"a@{rate} s1000000" for rate in rates]


GIVEN = ["a@0.01 s0", "a@0.01 s1"]


def test_a_best_rate_inside_the_grid_takes_the_tries_and_the_runs_at_the_rate_given(tmp_path: Path) -> None:
    executor, chosen = search(tmp_path, [0.01, 0.02, 0.04], near(0.02))
    assert chosen == {"a": 0.02}
    assert executor.rounds == [tries("0.01", "0.02", "0.04"), GIVEN]


def test_a_best_rate_at_the_edge_takes_one_more_and_the_given_ones_with_it(tmp_path: Path) -> None:
    executor, chosen = search(tmp_path, [0.01, 0.02, 0.04], near(1.0))
    assert chosen == {"a": 0.08}
    assert executor.rounds == [tries("0.01", "0.02", "0.04"), [*tries("0.08"), *GIVEN]]


def test_a_rate_given_that_stays_the_best_is_not_trained_apart(tmp_path: Path) -> None:
    executor, chosen = search(tmp_path, [0.01, 0.005, 0.02], near(0.01))
    assert chosen == {"a": 0.01}
    assert executor.rounds == [tries("0.01", "0.005", "0.02")]


def test_a_rate_given_that_loses_to_the_one_beyond_the_edge_is_trained_last(tmp_path: Path) -> None:
    executor, chosen = search(tmp_path, [0.01, 0.02], near(0.005))
    assert chosen == {"a": 0.005}
    assert executor.rounds == [tries("0.01", "0.02"), tries("0.005"), GIVEN]


def test_a_second_search_makes_nothing_and_comes_to_the_same_rate(tmp_path: Path) -> None:
    search(tmp_path, [0.01, 0.02, 0.04], near(1.0))
    executor, chosen = search(tmp_path, [0.01, 0.02, 0.04], near(0.01))
    assert chosen == {"a": 0.08}
    assert executor.rounds == []


def test_a_longer_list_later_makes_the_new_tries_alone(tmp_path: Path) -> None:
    search(tmp_path, [0.01, 0.02, 0.04], near(0.02))
    executor, chosen = search(tmp_path, [0.01, 0.02, 0.03, 0.04], lambda _: 0.99)
    assert chosen == {"a": 0.03}
    assert executor.rounds == [tries("0.03")]


def test_redo_makes_every_run_again_and_each_once(tmp_path: Path) -> None:
    search(tmp_path, [0.01, 0.02, 0.04], near(1.0))
    executor, _ = search(tmp_path, [0.01, 0.02, 0.04], near(1.0), redo=True)
    assert executor.rounds == [tries("0.01", "0.02", "0.04"), [*tries("0.08"), *GIVEN]]
