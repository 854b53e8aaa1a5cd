"""What is read of an experiment's folder, and what is recorded of a look at it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from range_test_runs import peak_at, write_sweep
from runs_in_memory import NO_SEARCH, make_spec, results_of, stored_run
from runs_on_disk import write_run
from specs import CONSTANT

from clrbench.analysis.results import LookedAt, Results, compared_metrics, given_metrics, own_metrics
from clrbench.analysis.search import Search
from clrbench.errors import ResultsError
from clrbench.store import ResultsFolder
from clrbench.store.index import INDEX_FILE

ENDS = [0.72, 0.71, 0.74, 0.76, 0.71, 0.75, 0.73]


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path)


def write_pairs(folder: ResultsFolder, seeds: range) -> None:
    for seed in seeds:
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.6, 0.4, ENDS[seed]])


def test_runs_stand_by_backend_in_the_order_of_the_spec(folder: ResultsFolder) -> None:
    for seed in range(2):
        for backend in ("keras", "torch"):
            write_run(folder, "clr", seed, [0.1, 0.2, 0.3], backend=backend)
    results = Results.read(folder, make_spec(backends=("torch", "keras")))
    assert [(run.key.backend, run.key.seed) for run in results.runs] == [
        ("torch", 0),
        ("torch", 1),
        ("keras", 0),
        ("keras", 1),
    ]
    assert results.backends == ["torch", "keras"]
    assert results.looks == {}


def test_runs_that_the_spec_does_not_ask_for_are_left_out(folder: ResultsFolder) -> None:
    write_pairs(folder, range(6))
    write_run(folder, "dropped", 0, [0.1, 0.2, 0.3])
    write_run(folder, "clr", 0, [0.1, 0.2, 0.3], backend="keras")
    results = Results.read(folder, make_spec(seeds=(0, 1, 2)))
    assert sorted({run.key[:2] for run in results.runs}) == [("torch", "clr"), ("torch", "constant")]
    assert [run.key.seed for run in results.runs] == [0, 0, 1, 1, 2, 2]
    assert results.num_missing_runs == 0


def test_only_the_evaluations_asked_for_count(folder: ResultsFolder) -> None:
    run_id = write_run(folder, "clr", 0, [0.1, 0.2, 0.3])
    folder.add_runs("spec", "torch", [run_id], {"clr": (4, 5)})
    metrics = own_metrics(Results.read(folder, make_spec()))
    assert metrics["step"].tolist() == [4, 5]
    np.testing.assert_allclose(metrics["train_loss"], [3.5, 1.0], rtol=1e-12)


def test_a_lost_index_loses_no_run(folder: ResultsFolder) -> None:
    write_pairs(folder, range(6))
    spec = make_spec(seeds=6)
    whole = {run.key for run in Results.read(folder, spec).runs}
    (folder.root / INDEX_FILE).unlink()
    again = Results.read(folder, spec)
    assert {run.key for run in again.runs} == whole
    assert again.num_missing_runs == 0


def test_missing_runs_are_counted(folder: ResultsFolder) -> None:
    write_pairs(folder, range(6))
    assert Results.read(folder, make_spec(seeds=8)).num_missing_runs == 4


def test_no_finished_run_is_an_error(folder: ResultsFolder) -> None:
    (folder.root / "runs").mkdir()
    with pytest.raises(ResultsError, match="no run is finished"):
        Results.read(folder, make_spec())


def test_the_range_tests_that_arms_take_their_rates_from_are_read(folder: ResultsFolder) -> None:
    write_run(folder, "clr", 0, [0.1, 0.2, 0.3])
    found = {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 1}}
    limits = {"start_lr": 0.001, "end_lr": 1.0, "duration": "120 steps", "seeds": [0], "confirm": False}
    spec = make_spec(arms={"constant": CONSTANT, "clr": found}, range_test=limits)
    assert Results.read(folder, spec).range_tests == {}
    write_sweep(folder.range_test(None), 0, peak_at(0.2), spec)
    (test,) = Results.read(folder, spec).range_tests.values()
    assert [run.key.seed for run in test.runs] == [0]
    assert Results.read(folder, make_spec()).range_tests == {}


def test_what_is_made_of_results_is_made_once() -> None:
    calls = []

    def count_runs(results: Results) -> int:
        calls.append(results)
        return len(results.runs)

    results, others = results_of([stored_run("clr")]), results_of([])
    assert [results.once(count_runs), results.once(count_runs), others.once(count_runs)] == [1, 1, 0]
    assert calls == [results, others]
    looked = results.with_looks({"torch": LookedAt(2)})
    assert (looked.looks, looked.once(count_runs), len(calls)) == ({"torch": LookedAt(2)}, 1, 2)
    changed = replace(results, runs=())
    assert (changed.once(count_runs), calls[2:]) == (0, [changed])


def test_runs_at_the_rates_given_are_compared_beside_those_of_the_arms() -> None:
    arms = {"constant": {"schedule": {"name": "constant", "lr": [0.01, 0.03]}}, "clr": CONSTANT}
    given = Search((), NO_SEARCH.tries, NO_SEARCH.chosen, (stored_run("constant@0.01"),))
    results = results_of([stored_run("constant"), stored_run("clr")], given, arms=arms)
    assert own_metrics(results)["arm"].tolist() == ["constant", "clr"]
    assert given_metrics(results)["arm"].tolist() == ["constant@0.01"]
    assert compared_metrics(results)["arm"].tolist() == ["constant", "clr", "constant@0.01"]
    assert results.comparisons == [("clr", "constant@0.01"), ("clr", "constant")]
    assert results.schedules["constant@0.01"] == results.schedules["constant"]
    # The runs with seed 1 of both arms, and of the one at the rate given.
    assert results.num_missing_runs == 3
