"""The examples of scripts as arms: each is run as its README says, with fewer seeds, and few of its lines were changed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from command_line import run_clrbench

from clrbench.spec import load_spec

EXAMPLES = Path(__file__).parents[1] / "examples"
MAX_CHANGED_LINES = 6
SLOW = ("shell", "keras", "lightning", "sklearn", "transformers")
PAIRED = {"shell": True, "torch": True, "keras": True, "lightning": True, "transformers": True, "sklearn": False}
NETWORKS = ("keras-network", "torch-network")
"""These hold a network, not a script; see `tests/commands/test_own_network.py`."""
WITH_RESULTS = ("modern-baselines",)
"""See `tests/test_modern_baselines.py`."""


@pytest.mark.parametrize(
    ("name", "seeds"),
    [("torch", 1), *(pytest.param(name, 2, marks=pytest.mark.acceptance) for name in SLOW)],
)
def test_an_example_trains_and_comes_to_an_answer(name: str, seeds: int, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    spec = folder / "spec.yaml"
    spec.write_text(re.sub(r"(?m)^seeds: \d+$", f"seeds: {seeds}", spec.read_text()))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = run_clrbench("compare", "spec.yaml", folder=folder, PATH=path)
    assert done.returncode == 0, done.stderr
    results = folder / "results" / f"example-{name}"
    metrics = pd.read_csv(results / "metrics.csv")
    metric = load_spec(spec).spec.verdict.metric
    assert metrics.groupby(["arm", "seed"])[metric].last().notna().all()
    assert (metrics["status"] == "finished").all()
    assert (pd.read_csv(results / "starts.csv")["pairing"] == "seen").all() == PAIRED[name]
    assert not pd.read_csv(results / "starts.csv")["same_for_all_seeds"].any()


@pytest.mark.parametrize("name", sorted(PAIRED))
def test_an_example_changes_few_lines_of_its_script_and_says_so_in_ten(name: str) -> None:
    script = next((EXAMPLES / name).glob("train.*"))
    changed = [line for line in script.read_text().splitlines() if line.endswith("# clrbench")]
    used = [
        line
        for line in script.read_text().splitlines()
        if re.search(r"\brun\.(?!evaluate_at|num_steps:)|clrbench\.", line)
    ]
    assert len(changed) <= MAX_CHANGED_LINES
    assert set(used) <= set(changed)
    assert len((EXAMPLES / name / "README.md").read_text().splitlines()) <= 10


def test_every_example_is_listed_and_every_spec_is_sound() -> None:
    listed = re.findall(r"^\| \[`([\w-]+)`\]", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    there = sorted(path.parent.name for path in EXAMPLES.glob("*/spec.yaml"))
    assert sorted(listed) == there == sorted([*PAIRED, *NETWORKS, *WITH_RESULTS])
    for name in listed:
        assert load_spec(EXAMPLES / name / "spec.yaml").spec.name == (f"example-{name}" if name in PAIRED else name)
