"""The runs of an experiment: killed and continued, shared by several processes, made in shards, made again."""

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from command_line import QUICK, answer, run_clrbench, write_spec
from fakes import HASTY, FakeExecutor, command
from kills import Killer, leftovers, tables, write_kill_spec

from clrbench.cli import main
from clrbench.commands.setup import Job, Setup
from clrbench.data import Library
from clrbench.errors import BackendError, SpecError
from clrbench.execution.executor import Resources
from clrbench.execution.runner import Options, Runner, part
from clrbench.planning.runs import training_runs
from clrbench.progress import Display
from clrbench.spec import RunSpec


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a spec of six runs, made by two commands that were started at once."""
    folder = tmp_path_factory.mktemp("sharing")
    spec = write_spec(folder, backends=["torch"], seeds=3, duration="6 epochs")
    program = command(f"open_executor=counting({str(folder / 'made')!r})")
    arguments = ["compare", str(spec), "--workers", "1"]
    both = [
        subprocess.Popen([*program, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    return folder


@pytest.mark.acceptance
def test_two_commands_started_at_once_share_the_runs_and_make_none_twice(workplace: Path) -> None:
    made = (workplace / "made").read_text().splitlines()
    assert len(made) == len(set(made)) == 6
    folder = workplace / "results/quick"
    assert {path.name for path in (folder / "runs").iterdir()} == set(made)
    assert list(leftovers(folder)) == []


@pytest.mark.acceptance
def test_shards_and_a_report_come_to_the_same_tables(workplace: Path) -> None:
    spec, out = workplace / "quick.yaml", workplace / "shards"
    told = [
        answer(run_clrbench("compare", spec, "--out", out, "--shard", f"{index}/2", "--json", folder=workplace))
        for index in (2, 1)
    ]
    assert told == [
        {"shard": 2, "shards": 2, "finished": 3, "runs": 6, "results": str(out / "quick")},
        {"shard": 1, "shards": 2, "finished": 6, "runs": 6, "results": str(out / "quick")},
    ]
    assert not (out / "quick/summary.csv").exists()
    done = run_clrbench("report", out / "quick", folder=workplace, cold=True)
    assert done.returncode == 0, done.stderr
    assert tables(out / "quick") == tables(workplace / "results/quick")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3"])
def test_a_shard_that_is_none_is_a_usage_error(tmp_path: Path, shard: str) -> None:
    done = CliRunner().invoke(main, ["compare", str(write_spec(tmp_path)), f"--shard={shard}"])
    assert done.exit_code == 2
    assert "allowed: K/N, K from 1 to N" in done.output


def test_a_shard_comes_to_no_verdict_that_a_condition_could_be_put_to(tmp_path: Path) -> None:
    asked = ["compare", str(write_spec(tmp_path)), "--shard", "1/2", "--fail-if", "worse"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert "leave one of them out" in done.output


@pytest.mark.acceptance
def test_another_spec_of_the_same_name_is_said_and_keeps_what_both_ask_for(workplace: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"], seeds=2, duration="6 epochs")
    out = workplace / "results"
    done = run_clrbench("compare", spec, "--out", out, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "was last made from another spec" in done.stderr
    assert len((workplace / "made").read_text().splitlines()) == 6
    assert len(list((out / "quick/runs").iterdir())) == 6
    assert "2 pairs" in done.stdout


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("backend", "changes", "how"),
    [("torch", "momentum", "kill all"), ("keras", "stream", "kill parent")],
)
def test_tables_of_a_killed_experiment_are_those_of_one_that_never_was(
    tmp_path: Path, backend: str, changes: str, how: str
) -> None:
    spec = write_kill_spec(tmp_path, changes, backend, "60 epochs")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killer = Killer(spec, killed, command(HASTY), random.Random(0))
    process = killer.start()
    killer.wait_until(lambda: len(list(killed.glob("quick/.checkpoints/*.json"))) > 0)
    killer.kill(process, how)
    kept = sorted(killed.glob("quick/.checkpoints/*.json"))
    assert kept
    # The last checkpoint of a run is torn: the one before it serves, if there is one.
    torn = kept[-1].with_suffix(".npz")
    torn.write_bytes(torn.read_bytes()[:-100])
    for out in (killed, whole):
        done = run_clrbench("compare", spec, "--out", out, "--quiet", folder=tmp_path, cold=True)
        assert done.returncode == 0, done.stderr
        assert ("is not what was written, by its checksum" in done.stderr) == (out == killed)
    assert len(tables(whole / "quick")) > 15
    assert tables(whole / "quick") == tables(killed / "quick")
    assert list(leftovers(killed / "quick")) == []


CONSTANTS = {name: {"schedule": {"name": "constant", "lr": lr}} for name, lr in (("a", 0.1), ("b", 0.2))}


def make_runner(folder: Path, executor: FakeExecutor, **options: Any) -> tuple[Runner, list[RunSpec]]:
    """Return what makes the runs of two arms and two seeds, and these runs."""
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump({**QUICK, "arms": CONSTANTS, "backends": ["torch"]}, sort_keys=False))
    setup = Setup(open_executor=executor.open)
    job = Job(path, folder / "results", Library(), Options(**options), Display(quiet=True), setup)
    runner = job.runner(job.open())
    experiment = runner.experiment
    return runner, training_runs(experiment.spec, experiment.sizes, experiment.backends, {})


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor(lambda rate: rate)


def test_runs_that_are_stored_are_not_made_again_unless_asked_for(tmp_path: Path, executor: FakeExecutor) -> None:
    runner, runs = make_runner(tmp_path, executor)
    runner.begin()
    runner.make(runner.folder, runs[:2], "runs")
    runner.make(runner.folder, runs, "runs")
    assert executor.rounds == [["a s0", "b s0"], ["a s1", "b s1"]]
    again, _ = make_runner(tmp_path, executor, redo=True)
    again.make(again.folder, runs, "runs", made=set(runs[:3]))
    assert executor.rounds[2:] == [["b s1"]]
    assert len(again.folder.indexed_runs()) == 4


def test_all_runs_are_remembered_where_only_some_are_wanted(tmp_path: Path, executor: FakeExecutor) -> None:
    runner, runs = make_runner(tmp_path, executor)
    runner.begin()
    runner.make(runner.folder, runs, "runs", wanted=part(runs, (2, 2)))
    assert executor.rounds == [["a s1", "b s1"]]
    assert len(runner.folder.index().runs["torch"]) == 4


def test_device_and_threads_are_those_of_the_first_start(tmp_path: Path, executor: FakeExecutor) -> None:
    first, runs = make_runner(tmp_path, executor, threads=3, workers=2)
    first.begin()
    first.make(first.folder, runs, "runs")
    assert executor.opened == [Resources("torch", 2, 3)]
    later, _ = make_runner(tmp_path, executor)
    assert later.threads == 3
    other, _ = make_runner(tmp_path, executor, threads=2)
    with pytest.raises(SpecError, match=r"threads: got 2, but .* was started with threads 3"):
        other.begin()
    elsewhere, _ = make_runner(tmp_path, executor, device="cuda")
    with pytest.raises(SpecError, match=r"device: got cuda, but .* was started with device cpu"):
        elsewhere.make(elsewhere.folder, runs, "runs")


def test_an_error_says_how_many_runs_are_finished(tmp_path: Path, executor: FakeExecutor) -> None:
    def fail(_: float) -> float:
        raise BackendError("no more")

    runner, runs = make_runner(tmp_path, executor)
    runner.begin()
    runner.make(runner.folder, runs[:1], "runs")
    executor.accuracy = fail
    with pytest.raises(BackendError, match="no more") as caught:
        runner.make(runner.folder, runs, "runs")
    assert caught.value.__notes__ == ["1 of 4 runs are finished, 0 stand at a checkpoint"]


def test_shards_are_neighbours_and_make_up_the_whole() -> None:
    runs: list[Any] = list(range(10))
    assert part(runs, None) == runs
    shards = [part(runs, (index, 4)) for index in (1, 2, 3, 4)]
    assert shards == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]
