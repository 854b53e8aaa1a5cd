"""The example of today's optimizers: a short training of every arm, each at the first of its rates."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from command_line import run_clrbench

EXAMPLE = Path(__file__).parents[1] / "examples" / "modern-baselines"


@pytest.mark.acceptance
def test_every_arm_trains_in_pairs_and_learns(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "train.py", tmp_path)
    content = yaml.safe_load((EXAMPLE / "spec.yaml").read_text())
    for arm in content["arms"].values():
        schedule = arm["schedule"]
        schedule |= {key: rates[0] for key, rates in schedule.items() if isinstance(rates, list)}
        if schedule.get("bounds") == "range_test":
            schedule["bounds"] = {"base_lr": 0.001, "max_lr": 0.01, "steps": 5100}
    del content["range_test"]
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump({**content, "duration": "3 epochs", "seeds": 1}))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = run_clrbench("compare", "spec.yaml", folder=tmp_path, PATH=path)
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results" / "modern-baselines"
    metrics = pd.read_csv(results / "metrics.csv")
    ends = metrics.groupby("arm")["test_accuracy"].last()
    assert set(ends.index) == set(content["arms"])
    assert (ends > 0.8).all()
    assert (metrics["status"] == "finished").all()
    # Initial weights and batches are the same whatever optimizer an arm has.
    assert (pd.read_csv(results / "starts.csv")["pairing"] == "seen").all()


def test_arms_are_tuned_by_as_many_trainings_each() -> None:
    arms = yaml.safe_load((EXAMPLE / "spec.yaml").read_text())["arms"]
    rates = {name: arm["schedule"].get("lr", arm["schedule"].get("max_lr")) for name, arm in arms.items()}
    assert {len(found) for name, found in rates.items() if name != "clr"} == {3}
    assert arms["clr"]["schedule"]["bounds"] == "range_test"
    assert len((EXAMPLE / "README.md").read_text().splitlines()) <= 10
