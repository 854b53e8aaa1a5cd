"""A project that is moved: what moves together is found again, trains nothing, and shows nobody's folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import QUICK, run_clrbench
from kills import tables

from clrbench.commands.opening import open_spec
from clrbench.data import Library
from clrbench.errors import SpecError
from clrbench.spec import load_spec, to_yaml, without_paths
from clrbench.store import ResultsFolder, spec_folder

FUNCTION = "import numpy\nfrom helper import name\ndef load():\n    return dict(numpy.load(name))\n"


def project(folder: Path, dataset: str = "./data/load.py:load", **changes: object) -> Path:
    """Write a spec, and a function in another folder that reads a file beside the spec; return the path of the spec."""
    (folder / "data").mkdir(parents=True)
    (folder / "data/load.py").write_text(FUNCTION)
    (folder / "data/helper.py").write_text("name = 'own.npz'\n")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 4, 4), dtype=np.uint8), np.arange(60) % 3
    np.savez(folder / "own.npz", x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    content = {**QUICK, "data": {"dataset": dataset}, "backends": ["torch"], "seeds": 1, "batch_size": 10, **changes}
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def begun(path: Path, out: Path | None = None) -> ResultsFolder:
    """Return the results folder of a spec as `compare` begins it, beside the spec unless named."""
    library = Library(path.parent / "cache")
    experiment = open_spec(path, out or path.parent / "results", library)
    folder = ResultsFolder(experiment.root)
    folder.create()
    known_by = to_yaml(without_paths(experiment.spec))
    folder.begin(to_yaml(experiment.spec), [], without_paths=known_by, beside=experiment.library.base)
    return folder


@pytest.mark.parametrize("dataset", ["./data/load.py:load", "own.npz", "./own.npz", "../home/own.npz"])
def test_a_spec_keeps_its_data_as_it_says_it(dataset: str, tmp_path: Path) -> None:
    folder = begun(project(tmp_path / "home", dataset))
    assert folder.read_spec().data.dataset == dataset
    assert str(tmp_path) not in (folder.root / "spec.yaml").read_text() + (folder.root / "experiment.json").read_text()
    assert folder.index().spec_folder == "../.."


def test_the_folder_of_a_resolved_spec_is_that_of_the_spec_it_was_made_from(tmp_path: Path) -> None:
    path = project(tmp_path / "old")
    resolved = begun(path).root / "spec.yaml"
    assert spec_folder(path) == path.parent
    assert spec_folder(resolved) == path.parent
    (tmp_path / "old").rename(tmp_path / "new")
    moved = tmp_path / "new/results/quick/spec.yaml"
    assert spec_folder(moved) == tmp_path / "new"
    library = Library(tmp_path / "cache")
    assert open_spec(moved, tmp_path / "out", library).sizes.train_rows == 40
    assert ResultsFolder(moved.parent).spec_folder == tmp_path / "new"
    for damaged in (b"", b"[]", b'{"spec_folder": 3}'):
        (moved.parent / "experiment.json").write_bytes(damaged)
        assert spec_folder(moved) == moved.parent


def test_what_is_moved_apart_is_found_once_the_experiment_is_begun_again(tmp_path: Path) -> None:
    path, out = project(tmp_path / "home/alice/thesis", "own.npz"), tmp_path / "mnt/big/results"
    folder = begun(path, out)
    assert folder.index().spec_folder == "../../../../home/alice/thesis"
    (tmp_path / "home/bob").mkdir()
    path.parent.rename(tmp_path / "home/bob/thesis")
    assert folder.spec_folder == path.parent  # which is not there any more
    with pytest.raises(SpecError, match="no such file or folder exists"):
        open_spec(folder.root / "spec.yaml", out, Library(tmp_path / "cache"))
    moved = tmp_path / "home/bob/thesis/quick.yaml"
    spec = load_spec(moved).spec
    again = begun(moved, out)
    assert again.spec_folder == moved.parent
    assert not again.is_of_another(to_yaml(without_paths(open_spec(moved, out, Library(None)).spec)))
    assert spec.data.dataset == "own.npz"
    out.rename(tmp_path / "results")
    alone = ResultsFolder(tmp_path / "results/quick")
    assert alone.spec_folder != moved.parent
    assert alone.read_spec().data.dataset == spec.data.dataset


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("/home/a/own.npz", "/home/b/own.npz", True),
        ("/home/a/own.npz", "./own.npz", True),
        ("./photos/", "/data/photos", True),
        ("./a/load.py:load", "/x/load.py:load", True),
        ("./own.npz", "./other.npz", False),
        ("./load.py:small", "./load.py:large", False),
        ("mnist", "./mnist", True),
    ],
)
def test_specs_are_compared_without_the_folders_of_their_data(
    before: str, after: str, is_same: bool, tmp_path: Path
) -> None:
    texts = []
    for dataset in (before, after):
        path = tmp_path / "s.yaml"
        path.write_text(yaml.safe_dump({**QUICK, "data": {"dataset": dataset}}))
        texts.append(to_yaml(without_paths(load_spec(path).spec)))
    assert (texts[0] == texts[1]) == is_same


@pytest.mark.acceptance
def test_nothing_is_trained_twice_after_a_move_and_a_rename_of_an_arm(tmp_path: Path) -> None:
    path = project(tmp_path / "home/alice")
    options = ("--data-dir", tmp_path / "cache")
    done = run_clrbench("compare", path.name, *options, folder=path.parent)
    assert done.returncode == 0, done.stderr
    before = tables(path.parent / "results/quick")
    moved = tmp_path / "home/bob"
    shutil.copytree(path.parent, moved)
    shutil.rmtree(path.parent)
    again = run_clrbench("compare", "bob/quick.yaml", "--out", "bob/results", *options, folder=moved.parent)
    assert again.returncode == 0, again.stderr
    assert "another spec" not in again.stderr
    assert "runs:" not in again.stderr
    assert tables(moved / "results/quick") == before
    verified = run_clrbench("verify", "bob/results/quick", *options, folder=moved.parent)
    assert "bit-equal" in verified.stdout, verified.stderr
    for file in (moved / "results").rglob("*"):
        assert not file.is_file() or b"alice" not in file.read_bytes(), file
    (moved / "own.npz").rename(tmp_path / "own.npz")
    assert run_clrbench("verify", "bob/results/quick", *options, folder=moved.parent).returncode == 1
    placed = ("--data", tmp_path / "own.npz")
    assert run_clrbench("verify", "bob/results/quick", *placed, *options, folder=moved.parent).returncode == 0
    (tmp_path / "own.npz").rename(moved / "own.npz")
    spec = (moved / "quick.yaml").read_text().replace("clr:", "cyclical:")
    (moved / "quick.yaml").write_text(spec)
    renamed = run_clrbench("compare", "quick.yaml", *options, folder=moved)
    assert renamed.returncode == 0, renamed.stderr
    assert "runs:" not in renamed.stderr
