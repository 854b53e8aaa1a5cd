"""Several processes at work on one experiment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import answer, run_clrbench, write_spec
from kills import leftovers, tables

COUNTING = Path(__file__).with_name("counting.py")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a spec of six runs, made by two commands that were started at once."""
    folder = tmp_path_factory.mktemp("sharing")
    spec = write_spec(folder, backends=["torch"], seeds=3, duration="20 epochs")
    command = [sys.executable, str(COUNTING), "compare", str(spec), "--workers", "1"]
    environment = {**os.environ, "RUNS_WRITTEN": str(folder / "written")}
    both = [
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    return folder


def test_two_commands_started_at_once_share_the_runs_and_make_none_twice(workplace: Path) -> None:
    written = (workplace / "written").read_text().splitlines()
    assert len(written) == len(set(written)) == 6
    folder = workplace / "results/quick"
    assert {path.name for path in (folder / "runs").iterdir()} == set(written)
    assert list(leftovers(folder)) == []


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
def test_a_shard_that_is_none_is_a_usage_error(workplace: Path, shard: str) -> None:
    done = run_clrbench("compare", "quick.yaml", f"--shard={shard}", folder=workplace)
    assert done.returncode == 2
    assert "allowed: K/N, K from 1 to N" in done.stderr


def test_a_shard_comes_to_no_verdict_that_a_condition_could_be_put_to(workplace: Path) -> None:
    done = run_clrbench("compare", "quick.yaml", "--shard", "1/2", "--fail-if", "worse", folder=workplace)
    assert done.returncode == 2
    assert "leave one of them out" in done.stderr


def test_another_spec_of_the_same_name_is_said_and_keeps_what_both_ask_for(workplace: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"], seeds=2, duration="20 epochs")
    out = workplace / "results"
    done = run_clrbench("compare", spec, "--out", out, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "was last made from another spec" in done.stderr
    assert len((workplace / "written").read_text().splitlines()) == 6
    assert len(list((out / "quick/runs").iterdir())) == 6
    assert "2 pairs" in done.stdout
