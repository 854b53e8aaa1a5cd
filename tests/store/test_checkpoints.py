"""A checkpoint reads back bit for bit, or is named and the one before it serves."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_samples import BELONGS_TO, check_same_checkpoint, empty, sample_checkpoint, seal, truncate, write_sample

from clrbench.store import Checkpoints, ResultsFolder


def checkpoints_of(root: Path, run_id: str = "run", **changes: Any) -> Checkpoints:
    return ResultsFolder(root).checkpoints(run_id, {**BELONGS_TO, **changes})


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".checkpoints").iterdir())


def test_a_checkpoint_reads_back_bit_for_bit_and_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = checkpoints_of(tmp_path)
    assert checkpoints.read() == (None, [])
    for updates_done in (1, 5, 12):
        checkpoints.write(sample_checkpoint(updates_done))
    found, problems = checkpoints.read()
    check_same_checkpoint(found, sample_checkpoint(12))
    assert problems == []
    assert [path.name for path in checkpoints.paths()] == ["run.000000012.json", "run.000000005.json"]


def test_the_checkpoints_of_other_runs_stay_when_those_of_one_are_removed(tmp_path: Path) -> None:
    others = ("run-2", "my-run", "run-")
    for run_id in ("run", *others):
        checkpoints_of(tmp_path, run_id).write(sample_checkpoint(3))
    # What a process that died while it wrote has left: an array without its JSON file, and temporary files.
    for left in ("run.000000005.npz", ".run.000000007.npz.0123.part", ".my-run.000000007.npz.0123.part"):
        (tmp_path / ".checkpoints" / left).write_bytes(b"left")
    checkpoints_of(tmp_path).remove()
    kept = [f"{run_id}.000000003.{suffix}" for run_id in others for suffix in ("json", "npz")]
    assert names(tmp_path) == sorted([*kept, ".my-run.000000007.npz.0123.part"])


def test_a_run_has_a_checkpoint_until_it_is_removed(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert not folder.has_checkpoint("run")
    checkpoints_of(tmp_path).write(sample_checkpoint(3))
    assert folder.has_checkpoint("run")
    assert folder.needs_cleanup("run")
    assert not folder.has_checkpoint("run-2")
    checkpoints_of(tmp_path).remove()
    assert not folder.has_checkpoint("run")
    assert not folder.needs_cleanup("run")


@pytest.mark.parametrize("name", ["run.000000005.json", "run.000000005.npz"])
@pytest.mark.parametrize("damage", [truncate, Path.unlink, empty])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_serves(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    checkpoints = checkpoints_of(tmp_path)
    for updates_done in (1, 5):
        checkpoints.write(sample_checkpoint(updates_done))
    damage(tmp_path / ".checkpoints" / name)
    found, problems = checkpoints.read()
    check_same_checkpoint(found, sample_checkpoint(1))
    # Without its JSON file a checkpoint never was one.
    assert len(problems) == (0 if damage is Path.unlink and name.endswith("json") else 1)
    assert all(name in problem for problem in problems)


def test_the_arrays_of_another_checkpoint_are_named(tmp_path: Path) -> None:
    checkpoints = checkpoints_of(tmp_path)
    for updates_done in (1, 5):
        checkpoints.write(sample_checkpoint(updates_done))
    folder = tmp_path / ".checkpoints"
    shutil.copyfile(folder / "run.000000001.npz", folder / "run.000000005.npz")
    found, (problem,) = checkpoints.read()
    check_same_checkpoint(found, sample_checkpoint(1))
    assert "run.000000005.npz: is not what was written, by its checksum" in problem


@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_json_file_that_is_none_of_a_checkpoint_is_named(tmp_path: Path, is_sealed: bool) -> None:
    checkpoints = checkpoints_of(tmp_path)
    checkpoints.write(sample_checkpoint(5))
    (tmp_path / ".checkpoints/run.000000005.json").write_text(seal({"runs": {}}) if is_sealed else "{}")
    found, (problem,) = checkpoints.read()
    assert found is None
    assert "run.000000005.json: " in problem


def test_a_run_file_in_the_place_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_sample(folder)
    checkpoints = checkpoints_of(tmp_path)
    checkpoints.write(sample_checkpoint(5))
    (stored,) = (tmp_path / "runs").glob("*/run.json")
    shutil.copyfile(stored, tmp_path / ".checkpoints/run.000000005.json")
    found, (problem,) = checkpoints.read()
    assert found is None
    assert "run.000000005.json: was made with other versions" in problem


@pytest.mark.parametrize("name", ["run.000000005.json", "run.000000005.npz"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    checkpoints = checkpoints_of(tmp_path)
    checkpoints.write(sample_checkpoint(5))
    (tmp_path / ".checkpoints" / name).unlink()
    os.mkfifo(tmp_path / ".checkpoints" / name)
    found, (problem,) = checkpoints.read()
    assert found is None
    assert f"{name}: cannot be read (it is not a regular file)" in problem


@pytest.mark.parametrize("change", [{"identity": "abd"}, {"versions": {"torch": "2"}}, {"evaluation_steps": [2]}])
def test_a_checkpoint_of_another_run_or_version_does_not_serve(tmp_path: Path, change: dict[str, Any]) -> None:
    checkpoints_of(tmp_path).write(sample_checkpoint(5))
    found, problems = checkpoints_of(tmp_path, **change).read()
    assert found is None
    assert len(problems) == 1


def test_a_checkpoint_that_does_not_serve_is_removed(tmp_path: Path) -> None:
    checkpoints_of(tmp_path).write(sample_checkpoint(5))
    checkpoints_of(tmp_path, identity="abd").read()
    assert names(tmp_path) == []


def test_a_checkpoint_with_pickled_objects_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        checkpoints_of(tmp_path).write(replace(sample_checkpoint(5), state={"a": np.array([object()])}))
