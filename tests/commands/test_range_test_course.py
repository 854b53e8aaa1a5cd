"""A range test from request to request, on an executor whose runs come from a toy world."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from range_test_runs import WorldExecutor
from rates_world import World
from specs import WAYS, write_spec

from clrbench.analysis.bounds import read_range_test
from clrbench.answer import Answer, ExitCode
from clrbench.commands.compare import compare
from clrbench.commands.range_test import range_test
from clrbench.commands.setup import Job, Setup
from clrbench.data import Library
from clrbench.execution.runner import Options
from clrbench.planning.runs import own_range_test
from clrbench.progress import Display
from clrbench.report.console import plain
from clrbench.store import ResultsFolder
from clrbench.store.bounds import bounds_to_json, rates_to_json

ARMS = {
    "constant": {"schedule": {"name": "constant", "lr": "range_test"}},
    "clr": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 4}},
}
DATA = {"dataset": "mnist", "validation": "500 rows", "train_rows": 1000, "test_rows": 400}


def job(folder: Path, world: World, *, redo: bool = False, backends: tuple[str, ...] = ("torch",), **test: Any) -> Job:
    """Return the job of a range test of two seeds and 200 steps, with arms of 400 that take its rates."""
    settings = {"duration": "200 steps", "seeds": 2, **test}
    path = write_spec(
        folder,
        data=DATA,
        batch_size=50,
        duration="400 steps",
        seeds=6,
        backends=list(backends),
        arms=ARMS,
        range_test=settings,
    )
    setup = Setup(open_executor=WorldExecutor(world=world).open)
    return Job(path, folder / "results", Library(None), Options(redo=redo), Display(quiet=True), setup)


def executor(job: Job) -> WorldExecutor:
    found = job.setup.open_executor.__self__  # type: ignore[attr-defined]
    assert isinstance(found, WorldExecutor)
    return found


def text_of(answer: Answer) -> str:
    return plain(answer.shown(100))


def bounds_of(folder: Path, backend: str = "torch") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results/test/range-test/bounds.json").read_text())
    found: dict[str, Any] = content[backend]
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Job, Answer]:
    """A folder with a range test that finds its limits, and its job and answer."""
    folder = tmp_path_factory.mktemp("found")
    made = job(folder, World())
    return folder, made, range_test(made)


def test_every_stage_is_made_in_its_order_and_all_of_a_request_at_once(found: tuple[Path, Job, Answer]) -> None:
    rounds = executor(found[1]).rounds
    kinds = [sorted({run.split("@")[0].split(" ")[0] for run in made}) for made in rounds]
    assert kinds[0] == ["find"]
    assert len(rounds[0]) == 7
    order = ["find", "range-test", "constant", "triangular"]
    assert [order.index(kind) for (kind,) in kinds] == sorted(order.index(kind) for (kind,) in kinds)
    assert {kind for (kind,) in kinds} == set(order)


def test_workers_are_started_once(found: tuple[Path, Job, Answer]) -> None:
    assert len(executor(found[1]).opened) == 1


def test_a_confirmed_answer_says_what_it_rests_on(found: tuple[Path, Job, Answer]) -> None:
    folder, _, answer = found
    bounds = bounds_of(folder)
    assert answer.exit_code is ExitCode.DONE
    assert bounds["confirmed"] is True
    assert bounds["found"] is True
    assert {one["lr"] for one in bounds["confirmation"]["constants"]} >= {bounds["constant_lr"]}
    assert {one["lr"] for one in bounds["confirmation"]["triangles"]} >= {bounds["max_lr"]}
    assert bounds["updates"] <= 3 * 2 * 200
    first, _, _, *rest = text_of(answer).splitlines()
    assert f"max_lr {bounds['max_lr']:g}, constant {bounds['constant_lr']:g}; confirmed over" in first
    chosen = [line.split() for line in rest if "* chosen" in line]
    assert [line[0] for line in chosen] == ["constant", "triangles"]
    assert chosen[0][1] == f"{bounds['constant_lr']:g}"
    assert any(line.startswith("Sweep     torch: ") for line in rest)
    ((data,),) = (test["backends"].values() for test in answer.data["range_tests"])  # type: ignore[index, union-attr, call-overload]
    assert data == bounds


def test_tables_hold_every_training(found: tuple[Path, Job, Answer]) -> None:
    folder = found[0] / "results/test/range-test"
    curve, sweeps, confirmation = (pd.read_csv(folder / f"{name}.csv") for name in ("curve", "sweeps", "confirmation"))
    bounds = bounds_of(found[0])
    assert curve["lr"].min() == pytest.approx(bounds["limits"][0], rel=1e-6)
    assert list(sweeps) == ["stage", "attempt", *curve]
    assert list(dict.fromkeys(sweeps["stage"])) == ["find", "sweep"]
    assert set(confirmation["kind"]) == {"constant", "triangular"}
    # The mean over the seeds of the longest is what the text and the figure show.
    longest = confirmation[
        (confirmation["kind"] == "constant") & (confirmation["step"] == bounds["confirmation"]["num_steps"])
    ]
    shown = {
        one["lr"]: one["accuracy"]
        for one in bounds["confirmation"]["constants"]
        if one["num_steps"] == longest["step"].max()
    }
    # What diverged reached nothing, and is judged as if it guessed.
    reached = longest[~longest["diverged"]].groupby("lr")["validation_accuracy"].mean().to_dict()
    assert reached == pytest.approx({lr: shown[lr] for lr in reached})
    assert set(longest["lr"]) == set(shown)
    assert (folder / "range_test.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_read_from_disk_is_what_was_answered(found: tuple[Path, Job, Answer]) -> None:
    root = ResultsFolder(found[0] / "results/test")
    spec = root.read_spec()
    test = read_range_test(root.range_test(None), spec, own_range_test(spec))
    stored = root.range_test(None).bounds()
    assert {name: rates_to_json(rates) for name, rates in stored.items()} == json.loads(bounds_to_json(test.bounds))
    assert sum(run.updates_made for run in test.runs) == bounds_of(found[0])["updates"]


@pytest.mark.acceptance
def test_a_second_range_test_trains_nothing_and_a_redo_everything_once(found: tuple[Path, Job, Answer]) -> None:
    folder, first, answer = found
    again = job(folder, World())
    assert text_of(range_test(again)) == text_of(answer)
    assert executor(again).rounds == []
    anew = job(folder, World(), redo=True)
    assert text_of(range_test(anew)) == text_of(answer)
    assert executor(anew).rounds == executor(first).rounds


@pytest.mark.acceptance
def test_a_range_test_goes_on_where_it_was_stopped(found: tuple[Path, Job, Answer], tmp_path: Path) -> None:
    rounds = executor(found[1]).rounds
    stopped = job(tmp_path, World())

    class StopError(Exception):
        pass

    def stop_after_two(tasks: Any, watch: Any) -> None:
        if len(executor(stopped).rounds) == 2:
            raise StopError
        WorldExecutor.run(executor(stopped), tasks, watch)

    executor(stopped).run = stop_after_two  # type: ignore[method-assign]
    with pytest.raises(StopError):
        range_test(stopped)
    resumed = job(tmp_path, World())
    range_test(resumed)
    assert executor(resumed).rounds == rounds[2:]
    assert bounds_of(tmp_path) == bounds_of(found[0])


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each way of asking for a range test, in which `compare` has run."""
    folders = {}
    for way, test in WAYS.items():
        folders[way] = tmp_path_factory.mktemp(way)
        assert compare(job(folders[way], World(), **test)).exit_code is ExitCode.DONE
    return folders


@pytest.mark.acceptance
def test_all_ways_of_asking_lead_to_the_same_rates(compared: dict[str, Path]) -> None:
    bounds = [bounds_of(folder) for folder in compared.values()]
    for name in ("constant_lr", "max_lr"):
        rates = [found[name] for found in bounds]
        assert max(rates) <= 2 * min(rates)


@pytest.mark.acceptance
def test_arms_train_at_the_rates_found(compared: dict[str, Path]) -> None:
    for folder in compared.values():
        bounds = bounds_of(folder)
        metrics = pd.read_csv(folder / "results/test/metrics.csv")
        constant = metrics.loc[metrics["arm"] == "constant", "lr"].unique()
        assert constant == pytest.approx([bounds["constant_lr"]], rel=1e-6)
        (clr,) = (folder / "results/test/runs").glob("torch-clr-s0-*")
        steps = pd.read_csv(clr / "steps.csv")
        assert [steps["lr"].min(), steps["lr"].max()] == pytest.approx(
            [bounds["triangle_base_lr"], bounds["max_lr"]], rel=1e-6
        )


@pytest.mark.acceptance
def test_a_confirmed_baseline_is_not_untuned_and_one_that_is_not_is(compared: dict[str, Path], tmp_path: Path) -> None:
    evidence = pd.read_csv(compared["found"] / "results/test/evidence.csv")
    assert evidence["untuned"].tolist() == [False]
    assert "untuned" in compare(job(tmp_path, World(), **WAYS["linear"], confirm=False)).shown(100)
    assert pd.read_csv(tmp_path / "results/test/evidence.csv")["untuned"].tolist() == [True]


@pytest.mark.acceptance
def test_costs_charge_every_update_of_the_course_to_each_arm(compared: dict[str, Path]) -> None:
    for folder in compared.values():
        costs = pd.read_csv(folder / "results/test/costs.csv")
        assert costs["range_test_steps"].tolist() == [bounds_of(folder)["updates"]] * 2


@pytest.mark.acceptance
def test_without_confirmation_there_is_one_sweep_and_the_constant_says_so(tmp_path: Path) -> None:
    made = job(tmp_path, World(), **WAYS["linear"], confirm=False)
    answer = range_test(made)
    assert executor(made).rounds == [["range-test s1000000", "range-test s1000001"]]
    bounds = bounds_of(tmp_path)
    assert (bounds["confirmed"], bounds["confirmation"]) == (False, None)
    assert bounds["constant_lr"] == pytest.approx(bounds["max_lr"] / 3, rel=0.01)
    assert "read off the curve" in text_of(answer)
    assert "not confirmed" in text_of(answer)


def test_where_every_rate_diverges_there_is_a_cause_and_no_plot(tmp_path: Path) -> None:
    made = job(tmp_path, World(limit=1e-9))
    answer = range_test(made)
    assert answer.exit_code is ExitCode.NO_ANSWER
    assert "torch: no rates suggested: " in text_of(answer)
    folder = tmp_path / "results/test/range-test"
    assert not (folder / "range_test.png").exists()
    assert pd.read_csv(folder / "curve.csv").empty
    assert set(pd.read_csv(folder / "sweeps.csv")["stage"]) == {"find"}


@pytest.mark.parametrize("command", [range_test, compare])
def test_a_sweep_of_few_steps_is_refused_before_anything_is_trained(command: Any, tmp_path: Path) -> None:
    asked = job(tmp_path, World(), duration="5 steps")
    answer = command(asked)
    assert answer.exit_code == ExitCode.NO_ANSWER
    assert "a sweep has 5 updates" in " ".join(text_of(answer).split())
    assert executor(asked).rounds == []
    assert bounds_of(tmp_path)["reason"].startswith("too few points")


def test_bounds_are_only_written_under_the_lock_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    def write(folder: ResultsFolder, _bounds: Any) -> None:
        held.append((folder.root / ".locks/tables.lease").exists())

    # Where two shards finish a range test together, one would take the other's unfinished file for that of a dead process.
    monkeypatch.setattr(ResultsFolder, "write_bounds", write)
    compare(job(tmp_path, World(), duration="5 steps"))
    assert held
    assert all(held)


@pytest.mark.acceptance
def test_each_backend_takes_a_course_of_its_own(tmp_path: Path) -> None:
    made = job(tmp_path, World(), backends=("torch", "keras"))
    range_test(made)
    assert [resources.backend for resources in executor(made).opened] == ["torch", "keras"]
    assert bounds_of(tmp_path, "torch") == bounds_of(tmp_path, "keras")
