"""`clrbench.load` and `clrbench.compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runs_in_memory import make_spec
from runs_on_disk import write_run
from specs import write_spec

import clrbench
from clrbench.errors import ResultsError, SpecError
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
        ({"device": "tpu"}, "device: got 'tpu'; allowed: auto, cpu, cuda, mps"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said):
        clrbench.compare(tmp_path / "spec.yaml", out=tmp_path, **options)


@pytest.mark.acceptance
def test_comparing_trains_and_returns_what_it_came_to(tmp_path: Path) -> None:
    data = {"dataset": "mnist", "validation": "500 rows", "train_rows": 1000, "test_rows": 500}
    path = write_spec(tmp_path, data=data, duration="2 epochs", seeds=2, backends=["torch"], batch_size=50)
    found = clrbench.compare(path, out=tmp_path / "results", workers=1)
    assert found.folder == tmp_path / "results" / "test"
    assert len(found.tables["summary"]) == 2
    assert "differences" in list(found.figures)
    assert clrbench.load(found.folder).tables["summary"].equals(found.tables["summary"])
