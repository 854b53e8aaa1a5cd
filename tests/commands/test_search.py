"""The search for the rates of tuned arms: on an executor whose accuracy is a function of the rate, and as `compare` makes it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import answer, run_clrbench, write_spec
from fakes import FakeExecutor
from specs import CLR
from specs import write_spec as write_minimal

from clrbench.commands.search import find_rates
from clrbench.commands.setup import Job, Setup
from clrbench.data import Library
from clrbench.execution.runner import Options
from clrbench.progress import Display


def search(
    folder: Path, rates: list[float], accuracy: Callable[[float], float], *, redo: bool = False
) -> tuple[FakeExecutor, dict[str, float]]:
    arms = {"a": {"schedule": {"name": "constant", "lr": rates}, "tune": {"seeds": 1}}, "b": CLR}
    data = {"dataset": "mnist", "validation": "100 rows", "train_rows": 100}
    path = write_minimal(folder, data=data, batch_size=50, duration="2 epochs", seeds=2, backends=["torch"], arms=arms)
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


@pytest.mark.acceptance
def test_redo_makes_every_run_again_and_each_once(tmp_path: Path) -> None:
    search(tmp_path, [0.01, 0.02, 0.04], near(1.0))
    executor, _ = search(tmp_path, [0.01, 0.02, 0.04], near(1.0), redo=True)
    assert executor.rounds == [tries("0.01", "0.02", "0.04"), [*tries("0.08"), *GIVEN]]


ARMS = {
    "constant": {"schedule": {"name": "constant", "lr": [1e-05, 0.03, 0.1]}, "tune": {"seeds": 2}},
    "clr": {
        "schedule": {"name": "triangular", "base_lr": 0.001, "max_lr": [0.002, 0.006], "cycles": 2},
        "tune": {"seeds": 2},
    },
}
"""The constant rate given is far too low, and so are all rates of clr. A run has 80 steps."""

TABLES = ("metrics.csv", "comparison.csv", "search.csv", "chosen.csv", "given.csv", "costs.csv", "cost_curve.csv")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the comparison has been run once."""
    folder = tmp_path_factory.mktemp("tuned")
    spec = write_spec(folder, backends=["torch"], seeds=6, arms=ARMS, verdict={"alpha": 0.1})
    done = run_clrbench("compare", spec, "--workers", 1, folder=folder, cold=True)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def results(workplace: Path) -> Path:
    return workplace / "results" / "quick"


@pytest.mark.acceptance
def test_candidate_beats_the_rate_given_and_loses_to_the_best_one_tried(workplace: Path, results: Path) -> None:
    table = pd.read_csv(results / "comparison.csv")
    rows = table[table["metric"] == "test_accuracy"]
    assert rows[["candidate", "baseline", "pairs", "verdict"]].to_numpy().tolist() == [
        ["clr", "constant@1e-05", 6, "better"],
        ["clr", "constant", 6, "worse"],
    ]
    stdout = (workplace / "stdout").read_text()
    flowing = " ".join(stdout.split())
    numbers = r"\+[\d.]+ \[\+[\d.]+, \+[\d.]+\], Holm p 0\.\d+"
    assert re.search(
        rf"Verdict torch: constant beats clr\. clr \({numbers}\) beats constant@1e-05 \(untuned\)\.", flowing
    )
    assert "Holm p" in stdout


@pytest.mark.acceptance
def test_search_keeps_the_best_rate_and_tries_one_beyond_the_edge(results: Path) -> None:
    search = pd.read_csv(results / "search.csv")
    assert list(search.columns[:6]) == ["backend", "arm", "lr", "seed", "validation_accuracy", "steps"]
    tried = search.groupby("arm")["lr"].unique().map(sorted).to_dict()
    assert tried == {"constant": [1e-05, 0.03, 0.1], "clr": [0.002, 0.006, 0.018]}
    assert set(search["seed"]) == {1_000_000, 1_000_001}
    chosen = pd.read_csv(results / "chosen.csv").set_index("arm")
    best = search.groupby(["arm", "lr"])["validation_accuracy"].mean().unstack("arm").idxmax()
    assert chosen["lr"].to_dict() == best.to_dict()
    assert chosen["given_lr"].to_dict() == {"constant": 1e-05, "clr": 0.002}
    assert chosen["tries"].to_dict() == {"constant": 6, "clr": 6}
    assert chosen.loc["clr", ["lr", "at_edge"]].tolist() == [0.018, True]


@pytest.mark.acceptance
def test_metrics_hold_the_chosen_rate_alone(results: Path) -> None:
    metrics = pd.read_csv(results / "metrics.csv")
    chosen = pd.read_csv(results / "chosen.csv").set_index("arm")["lr"]
    assert set(metrics["arm"]) == {"constant", "clr"}
    assert set(metrics["seed"]) == set(range(6))
    assert set(metrics.loc[metrics["arm"] == "constant", "lr"]) == {chosen["constant"]}
    given = pd.read_csv(results / "given.csv")
    assert given[["arm", "runs"]].to_numpy().tolist() == [["constant@1e-05", 6]]


@pytest.mark.acceptance
def test_tries_see_no_test_row_and_runs_at_the_given_rate_pair_with_the_others(results: Path) -> None:
    infos = [json.loads(path.read_text()) for path in (results / "search" / "runs").glob("*/run.json")]
    splits = {info["spec"]["seed"] < 6: info["spec"]["evaluated_splits"] for info in infos}
    assert splits == {True: ["validation", "test"], False: ["validation"]}
    first = [
        pd.read_csv(next(results.glob(f"{folder}/torch-{arm}-s3-*/steps.csv")))["train_loss"].iloc[0]
        for folder, arm in (("runs", "constant"), ("runs", "clr"), ("search/runs", "constant@1e-05"))
    ]
    np.testing.assert_allclose(first, first[0], rtol=1e-6, atol=0)


@pytest.mark.acceptance
def test_costs_charge_the_search_and_timing_has_its_runs(results: Path) -> None:
    costs = pd.read_csv(results / "costs.csv").set_index("arm")
    assert costs.loc["constant", ["train_steps", "search_steps", "total_steps"]].tolist() == [80, 480, 560]
    curve = pd.read_csv(results / "cost_curve.csv")
    assert curve.groupby("arm")["total_step"].max().to_dict() == {"constant": 560, "clr": 560}
    timing = pd.read_csv(results / "timing.csv")
    assert timing.columns[-1] == "purpose"
    assert timing["purpose"].value_counts().to_dict() == {"run": 12, "search": 18}


@pytest.mark.acceptance
def test_an_arm_that_is_not_fully_tuned_is_named_by_compare_and_by_report(workplace: Path, results: Path) -> None:
    warning = "arm clr: not fully tuned on torch: 0.018 is the best rate and the highest of the 3 tried"
    assert warning[:60] in (workplace / "stdout").read_text().partition("Warnings")[2]
    before = {name: (results / name).read_bytes() for name in TABLES}
    for name in TABLES:
        (results / name).unlink()
    rebuilt = answer(run_clrbench("report", "results/quick", "--json", folder=workplace))
    assert [text.startswith(warning) for text in rebuilt["warnings"]].count(True) == 1
    assert [row["lr"] for row in rebuilt["chosen"] if row["arm"] == "clr"] == [0.018]
    assert {name: (results / name).read_bytes() for name in TABLES} == before


@pytest.mark.acceptance
def test_a_second_call_trains_nothing_and_changes_no_byte(workplace: Path, results: Path) -> None:
    before = {name: (results / name).read_bytes() for name in TABLES}
    times = {path: path.stat().st_mtime_ns for path in results.rglob("run.json")}
    assert len(times) == 30
    done = run_clrbench("compare", "quick.yaml", "--quiet", folder=workplace)
    assert (done.returncode, done.stdout) == (0, (workplace / "stdout").read_text())
    assert {name: (results / name).read_bytes() for name in TABLES} == before
    assert {path: path.stat().st_mtime_ns for path in results.rglob("run.json")} == times


@pytest.mark.acceptance
def test_dry_run_counts_the_tries(workplace: Path) -> None:
    cost = answer(run_clrbench("compare", "quick.yaml", "--dry-run", "--json", folder=workplace))
    assert cost["num_tries"] == 10
    # At the rates given, arms are among the tries.
    assert cost["num_runs"] == 10 + 12
