"""The command line on networks of the user's own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import Clrbench, answer

EXAMPLES = Path(__file__).parents[2] / "examples"

NET = """
from torch import nn
def build(image_shape, num_classes, width=8, softmax=False):
    h, w, c = image_shape
    layers = [nn.Flatten(), nn.Linear(h * w * c, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Linear(width, num_classes), *([nn.Softmax(1)] if softmax else []))
"""
SPEC: dict[str, Any] = {
    "name": "own",
    "data": {"dataset": "mnist", "validation": "200 rows", "train_rows": 500, "test_rows": 200},
    "model": {"function": "./net.py:build", "width": 8},
    "optimizer": {"name": "sgd", "momentum": 0.9},
    "batch_size": 50,
    "duration": "2 epochs",
    "seeds": 2,
    "arms": {
        "constant": {"schedule": {"name": "constant", "lr": 0.05}},
        "clr": {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 1}},
    },
}


def write(folder: Path, **changes: Any) -> Path:
    """Write the network and a spec that names it."""
    (folder / "net.py").write_text(NET, encoding="utf-8")
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({**SPEC, **changes}, sort_keys=False), encoding="utf-8")
    return path


def run_files(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("run.json"))]


def test_an_experiment_from_start_to_end(clrbench: Clrbench, tmp_path: Path) -> None:
    path = write(tmp_path, model={"function": "./net.py:build", "width": 8, "softmax": True})
    planned = clrbench("compare", path, "--dry-run")
    assert "how long it takes is not known before a first run of net.py:build" in planned.stdout
    assert answer(clrbench("compare", path, "--dry-run", "--json"))["minutes"] is None
    done = clrbench("compare", path, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("own: net.py:build on mnist")
    assert done.stderr.count("Warning: net.py:build: its outputs look like a softmax's") == 1
    details = clrbench("report", "results/own", "--details").stdout
    assert "net.py:build: its outputs look like a softmax's" in details
    assert "Seeds vary only initial weights, batch order and what the network draws while it trains" in " ".join(
        details.split()
    )
    runs = run_files(tmp_path / "results")
    networks = {(run["spec"]["arm"], run["spec"]["seed"]): run["provenance"]["network"] for run in runs}
    for seed in (0, 1):
        assert networks["constant", seed] == networks["clr", seed]
    assert networks["clr", 0]["initial_weights"] != networks["clr", 1]["initial_weights"]
    assert networks["clr", 0]["num_parameters"] == 784 * 8 + 8 + 16 + 80 + 10
    assert "net.py:build" in (tmp_path / "results/own/report.html").read_text()


@pytest.mark.acceptance
def test_a_second_command_trains_nothing_and_others_read_the_results(clrbench: Clrbench, tmp_path: Path) -> None:
    path = write(tmp_path)
    assert clrbench("compare", path, "--workers", 1).returncode == 0
    before = (tmp_path / "results/own/metrics.csv").read_bytes()
    known = clrbench("compare", path, "--dry-run")
    assert "going by the finished runs" in known.stdout
    (tmp_path / "net.py").write_text(f"{NET}\n", encoding="utf-8")
    assert clrbench("compare", path, "--dry-run").returncode == 0
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    again = clrbench("compare", path)
    assert (again.returncode, "runs:" in again.stderr) == (0, False)
    assert (tmp_path / "results/own/metrics.csv").read_bytes() == before
    verified = clrbench("verify", "results/own")
    assert verified.returncode == 0
    assert "1 bit-equal" in verified.stdout
    exported = clrbench("export", "results/own", "--arm", "clr", "--to", "torch")
    assert exported.returncode == 0
    assert "NUM_STEPS" in exported.stdout
    number = len(run_files(tmp_path / "results"))
    (tmp_path / "net.py").write_text(f"{NET}# changed\n", encoding="utf-8")
    assert clrbench("compare", path, "--workers", 1).returncode == 0
    assert len(run_files(tmp_path / "results")) == 2 * number


def test_what_never_runs_it(clrbench: Clrbench, tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "net.py").write_text(f"import torch\nopen('ran', 'w').close()\n{NET}", encoding="utf-8")
    for arguments in (("validate", path), ("compare", path, "--dry-run"), ("schedule", path), ("parity", path)):
        clrbench(*arguments)
    assert not (tmp_path / "ran").exists()
    refused = clrbench("parity", path)
    assert refused.returncode == 2
    assert "net.py:build is a network of your own, which exists in one framework only" in refused.stderr
    assert re.search(r"own\.yaml:\d+: model: net\.py:build", refused.stderr)


HEAD = "import torch\nfrom torch import nn\n"
BAD = [
    ("def other(s, n): pass", 2, r"own\.yaml:\d+: model: .*got no such function in net.py; allowed: other"),
    ("def build(s, n, width): return None", 1, "net.py:build: returned a NoneType; allowed: a torch.nn.Module"),
    ("def build(s, n): return nn.Linear(1, 1)", 1, "unexpected keyword argument 'width'"),
    ("raise ValueError('at the top')\ndef build(s, n, width): pass", 1, "importing it raised ValueError: at the top"),
    ("def build(s, n, width): return nn.Sequential(nn.Flatten(), nn.Linear(784, 9))", 1, "have the shape"),
]


@pytest.mark.parametrize(
    ("text", "code", "words"), [BAD[0], *(pytest.param(*case, marks=pytest.mark.acceptance) for case in BAD[1:])]
)
def test_what_cannot_be_used_is_one_clear_error(
    clrbench: Clrbench, tmp_path: Path, text: str, code: int, words: str
) -> None:
    path = write(tmp_path)
    (tmp_path / "net.py").write_text(f"{HEAD}{text}\n", encoding="utf-8")
    done = clrbench("compare", path, "--workers", 1)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert re.search(words, done.stderr), done.stderr
    assert not run_files(tmp_path)


@pytest.mark.acceptance
def test_the_built_in_mlp_takes_a_table(clrbench: Clrbench, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype("float32")
    y = (x[:, :3].sum(1) > 0).astype(int)
    np.savez(tmp_path / "table.npz", x_train=x, y_train=y)
    path = write(
        tmp_path,
        data={"dataset": "table.npz", "test": "25 %"},
        model={"name": "mlp", "hidden": [16]},
        backends=["torch"],
        duration="8 epochs",
        batch_size=20,
    )
    said = clrbench("validate", path).stdout
    assert "rows of 6 numbers, float32, taken as they are" in said
    done = clrbench("compare", path, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(tmp_path / "results/own/summary.csv")["test_accuracy_mean"].min() > 0.85


@pytest.mark.acceptance
@pytest.mark.parametrize("name", ["torch-network", "keras-network"])
def test_the_example_runs(clrbench: Clrbench, tmp_path: Path, name: str) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    readme = (tmp_path / name / "README.md").read_text(encoding="utf-8")
    assert f"clrbench compare examples/{name}/spec.yaml" in readme
    assert len(readme.splitlines()) <= 12
    spec = tmp_path / name / "spec.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("seeds: 6", "seeds: 2"), encoding="utf-8")
    done = clrbench("compare", f"{name}/spec.yaml", "--workers", 1)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "results" / name / "summary.csv")
    assert list(summary["diverged"]) == [0, 0]
    assert summary["test_accuracy_mean"].min() > 0.7


@pytest.mark.acceptance
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_rates_are_found_and_tuned_for_it(clrbench: Clrbench, tmp_path: Path, framework: str) -> None:
    arms = {
        "constant": {"schedule": {"name": "constant", "lr": [0.01, 0.1]}},
        "found": {"schedule": {"name": "constant", "lr": "range_test"}},
        "clr": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 1}},
    }
    path = write(tmp_path, arms=arms, range_test={"duration": "4 epochs", "seeds": 2})
    if framework == "keras":
        (tmp_path / "net.py").write_text(
            "import keras\ndef build(image_shape, num_classes, width):\n    return keras.Sequential([keras.layers.Flatten(), "
            "keras.layers.Dense(width, 'relu'), keras.layers.Dropout(0.1), keras.layers.Dense(num_classes)])\n",
            encoding="utf-8",
        )
    done = clrbench("compare", path, "--json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/own/search.csv").exists()
    bounds = json.loads((tmp_path / "results/own/range-test/bounds.json").read_text())
    assert bounds[framework]["max_lr"] > bounds[framework]["base_lr"] or bounds[framework]["max_lr"] > 0
    assert clrbench("verify", "results/own", "--all").returncode == 0


@pytest.mark.acceptance
def test_a_killed_experiment_comes_out_the_same(clrbench: Clrbench, tmp_path: Path) -> None:
    for place in ("whole", "killed"):
        (tmp_path / place).mkdir()
        write(tmp_path / place, duration="40 epochs")
    assert clrbench("compare", "whole/own.yaml", "--out", "whole/results", "--workers", 1).returncode == 0
    command = [
        sys.executable,
        "-m",
        "clrbench",
        "compare",
        "killed/own.yaml",
        "--out",
        "killed/results",
        "--workers",
        "1",
    ]
    for seconds in (8, 10):
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    assert clrbench("compare", "killed/own.yaml", "--out", "killed/results", "--workers", 1).returncode == 0
    for name in ("metrics.csv", "summary.csv", "comparison.csv"):
        assert (tmp_path / "whole/results/own" / name).read_bytes() == (
            tmp_path / "killed/results/own" / name
        ).read_bytes()
