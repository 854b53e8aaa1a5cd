"""Data through the real command line: fetched from a server on this machine, and a user's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import Clrbench, answer, write_spec
from mirror import Mirror, serving
from PIL import Image

from clrbench.data import NAMES


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    with serving() as found:
        sources = {other.file: {"url": list(other.urls), "sha256": other.sha256} for other in found.replacements()}
        (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"svhn": sources}))
        yield found


def environment(folder: Path) -> dict[str, str]:
    return {"CLRBENCH_SOURCES": str(folder / "sources.yaml"), "CLRBENCH_DATA": str(folder / "cache")}


def pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for row in range(150):
        name = ("dark", "light")[row % 2]
        path = folder / ("train" if row < 100 else "test") / name / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 150, (8, 6, 3), dtype=np.uint8) + np.uint8(100 * (row % 2))).save(path)


def test_list_names_every_data_set(clrbench: Clrbench, tmp_path: Path) -> None:
    done = clrbench("data", "list", "--data-dir", tmp_path / "cache")
    assert done.returncode == 0
    firsts = [line.split()[0] for line in done.stdout.splitlines() if line[:1].strip()]
    assert firsts == [*["name", *NAMES] * 2, "Folder"]
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "non-commercial use only" in done.stdout
    assert "not here; clrbench data fetch svhn" in done.stdout
    found = answer(clrbench("data", "list", "--json", CLRBENCH_DATA=str(tmp_path / "cache")))["datasets"]
    assert [entry["name"] for entry in found] == list(NAMES)
    assert found[2]["train_rows"] == 73_257
    assert found[2]["place"] == str(tmp_path / "cache" / "svhn")


@pytest.mark.acceptance
def test_fetch_verify_and_train_on_what_a_mirror_holds(clrbench: Clrbench, mirror: Mirror, tmp_path: Path) -> None:
    around = environment(tmp_path)
    spec = write_spec(tmp_path, data={"dataset": "svhn", "validation": "10 rows"}, batch_size=10, backends=["torch"])
    missing = clrbench("data", "verify", "svhn", **around)
    assert missing.returncode == 1
    assert "run clrbench data fetch svhn" in missing.stderr
    assert clrbench("validate", spec, **around).returncode == 0
    assert not mirror.requests  # only training needs the data
    assert clrbench("compare", spec, "--workers", 1, **around).returncode == 0
    assert mirror.requests == {"train.mat": 1, "test.mat": 1}
    assert clrbench("data", "verify", "svhn", **around).returncode == 0
    run = json.loads(next(tmp_path.glob("results/quick/runs/*/run.json")).read_text())
    assert run["provenance"]["rows"] == {"train": 50, "validation": 10, "test": 30}


@pytest.mark.acceptance
def test_spec_that_does_not_fit_what_was_fetched_is_located(clrbench: Clrbench, mirror: Mirror, tmp_path: Path) -> None:
    spec = write_spec(tmp_path, data={"dataset": "svhn"}, batch_size=100, backends=["torch"])
    assert clrbench("validate", spec, **environment(tmp_path)).returncode == 0
    done = clrbench("compare", spec, **environment(tmp_path))
    assert done.returncode == 2
    assert "batch_size: got 100; allowed: at most 54, the training rows" in done.stderr
    assert mirror.requests
    assert not (tmp_path / "results").exists()


@pytest.mark.acceptance
def test_data_that_cannot_be_had_is_a_failure_that_starts_nothing(clrbench: Clrbench, tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("svhn: {train: {url: 'http://127.0.0.1:9/x.mat'}}")
    for arguments in (["compare", write_spec(tmp_path, data={"dataset": "svhn"})], ["data", "fetch", "svhn"]):
        done = clrbench(*arguments, **environment(tmp_path))
        assert done.returncode == 1
        assert done.stderr.count("Error: svhn: train_32x32.mat is not in") == 1
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", ["fetch", "verify"])
def test_name_that_does_not_exist_is_a_usage_error(command: str, clrbench: Clrbench) -> None:
    done = clrbench("data", command, "svnh")
    assert done.returncode == 2
    assert "got 'svnh'; allowed: mnist, fashion_mnist, svhn" in done.stderr


def test_broken_sources_file_is_a_usage_error(clrbench: Clrbench, tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("svhn: {train: 3}")
    done = clrbench("data", "list", **environment(tmp_path))
    assert done.returncode == 2
    assert "sources.yaml:1: svhn.train: got 3; allowed: a mapping of keys to values" in done.stderr


@pytest.mark.acceptance
def test_folder_of_pictures_streamed_or_resident_gives_the_same_numbers(clrbench: Clrbench, tmp_path: Path) -> None:
    pictures(tmp_path / "pictures")
    tables = {}
    for pipeline in ("stream", "resident"):
        data = {"dataset": "pictures", "validation": "20 rows", "preprocessing": "standardise", "pipeline": pipeline}
        spec = write_spec(tmp_path, data=data, batch_size=20, seeds=1, backends=["torch"])
        done = clrbench("compare", spec, "--workers", 1, "--out", pipeline, "--data-dir", "cache")
        assert done.returncode == 0, done.stderr
        tables[pipeline] = pd.read_csv(tmp_path / pipeline / "quick/metrics.csv")
        run = json.loads(next(tmp_path.glob(f"{pipeline}/quick/runs/*/run.json")).read_text())
        standardisation = run["provenance"]["standardisation"]
        assert [len(standardisation[key]) for key in ("mean", "deviation")] == [3, 3]
    pd.testing.assert_frame_equal(tables["stream"], tables["resident"], check_exact=True)
    assert tables["stream"]["test_accuracy"].iloc[-1] > 0.9


@pytest.mark.acceptance
def test_function_of_the_users_own_is_called(clrbench: Clrbench, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def digits():\n"
        "    rng = np.random.default_rng(0)\n"
        "    y = np.arange(200) % 2\n"
        "    x = rng.normal(y[:, None, None], 0.3, (200, 4, 4)).astype(np.float32)\n"
        "    return (x[:150], y[:150]), (x[150:], y[150:])\n"
    )
    spec = write_spec(tmp_path, data={"dataset": "./mine.py:digits"}, batch_size=20, seeds=1, backends=["torch"])
    done = clrbench("compare", spec, "--workers", 1)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "results/quick/summary.csv")
    assert (summary["test_accuracy_mean"] > 0.9).all()


@pytest.mark.acceptance
def test_function_that_gives_other_arrays_at_every_call_is_refused(clrbench: Clrbench, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def digits():\n"
        "    x, y = np.random.default_rng().random((60, 4, 4), np.float32), np.arange(60) % 2\n"
        "    return (x, y), (x, y)\n"
    )
    spec = write_spec(tmp_path, data={"dataset": "./mine.py:digits"}, batch_size=20, seeds=1, backends=["torch"])
    done = clrbench("compare", spec, "--workers", 1)
    assert done.returncode == 1
    assert "its function gives other arrays at every call" in done.stderr
