"""`clrbench.load` and `clrbench.compare`."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeExecutor
from runs_in_memory import make_spec
from runs_on_disk import write_run
from specs import write_spec

import clrbench
from clrbench.api import experiment
from clrbench.commands import setup
from clrbench.commands.setup import Job
from clrbench.errors import ResultsError, SpecError
from clrbench.execution import runner
from clrbench.execution.executor import Resources
from clrbench.spec import to_yaml
from clrbench.store import ResultsFolder


def written(root: Path) -> Path:
    folder = ResultsFolder(root / "test")
    ends = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]
    for seed, accuracy in enumerate(ends):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.6, 0.4, accuracy])
    folder.begin(to_yaml(make_spec(seeds=len(ends), backends=["torch"])), [])
    return folder.root


def test_loading_gives_answer_tables_and_figures(tmp_path: Path) -> None:
    found = clrbench.load(written(tmp_path))
    assert "torch: clr beats constant" in repr(found)
    assert found.verdicts["verdict"].tolist() == ["better"]
    assert {"metrics", "summary", "comparison", "differences", "timing"} <= set(found.tables)
    assert len(found.figures["differences"].axes) == 2
    with pytest.raises(KeyError):
        _ = found.figures["none"]
    assert found._repr_html_().startswith("<pre>test: mlp on mnist")
    assert not (found.folder / "comparison.csv").exists()


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"there is no spec\.yaml"):
        clrbench.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "workers: got 0; allowed: a whole number of at least 1"),
        ({"threads": -1}, "threads: got -1; allowed: a whole number of at least 1"),
        ({"workers": "2"}, "workers: got '2'; allowed: a whole number of at least 1"),
        ({"workers": True}, "workers: got True; allowed: a whole number of at least 1"),
        ({"workers": 2.5}, "workers: got 2.5; allowed"),
        ({"threads": 0}, "threads: got 0; allowed"),
        ({"threads": [1]}, r"threads: got \[1\]; allowed"),
        ({"device": "tpu"}, "device: got 'tpu'; allowed: auto, cpu, cuda, mps"),
        ({"device": None}, "device: got None; allowed: auto, cpu, cuda, mps"),
        ({"executor": ["ray"]}, r"executor: got \['ray'\]; allowed: local, ray"),
        ({"executor": "ray", "ray_address": 6379}, "^ray_address: got 6379; allowed: HOST:PORT"),
        ({"executor": "dask"}, "executor: got 'dask'; allowed: local, ray"),
        ({"ray_address": "auto"}, "ray_address names a Ray cluster, but executor is 'local'; add executor='ray'"),
        ({"executor": "ray", "ray_address": "10.0.0.1"}, "^ray_address: got '10.0.0.1'; allowed: HOST:PORT"),
        ({"executor": "ray", "ray_address": "ray://h:1"}, "run clrbench on a node of the cluster"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said):
        clrbench.compare(tmp_path / "spec.yaml", out=tmp_path, **options)


@pytest.fixture
def noted_jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Have jobs noted in place of done."""
    jobs: list[Job] = []

    def note(job: Job) -> None:
        jobs.append(job)
        raise ResultsError("noted")

    monkeypatch.setattr(experiment, "compare_command", note)
    return jobs


def test_the_environment_says_where_data_lies_and_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted_jobs: list[Job]
) -> None:
    sources = tmp_path / "sources.yaml"
    sources.write_text("svhn: {train: {url: https://mirror.example/train_32x32.mat}}")
    for place, named in ((tmp_path / "data", str(sources)), (None, None)):
        for name, value in (("CLRBENCH_DATA", place), ("CLRBENCH_SOURCES", named)):
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, str(value))
        with pytest.raises(ResultsError, match="noted"):
            clrbench.compare(tmp_path / "spec.yaml", out=tmp_path, workers=np.int64(2))  # type: ignore[arg-type]
    first, second = (job.library for job in noted_jobs)
    assert (first.folder, [other.urls for other in first.replacements]) == (
        tmp_path / "data",
        [("https://mirror.example/train_32x32.mat",)],
    )
    assert (second.data_dir, second.replacements) == (None, ())
    assert noted_jobs[0].options.workers == 2


@pytest.mark.usefixtures("undrawn")
def test_the_executor_that_is_named_makes_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = FakeExecutor(lambda lr: lr)
    asked: list[tuple[str, str | None]] = []

    def open_it(name: str, resources: Resources) -> Any:
        asked.append((name, resources.address))
        return made.open(resources)

    monkeypatch.setattr(setup, "open_executor", open_it)
    monkeypatch.setattr(runner, "check_installed", lambda _: None)
    spec = write_spec(tmp_path, backends=["torch"], seeds=2)
    found = clrbench.compare(spec, out=tmp_path, executor="ray", ray_address="head:6379")
    assert set(asked) == {("ray", "head:6379")}
    assert len(found.tables["metrics"]) > 0


@pytest.mark.acceptance
def test_comparing_trains_and_returns_what_it_came_to(tmp_path: Path) -> None:
    data = {"dataset": "mnist", "validation": "500 rows", "train_rows": 1000, "test_rows": 500}
    path = write_spec(tmp_path, data=data, duration="2 epochs", seeds=2, backends=["torch"], batch_size=50)
    found = clrbench.compare(path, out=tmp_path / "results", workers=1)
    assert found.folder == tmp_path / "results" / "test"
    assert len(found.tables["summary"]) == 2
    assert "differences" in list(found.figures)
    assert clrbench.load(found.folder).tables["summary"].equals(found.tables["summary"])


_ROOMS = ("execution", "data", "store", "backends/torch", "backends/keras")


@pytest.mark.parametrize("name", list(signature(clrbench.compare).parameters)[1:])
def test_no_message_calls_an_argument_by_an_option_of_the_command(name: str) -> None:
    package = Path(clrbench.__file__).parent
    paths = [path for room in _ROOMS for path in (package / room).rglob("*.py") if path.stem != "placement"]
    option = re.compile(rf"--{name.replace('_', '-')}\b(?!-).*\"")  # placement knows what only options can contradict
    assert [path.name for path in paths if option.search(path.read_text())] == []
