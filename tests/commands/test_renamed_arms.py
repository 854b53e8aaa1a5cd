"""`clrbench compare` on a spec whose arms were given other names: all of an experiment serves on, nothing is trained."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import QUICK
from fakes import HASTY, command
from kills import leftovers, tables

ARMS: dict[str, Any] = {
    "constant": {"schedule": {"name": "constant", "lr": [0.05, 0.02, 0.1]}, "tune": {"seeds": 1}},
    "clr": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 2}, "duration": "3 epochs"},
    "same": {"schedule": {"name": "constant", "lr": 0.02}},
}
NEW_NAMES = {"constant": "fixed", "clr": "cyclical", "same": "constant"}


def renamed(arms: dict[str, Any]) -> dict[str, Any]:
    return {NEW_NAMES[name]: arm for name, arm in arms.items()}


def compare(folder: Path, arms: dict[str, Any], *, setup: str = "", seeds: int = 2) -> tuple[list[str], str]:
    """Run the command; return the runs that it trained, and what it said."""
    path, made = folder / "quick.yaml", folder / "made"
    content = {**QUICK, "backends": ["torch"], "seeds": seeds, "baseline": next(iter(arms)), "arms": arms}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    made.unlink(missing_ok=True)
    program = command(f"open_executor=counting({str(made)!r}){setup}")
    done = subprocess.run(
        [*program, "compare", str(path), "--workers", "1"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return made.read_text().splitlines() if made.exists() else [], done.stdout


@pytest.mark.acceptance
def test_renamed_arms_their_searches_and_their_range_tests_are_not_made_again(tmp_path: Path) -> None:
    trained, said = compare(tmp_path, ARMS)
    assert len([run for run in trained if "range-test" in run]) == 2
    assert len(trained) == len(set(trained))
    root = tmp_path / "results/quick"
    before = tables(root)
    assert (root / "range-test/clr/bounds.json").is_file()
    retrained, said_again = compare(tmp_path, renamed(ARMS))
    assert retrained == []
    after = tables(root)

    def with_new_names(table: str) -> list[list[str]]:
        cells = [line.split(",") for line in table.splitlines()]
        return [
            [NEW_NAMES.get(name, name) + at + rate for name, at, rate in (cell.partition("@") for cell in row)]
            for row in cells
        ]

    for name in (
        "metrics.csv",
        "summary.csv",
        "comparison.csv",
        "differences.csv",
        "search.csv",
        "chosen.csv",
        "costs.csv",
    ):
        assert with_new_names(before[name].decode()) == [row.split(",") for row in after[name].decode().splitlines()]
    assert after["range-test/cyclical/bounds.json"] == before["range-test/clr/bounds.json"]
    answers = [text.partition("Use it")[0].split() for text in (said, said_again)]
    assert len(answers[0]) == len(answers[1])
    assert compare(tmp_path, ARMS)[0] == []
    assert tables(root)["metrics.csv"] == before["metrics.csv"]
    assert list(leftovers(root)) == []


@pytest.mark.acceptance
def test_an_arm_that_is_renamed_while_a_run_of_it_was_interrupted_continues(tmp_path: Path) -> None:
    arms = {"a": {"schedule": {"name": "constant", "lr": 0.05}, "duration": "60 epochs"}}
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    for folder in (stopped, whole):
        folder.mkdir()
    (stopped / "quick.yaml").write_text(
        yaml.safe_dump({**QUICK, "backends": ["torch"], "seeds": 1, "arms": arms}, sort_keys=False)
    )
    process = subprocess.Popen(
        [*command(HASTY), "compare", "quick.yaml"], cwd=stopped, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoints = stopped / "results/quick/.checkpoints"
    while process.poll() is None and not list(checkpoints.glob("*.json")):
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert list(checkpoints.glob("torch-a-*.json"))
    renamed_arms = {"b": arms["a"]}
    assert len(compare(stopped, renamed_arms, seeds=1)[0]) == 1
    compare(whole, renamed_arms, seeds=1)
    assert tables(stopped / "results/quick") == tables(whole / "results/quick")
    (hits, expected) = (next(folder.glob("results/quick/runs/torch-b-*/test_hits.npy")) for folder in (stopped, whole))
    assert hits.read_bytes() == expected.read_bytes()
    assert list(leftovers(stopped / "results/quick")) == []
