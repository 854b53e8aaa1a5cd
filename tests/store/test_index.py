"""experiment.json keeps what it was told, is read once, and is named where it is damaged."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reads import counted_reads
from store_samples import RUN_ID, add_to_index, edit, empty, sample_look, seal, truncate, write_sample

from clrbench.errors import ResultsError
from clrbench.planning.plan import PROTOCOL
from clrbench.store import ResultsFolder
from clrbench.store.index import INDEX_FILE, Index, read_index

REMEDY = "remove this file and run the same command again; finished runs are kept"

FULL = Index(
    protocol=PROTOCOL,
    warnings=["a warning"],
    spec="0" * 64,
    threads=1,
    devices={"torch": "cpu"},
    runs={"torch": ["a", "b"]},
    runs_of="1" * 64,
    evaluation_steps={"a": [1, 2]},
    looks=(sample_look(0, 1, status="free"), sample_look(0, 1, 2, index=2)),
)


def test_an_index_reads_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / INDEX_FILE).write_bytes(FULL.to_json())
    assert read_index(tmp_path) == FULL


def test_an_index_has_its_keys_in_order_and_leaves_out_what_is_empty() -> None:
    assert list(json.loads(FULL.to_json())) == [
        "protocol",
        "warnings",
        "spec",
        "threads",
        "devices",
        "runs",
        "runs_of",
        "evaluation_steps",
        "looks",
        "checksum",
    ]
    assert list(json.loads(Index().to_json())) == ["checksum"]
    # No warnings were found, which is not the same as none looked for.
    assert list(json.loads(Index(warnings=[], runs={"torch": []}).to_json())) == ["warnings", "runs", "checksum"]


def test_without_a_file_the_index_is_empty(tmp_path: Path) -> None:
    assert read_index(tmp_path) == Index()
    assert read_index(tmp_path / "missing") == Index()


def test_runs_of_another_backend_and_other_entries_are_kept() -> None:
    index = Index(threads=1).with_runs("spec", "torch", ["a"], {}).with_runs("spec", "keras", ["b"], {})
    assert (index.threads, index.runs) == (1, {"torch": ["a"], "keras": ["b"]})


def test_a_shorter_list_of_runs_of_the_same_spec_takes_the_place_of_no_longer_one() -> None:
    index = Index().with_runs("spec", "torch", ["a", "b"], {"x": [1]})
    index = index.with_runs("spec", "torch", ["a"], {"x": [1]}).with_runs("spec", "keras", ["c"], {"y": [2]})
    assert index.runs == {"torch": ["a", "b"], "keras": ["c"]}
    index = index.with_runs("spec", "torch", ["a", "b", "d"], {"x": [1]})
    assert index.runs["torch"] == ["a", "b", "d"]
    index = index.with_runs("another", "torch", ["a"], {"x": [1]})
    assert index.runs["torch"] == ["a"]
    assert index.evaluation_steps == {"x": [1], "y": [2]}


@pytest.mark.parametrize("damage", [edit, truncate, empty])
def test_a_damaged_index_is_named_and_costs_no_run(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = ResultsFolder(tmp_path)
    write_sample(folder)
    folder.settle_threads(1)
    damage(tmp_path / INDEX_FILE)
    with pytest.raises(ResultsError, match=rf"^\S*experiment\.json: .*; {REMEDY}$"):
        folder.indexed_runs()
    assert folder.is_finished(RUN_ID)


@pytest.mark.parametrize("content", ["{", "[]", "7", "null", "[" * 100_000])
def test_an_index_that_is_no_json_object_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX_FILE).write_text(content)
    with pytest.raises(ResultsError, match=rf"experiment\.json: (cannot be read .*|got no JSON object); {REMEDY}"):
        read_index(tmp_path)


def test_an_index_that_was_edited_is_named(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.settle_threads(1)
    edit(tmp_path / INDEX_FILE)
    with pytest.raises(ResultsError, match=r"experiment\.json: is not what was written, by its checksum"):
        folder.index()


@pytest.mark.parametrize(
    "content",
    [
        {"runs": [1]},
        {"runs": None},
        {"runs": {"torch": None}},
        {"runs": {"torch": [1]}},
        {"runs": {"torch": ["../.."]}},
        {"runs": {"torch": [".locks"]}},
        {"protocol": "a"},
        {"threads": "two"},
        {"evaluation_steps": []},
        {"devices": "cpu"},
        {"warnings": "one"},
        {"looks": 3},
        {"looks": {"torch": [[0, 1]]}},
        {"looks": [3]},
        {"looks": [{}]},
        {"an unknown key": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_sealed", [True, False])
def test_an_index_of_another_shape_is_named(tmp_path: Path, content: dict[str, Any], is_sealed: bool) -> None:
    (tmp_path / INDEX_FILE).write_text(seal(content) if is_sealed else json.dumps(content))
    expected = "is not what clrbench writes" if is_sealed else "is not what was written, by its checksum"
    with pytest.raises(ResultsError, match=rf"experiment\.json: {expected}; {REMEDY}"):
        ResultsFolder(tmp_path).index()


def test_an_index_without_a_checksum_is_refused(tmp_path: Path) -> None:
    (tmp_path / INDEX_FILE).write_text(json.dumps({"protocol": PROTOCOL, "threads": 1}))
    with pytest.raises(ResultsError, match=r"experiment\.json: is not what was written, by its checksum"):
        read_index(tmp_path)


def test_a_run_file_in_the_place_of_the_index_is_named(tmp_path: Path) -> None:
    write_sample(ResultsFolder(tmp_path))
    shutil.copyfile(tmp_path / "runs" / RUN_ID / "run.json", tmp_path / INDEX_FILE)
    with pytest.raises(ResultsError, match=rf"experiment\.json: is not what clrbench writes; {REMEDY}"):
        read_index(tmp_path)


def test_a_pipe_in_the_place_of_the_index_is_not_waited_for(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_sample(folder)
    os.mkfifo(tmp_path / INDEX_FILE)
    with pytest.raises(ResultsError, match=r"experiment\.json: cannot be read .it is not a regular file"):
        folder.indexed_runs()


@pytest.mark.parametrize("index", [Index(protocol=PROTOCOL + 1), replace(FULL, protocol=PROTOCOL + 1)])
def test_results_of_a_newer_clrbench_are_refused(tmp_path: Path, index: Index) -> None:
    (tmp_path / INDEX_FILE).write_bytes(index.to_json())
    with pytest.raises(ResultsError, match=f"newer clrbench, whose runs follow protocol {PROTOCOL + 1}"):
        read_index(tmp_path)


def test_results_of_a_newer_clrbench_are_refused_even_where_their_index_has_other_keys(tmp_path: Path) -> None:
    (tmp_path / INDEX_FILE).write_text(seal({"protocol": PROTOCOL + 1, "runs": 3, "an unknown key": 3}))
    with pytest.raises(ResultsError, match="newer clrbench"):
        read_index(tmp_path)


def test_the_index_is_opened_once_and_anew_once_it_is_written_again(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_sample(folder)
    add_to_index(folder, RUN_ID)
    with counted_reads(tmp_path) as reads:
        for _ in range(3):
            assert ResultsFolder(tmp_path).index().runs == {"torch": [RUN_ID]}
            assert len(folder.counted_runs()) == 1
    assert reads[INDEX_FILE] == 1
    folder.settle_threads(2)
    with counted_reads(tmp_path) as reads:
        for _ in range(3):
            assert folder.index().threads == 2
            assert folder.settle_threads(1) == 2
    assert reads[INDEX_FILE] == 1
