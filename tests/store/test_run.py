"""A run reads back as it was written, once, or is named as damaged."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from reads import counted_reads
from runs_on_disk import run_record, run_spec, write_run
from store_samples import (
    RUN_ID,
    add_to_index,
    edit,
    empty,
    sample_log,
    sample_record,
    seal,
    stored_loss,
    truncate,
    write_sample,
)

from clrbench.errors import ResultsError
from clrbench.layers import BuiltNetwork
from clrbench.records import Hits, RunStatus
from clrbench.store import ResultsFolder, RunId, RunKey, RunTiming, StoredRun, to_csv
from clrbench.store.run import EVALUATION_COLUMNS, RUN_COLUMNS, is_run, read_run

RUN_FILES = ("run.json", "steps.csv", "evaluations.csv", "test_hits.npy")
ARMS = ["constant", "a-s1-b", "find@0.01", "constant@1e-05-300-steps", "range-test-2"]
NO_RUNS = [
    "",
    "runs",
    "torch-a-s0",
    "torch-a-s0-1234567",
    "torch-a-sx-12345678",
    "torch--s0-12345678",
    ".torch-a-s0-12345678",
]
REMEDY = r"clrbench compare \(or range-test\) on its spec redoes this run"


@pytest.mark.parametrize("arm", ARMS)
def test_the_id_of_a_run_is_read_as_it_was_written(arm: str) -> None:
    run_id = RunId.of(run_spec(arm, 3), "0123456789abcdef" * 4)
    assert str(run_id) == f"torch-{arm}-s3-01234567"
    assert RunId.parse(str(run_id)) == run_id
    assert (run_id.key, run_id.digits) == (RunKey("torch", arm, 3), "01234567")


@pytest.mark.parametrize("name", NO_RUNS)
def test_other_folders_have_no_id(name: str) -> None:
    assert RunId.parse(name) is None


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    """Return a results folder with the sample run."""
    folder = ResultsFolder(tmp_path)
    write_sample(folder)
    return folder


def run_folder(folder: ResultsFolder) -> Path:
    return folder.root / "runs" / RUN_ID


def test_a_run_reads_back_as_it_was_written(folder: ResultsFolder) -> None:
    run = read_run(run_folder(folder))
    assert (run.record, run.spec, run.provenance) == (
        sample_record(),
        sample_record().spec,
        sample_record().provenance,
    )
    assert run.key == RunKey("torch", "a", 0)
    assert (run.status, run.reason, run.has_diverged, run.updates_made) == ("finished", None, False, 3)
    assert run.timing == RunTiming(1.0, 0.5, 0.25, 0.125, images_per_second=300.0)
    assert tuple(run.steps) == RUN_COLUMNS
    assert run.steps.to_numpy().tolist() == [[1, 1, 1, 1], [2, 1, 1, 1], [3, 1, 1, 1]]
    assert tuple(run.evaluations) == EVALUATION_COLUMNS
    assert run.evaluations[["epoch", "step"]].to_numpy().tolist() == [[1, 3]]
    assert run.evaluations.drop(columns=["epoch", "step"]).isna().all(axis=None)
    np.testing.assert_array_equal(run.test_hits, np.arange(400) % 3 == 0, strict=True)
    assert run.test_hits_by_class == (34, 33, 33, 34)
    assert run.record.test_rows_by_class == (100, 100, 100, 100)


def test_what_a_network_of_ones_own_was_reads_back_and_of_others_nothing_is_said(tmp_path: Path) -> None:
    network = BuiltNetwork("0" * 64, 123, draws=True, is_seeded=False, warnings=("one", "two"))
    usual = sample_record()
    record = replace(usual, provenance=replace(usual.provenance, network=network))
    for name, one in (("own", record), ("built-in", usual)):
        folder = ResultsFolder(tmp_path / name)
        folder.create()
        folder.write_run(one, sample_log())
        assert read_run(run_folder(folder)).record == one
        assert ("network" in json.loads((run_folder(folder) / "run.json").read_text())["provenance"]) == (name == "own")


@pytest.mark.parametrize("num_rows", [1, 7, 8, 9, 1001])
def test_the_bits_of_any_number_of_rows_read_back(tmp_path: Path, num_rows: int) -> None:
    rng = np.random.default_rng(num_rows)
    hits, classes = rng.random(num_rows) < 0.7, rng.integers(0, 3, num_rows, np.int32)
    rows, right = (tuple(np.bincount(of, minlength=4).tolist()) for of in (classes, classes[hits]))
    folder = ResultsFolder(tmp_path)
    folder.write_run(replace(sample_record(), test_rows_by_class=rows), sample_log(hits=Hits(hits, right)))
    run = read_run(run_folder(folder))
    np.testing.assert_array_equal(run.test_hits, hits, strict=True)
    assert (run.record.test_rows_by_class, run.test_hits_by_class) == (rows, right)
    stored = np.load(run_folder(folder) / "test_hits.npy")
    np.testing.assert_array_equal(stored, np.packbits(hits), strict=True)
    assert (stored.dtype, stored.size) == (np.uint8, -(-num_rows // 8))


@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_a_run_without_hits_has_no_file_of_them(tmp_path: Path, status: RunStatus) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write_run(sample_record(), sample_log(status=status, hits=None))
    run = read_run(run_folder(folder))
    assert (run.test_hits, run.test_hits_by_class) == (None, None)
    assert sorted(path.name for path in run_folder(folder).iterdir()) == ["evaluations.csv", "run.json", "steps.csv"]


def npy(shape: str, data: bytes) -> bytes:
    """Return an npy file of bytes that claims a shape."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", npy("50,", bytes(49)), npy("51,", bytes(51)), npy("10, 5", bytes(50)), npy("9" * 15 + ",", bytes(50))],
    ids=["empty", "another format", "short", "too many rows", "two axes", "claims much"],
)
def test_hits_are_checked_for_their_shape_even_where_their_checksum_is_right(
    folder: ResultsFolder, content: bytes
) -> None:
    path = run_folder(folder) / "run.json"
    about = json.loads(path.read_text())
    about["files"]["test_hits.npy"] = hashlib.sha256(content).hexdigest()
    path.write_text(seal(about))
    (run_folder(folder) / "test_hits.npy").write_bytes(content)
    with pytest.raises(ResultsError, match=rf"(?s)run\.json: another version of clrbench wrote it.*; {REMEDY}"):
        folder.find_run(RUN_ID)


def test_run_json_has_its_keys_in_order(folder: ResultsFolder) -> None:
    content = json.loads((run_folder(folder) / "run.json").read_text())
    assert list(content) == [
        "run_id",
        "identity",
        "status",
        "reason",
        "num_classes",
        "validation_rows_by_class",
        "test_rows_by_class",
        "test_hits_by_class",
        "spec",
        "provenance",
        "timing",
        "files",
        "checksum",
    ]
    assert list(content["timing"]) == [
        "train_seconds",
        "evaluation_seconds",
        "compile_seconds",
        "load_seconds",
        "images_per_second",
    ]
    assert list(content["files"]) == ["steps.csv", "evaluations.csv", "test_hits.npy"]
    assert content["test_rows_by_class"] == [100, 100, 100, 100]
    assert content["test_hits_by_class"] == [34, 33, 33, 34]


def test_a_diverged_run_keeps_its_reason_and_counts_the_updates_it_made(tmp_path: Path) -> None:
    log = sample_log(status="diverged", reason="the loss of update 3 is nan")
    lr = np.array([0.1, 0.1, np.nan], np.float32)
    folder = ResultsFolder(tmp_path)
    folder.write_run(sample_record(), replace(log, steps=replace(log.steps, lr=lr)))
    run = read_run(run_folder(folder))
    assert (run.status, run.reason) == ("diverged", "the loss of update 3 is nan")
    assert (run.has_diverged, run.updates_made) == (True, 2)


def test_floats_are_written_in_the_shortest_form_that_reads_back_the_same() -> None:
    table = pd.DataFrame({"lr": np.array([0.1, 1e-5, np.nan], np.float32), "p": [0.1, float("inf"), 1e-9]})
    assert to_csv(table).decode() == "lr,p\n0.1,0.1\n1e-05,inf\nnan,1e-09\n"


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize(
    "damage", [edit, truncate, empty, Path.unlink], ids=["edited", "truncated", "empty", "missing"]
)
def test_a_run_whose_files_are_not_what_was_written_is_no_result(
    folder: ResultsFolder, name: str, damage: Callable[[Path], None]
) -> None:
    add_to_index(folder, RUN_ID)
    damage(run_folder(folder) / name)
    assert not folder.is_finished(RUN_ID)
    with pytest.raises(ResultsError, match=rf"^\S*runs/{RUN_ID}/{name}: .*; {REMEDY}$"):
        folder.indexed_runs()
    write_sample(folder)
    assert folder.is_finished(RUN_ID)


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_run_that_was_read_before_it_was_damaged_is_no_result_either(folder: ResultsFolder, name: str) -> None:
    assert folder.is_finished(RUN_ID)
    truncate(run_folder(folder) / name)
    with pytest.raises(ResultsError, match=name):
        read_run(run_folder(folder))


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder: ResultsFolder, name: str) -> None:
    (run_folder(folder) / name).unlink()
    os.mkfifo(run_folder(folder) / name)
    with pytest.raises(ResultsError, match=rf"{RUN_ID}/{name}: cannot be read .it is not a regular file"):
        folder.indexed_runs()


@pytest.mark.parametrize(
    "content", ["{", "[]", "7", "[" * 100_000, "\x00"], ids=["open", "list", "number", "deep", "nul"]
)
def test_a_run_whose_json_is_damaged_is_to_be_made_again(folder: ResultsFolder, content: str) -> None:
    (run_folder(folder) / "run.json").write_text(content)
    assert not folder.is_finished(RUN_ID)
    with pytest.raises(ResultsError, match=rf"run\.json: (cannot be read|got no JSON object).*; {REMEDY}"):
        folder.find_run(RUN_ID)


def test_a_run_under_the_name_of_another_is_no_result(folder: ResultsFolder) -> None:
    shutil.copytree(run_folder(folder), folder.root / "runs/other")
    with pytest.raises(ResultsError, match=rf"other/run\.json: is that of run {RUN_ID}"):
        folder.find_run("other")


@pytest.mark.parametrize("name", ["run.json", "steps.csv"])
def test_a_file_of_another_run_is_named(folder: ResultsFolder, name: str) -> None:
    other = sample_record(seed=1)
    folder.write_run(other, sample_log(2.0))
    shutil.copyfile(folder.root / "runs" / other.run_id / name, run_folder(folder) / name)
    with pytest.raises(ResultsError, match=rf"{RUN_ID}/\S*: is (not what was written|that of run)"):
        folder.find_run(RUN_ID)


def test_two_files_in_each_others_place_are_named(folder: ResultsFolder) -> None:
    steps, evaluations = (run_folder(folder) / name for name in ("steps.csv", "evaluations.csv"))
    steps.rename(run_folder(folder) / "kept")
    evaluations.rename(steps)
    (run_folder(folder) / "kept").rename(evaluations)
    with pytest.raises(ResultsError, match=r"steps\.csv: is not what was written, by its checksum"):
        folder.find_run(RUN_ID)


def test_an_index_in_the_place_of_a_run_file_is_named(folder: ResultsFolder) -> None:
    add_to_index(folder, RUN_ID)
    shutil.copyfile(folder.root / "experiment.json", run_folder(folder) / "run.json")
    with pytest.raises(ResultsError, match=rf"run\.json: another version of clrbench wrote it.*; {REMEDY}"):
        folder.find_run(RUN_ID)


@pytest.mark.parametrize("content", [{}, {"spec": []}, {"spec": {}}, {"spec": {"arm": "a"}, "provenance": {}}], ids=str)
@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_run_file_of_another_shape_is_named(folder: ResultsFolder, content: dict[str, Any], is_sealed: bool) -> None:
    (run_folder(folder) / "run.json").write_text(seal(content) if is_sealed else json.dumps(content))
    expected = "another version of clrbench wrote it" if is_sealed else "is not what was written, by its checksum"
    with pytest.raises(ResultsError, match=rf"run\.json: {expected}"):
        folder.find_run(RUN_ID)


PARTS = ("spec", "provenance", "timing", "files", "test_rows_by_class")


def without(key: str, content: dict[str, Any]) -> None:
    del content[key]


def with_a_list(key: str, content: dict[str, Any]) -> None:
    content[key] = []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        *(
            (without, key)
            for key in (*PARTS, "test_hits_by_class", "status", "reason", "num_classes", "identity", "run_id")
        ),
        *((with_a_list, key) for key in PARTS),
    ],
)
def test_a_run_file_with_an_entry_of_another_shape_is_named(
    folder: ResultsFolder, change: Callable[[str, dict[str, Any]], None], key: str
) -> None:
    path = run_folder(folder) / "run.json"
    content = json.loads(path.read_text())
    change(key, content)
    path.write_text(seal(content))
    with pytest.raises(ResultsError, match=rf"(?s)run\.json: another version of clrbench wrote it.*; {REMEDY}"):
        folder.find_run(RUN_ID)


def test_a_run_file_without_a_checksum_is_refused(folder: ResultsFolder) -> None:
    path = run_folder(folder) / "run.json"
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match=r"run\.json: is not what was written, by its checksum"):
        folder.find_run(RUN_ID)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("step,lr\n1,2\n", r"run\.json: another version of clrbench wrote it.*train_loss"),
        ("step,lr,train_loss,train_accuracy\n1,0.1,2.3,0.1\n", r"steps\.csv: got 1 row, expected 3"),
        ("", r"run\.json: another version of clrbench wrote it"),
    ],
)
def test_a_table_is_checked_for_its_shape_even_where_its_checksum_is_right(
    folder: ResultsFolder, table: str, message: str
) -> None:
    path = run_folder(folder) / "run.json"
    content = json.loads(path.read_text())
    content["files"]["steps.csv"] = hashlib.sha256(table.encode()).hexdigest()
    path.write_text(seal(content))
    (run_folder(folder) / "steps.csv").write_text(table)
    with pytest.raises(ResultsError, match=message):
        folder.indexed_runs()


def test_a_run_serves_where_it_was_evaluated_at_more_points_than_asked_for(folder: ResultsFolder) -> None:
    assert folder.is_finished(RUN_ID, (3,))
    assert not folder.is_finished(RUN_ID, (2, 3))


def five_updates(root: Path) -> StoredRun:
    return read_run(root / "runs" / write_run(ResultsFolder(root), "a", 0, [0.1, 0.2, 0.3]))


def test_evaluations_that_were_not_asked_for_are_left_out(tmp_path: Path) -> None:
    run = five_updates(tmp_path)
    shorter = run.evaluated_at((2, 5))
    assert shorter.evaluations["step"].tolist() == [2, 5]
    assert shorter.evaluations["test_accuracy"].tolist() == [0.1, 0.3]
    assert list(shorter.evaluations.index) == [0, 1]
    assert run.evaluations["step"].tolist() == [2, 4, 5]
    assert shorter.steps is run.steps
    assert run.evaluated_at((2, 4, 5)) is run


def test_a_run_stands_for_another_arm_in_its_key_and_its_spec_alone(tmp_path: Path) -> None:
    run = five_updates(tmp_path)
    other = run.standing_for("b")
    assert (other.key, other.spec.arm, other.record.spec.arm) == (RunKey("torch", "b", 0), "b", "b")
    assert other.spec == run.spec.model_copy(update={"arm": "b"})
    assert (run.key.arm, other.folder, other.record.run_id) == ("a", run.folder, run.record.run_id)


def test_a_run_is_known_as_one_under_a_temporary_name_too_but_not_read_from_there(folder: ResultsFolder) -> None:
    temporary = run_folder(folder).rename(folder.root / f"runs/.{RUN_ID}.0123.part")
    assert is_run(temporary)
    with pytest.raises(ResultsError, match=f"is that of run {RUN_ID}"):
        read_run(temporary)
    truncate(temporary / "evaluations.csv")
    assert not is_run(temporary)
    assert not is_run(folder.root)


def test_hits_that_vanished_after_they_were_read_are_missed(folder: ResultsFolder) -> None:
    assert is_run(run_folder(folder))
    (run_folder(folder) / "test_hits.npy").unlink()
    assert not is_run(run_folder(folder))


def test_the_files_of_a_run_are_opened_once_and_anew_once_they_are_written_again(folder: ResultsFolder) -> None:
    add_to_index(folder, RUN_ID)
    names = [f"runs/{RUN_ID}/{name}" for name in RUN_FILES]
    with counted_reads(folder.root) as reads:
        for _ in range(3):
            assert folder.is_finished(RUN_ID)
            assert stored_loss(folder) == 1.0
            assert [run.key.arm for run in folder.indexed_runs()] == ["a"]
            assert [run.key.arm for run in folder.counted_runs()] == ["a"]
    assert {name: reads[name] for name in names} == dict.fromkeys(names, 1)
    write_sample(folder, 2.0)
    with counted_reads(folder.root) as reads:
        for _ in range(3):
            assert stored_loss(folder) == 2.0
    assert {name: reads[name] for name in names} == dict.fromkeys(names, 1)


def test_the_spec_of_a_run_is_stored_without_what_is_left_out(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    spec = run_spec("a", 0, num_steps=3, evaluation_steps=[3])
    folder.write_run(run_record(spec), sample_log())
    content = json.loads((tmp_path / "runs" / RUN_ID / "run.json").read_text())
    assert content["spec"] == spec.model_dump(mode="json", exclude_none=True)
