"""What lies in a results folder is complete, whoever dies, fills the disk or looks on meanwhile."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from runs_on_disk import write_run
from store_samples import (
    BELONGS_TO,
    RUN_ID,
    add_to_index,
    empty,
    sample_checkpoint,
    sample_log,
    sample_look,
    sample_record,
    stored_loss,
    truncate,
    write_sample,
)

from clrbench.errors import ResultsError
from clrbench.planning.plan import PROTOCOL
from clrbench.store import ResultsFolder, RunKey
from clrbench.store.index import INDEX_FILE

KILLED = 9
STORE_CALLS = [(os, "fsync"), (Path, "open"), (Path, "mkdir"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree")]
OPERATIONS = ("run", "file", "index", "checkpoint")


def test_a_run_is_finished_once_it_is_written(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert not folder.is_finished(RUN_ID)
    assert folder.find_run(RUN_ID) is None
    write_sample(folder)
    assert folder.is_finished(RUN_ID)


def test_a_second_writing_takes_the_place_of_the_first(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_sample(folder, 1.0)
    assert stored_loss(folder) == 1.0
    write_sample(folder, 2.0)
    assert stored_loss(folder) == 2.0
    assert os.listdir(tmp_path / "runs") == [RUN_ID]  # noqa: PTH208


def test_only_indexed_and_finished_runs_are_listed(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_sample(folder)
    folder.write_run(sample_record(seed=1), sample_log())
    add_to_index(folder, "missing", RUN_ID)
    assert [run.folder.name for run in folder.indexed_runs()] == [RUN_ID]


def test_runs_are_listed_in_the_order_of_the_index(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    run_ids = [write_run(folder, arm, 0, [0.1, 0.2, 0.3]) for arm in "bac"]
    assert [run.record.run_id for run in folder.indexed_runs()] == run_ids


def test_only_the_evaluations_that_were_asked_for_count(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for arm in ("a", "b"):
        write_run(folder, arm, 0, [0.1, 0.2, 0.3])
    folder.add_runs("spec", "torch", folder.index().runs["torch"], {"a": (2, 5)})
    assert [run.evaluations["step"].tolist() for run in folder.indexed_runs()] == [[2, 4, 5], [2, 4, 5]]
    assert [run.evaluations["step"].tolist() for run in folder.counted_runs()] == [[2, 5], [2, 4, 5]]


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert not folder.has_runs()
    for read in (folder.indexed_runs, folder.counted_runs):
        with pytest.raises(ResultsError, match="no folder runs/"):
            read()


def test_without_an_index_two_runs_for_one_are_refused(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for seed in (0, 1):
        folder.write_run(sample_record(seed=seed), sample_log())
    assert len(folder.indexed_runs()) == 2
    shutil.copytree(tmp_path / "runs" / RUN_ID, tmp_path / "runs/torch-a-s0-22222222")
    with pytest.raises(ResultsError, match="which of several runs torch-a-s0 counts"):
        folder.indexed_runs()


def test_an_index_keeps_the_entries_that_are_not_named(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.settle_threads(1)
    folder.add_runs("spec", "torch", ["a"], {"x": (1,)})
    folder.add_runs("spec", "keras", ["b"], {"y": (2,)})
    index = folder.index()
    assert (index.threads, index.runs) == (1, {"torch": ["a"], "keras": ["b"]})
    assert index.evaluation_steps == {"x": [1], "y": [2]}


def test_a_shorter_list_of_runs_of_the_same_spec_takes_the_place_of_no_longer_one(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.add_runs("spec", "torch", ["a", "b"], {"x": (1,)})
    folder.add_runs("spec", "torch", ["a"], {"x": (1,)})
    assert folder.index().runs == {"torch": ["a", "b"]}
    folder.add_runs("another", "torch", ["a"], {"x": (1,)})
    assert folder.index().runs == {"torch": ["a"]}


def test_settings_hold_from_their_first_mention_on(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert (folder.settle_threads(2), folder.settle_device("torch", "cpu")) == (2, "cpu")
    assert (folder.settle_threads(1), folder.settle_device("torch", "cuda")) == (2, "cpu")
    assert folder.settle_device("keras", "cpu") == "cpu"
    assert (folder.index().threads, folder.index().devices) == (2, {"torch": "cpu", "keras": "cpu"})


def test_looks_are_changed_under_the_lock_of_the_index_and_kept(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.settle_threads(1)
    assert folder.record_looks(lambda earlier: (*earlier, sample_look(0, 1))) == (sample_look(0, 1),)
    assert folder.record_looks(lambda earlier: (*earlier, sample_look(2))) == (sample_look(0, 1), sample_look(2))
    assert (folder.index().threads, folder.index().looks) == (1, (sample_look(0, 1), sample_look(2)))


def test_looks_that_stay_as_they_are_write_nothing(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.record_looks(lambda _: (sample_look(0, 1),))
    before = (tmp_path / INDEX_FILE).stat()
    assert folder.record_looks(lambda earlier: earlier) == (sample_look(0, 1),)
    after = (tmp_path / INDEX_FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_keys_of_all_finished_runs_are_read_off_their_folders(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert folder.stored_keys() == frozenset()
    names = [
        "torch-clr-s0-0123abcd",
        "keras-a-s1-00000000-s12-ffffffff",
        "torch-nan-s3-00000000",
        "torch-007-s0-00000000",
    ]
    others = [".locks", ".torch-clr-s1-00000000", "torch-clr-s2", "torch-clr-s2-000", "notes"]
    for name in (*names, *others):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert folder.stored_keys() == {
        RunKey("torch", "clr", 0),
        RunKey("keras", "a-s1-00000000", 12),
        RunKey("torch", "nan", 3),
        RunKey("torch", "007", 0),
    }


def test_the_last_spec_that_was_begun_is_kept_with_its_warnings(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert not folder.is_of_another("name: a\n")
    folder.settle_threads(1)
    folder.begin("name: a\n", ["a warning"])
    assert (tmp_path / "spec.yaml").read_text() == "name: a\n"
    assert (folder.index().protocol, folder.index().warnings) == (PROTOCOL, ["a warning"])
    assert folder.index().threads == 1
    assert (folder.is_of_another("name: a\n"), folder.is_of_another("name: b\n")) == (False, True)
    folder.begin("name: b\n", [])
    assert (folder.is_of_another("name: a\n"), folder.index().warnings) == (True, [])


@pytest.mark.parametrize("content", [None, "", "name: [", "nonsense: 1\n"])
def test_a_spec_that_is_missing_or_damaged_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "spec.yaml").write_text(content)
    with pytest.raises(ResultsError, match=r"spec\.yaml"):
        ResultsFolder(tmp_path).read_spec()


def test_a_table_reads_back_with_names_as_text_and_what_is_missing_as_nan(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    table = pd.DataFrame({"arm": ["007", "nan"], "value": [0.1, float("nan")], "verdict": ["better", "cannot tell"]})
    folder.write_table("comparison.csv", table)
    pd.testing.assert_frame_equal(folder.read_table("comparison.csv", ["arm", "value"]), table)


@pytest.mark.parametrize("damage", [Path.unlink, empty, lambda path: path.write_bytes(b"\xff\xfe,\xff\n")])
def test_a_table_that_cannot_be_read_is_named_with_a_remedy(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write_table("summary.csv", pd.DataFrame({"a": [1]}))
    damage(tmp_path / "summary.csv")
    with pytest.raises(
        ResultsError, match=r"summary\.csv: cannot be read .*; run clrbench report \S+ to write it anew"
    ):
        folder.read_table("summary.csv", [])


def test_a_table_without_a_column_is_named_with_it(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write_table("summary.csv", pd.DataFrame({"a": [1]}))
    with pytest.raises(ResultsError, match=r"summary\.csv: got no column b, c; run clrbench report"):
        folder.read_table("summary.csv", ["a", "b", "c"])


@pytest.mark.parametrize("link", ["runs", f"runs/{RUN_ID}", ".locks", ".checkpoints", "plots", "search", "range-test"])
def test_no_symbolic_link_is_followed_inside_a_results_folder(tmp_path: Path, link: str) -> None:
    folder, elsewhere = ResultsFolder(tmp_path / "results"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.create()
    (folder.root / link).parent.mkdir(exist_ok=True)
    (folder.root / link).symlink_to(elsewhere)
    with pytest.raises(ResultsError, match=f"{link}: is a symbolic link"):
        use_everything(folder)
    assert list(elsewhere.iterdir()) == []


def use_everything(folder: ResultsFolder) -> None:
    """Write to every place of a results folder."""
    with folder.run_lock(RUN_ID):
        checkpoints = folder.checkpoints(RUN_ID, BELONGS_TO)
        checkpoints.write(sample_checkpoint(1))
        write_sample(folder)
        checkpoints.remove()
    with folder.tables_lock():
        folder.write_table("metrics.csv", pd.DataFrame({"a": [1]}))
        folder.write_bytes("plots/a.png", b"png")
    for inner in (folder.range_test(None), folder.search()):
        inner.create()
        write_sample(inner)


def test_a_file_written_over_a_symbolic_link_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "metrics.csv").symlink_to(tmp_path / "victim")
    ResultsFolder(tmp_path).write_bytes("metrics.csv", b"written")
    assert (tmp_path / "victim").read_text() == "kept"
    assert not (tmp_path / "metrics.csv").is_symlink()


def test_a_folder_that_cannot_be_made_was_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdir(path: Path, **_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))  # as below /proc

    monkeypatch.setattr(Path, "mkdir", mkdir)
    root = tmp_path / "nowhere" / "demo"
    expected = f"^{re.escape(str(root))}: cannot be read or written \\(No such file or directory\\); free space"
    with pytest.raises(ResultsError, match=expected):
        ResultsFolder(root).create()


def test_a_folder_that_has_gone_is_not_made_anew(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.create()
    folder.check_exists()
    with folder.run_lock(RUN_ID):
        shutil.rmtree(folder.root)
        with pytest.raises(ResultsError, match="was removed while it was in use"):
            write_sample(folder)
    uses: list[Callable[[], object]] = [
        folder.check_exists,
        lambda: folder.settle_threads(1),
        lambda: folder.begin("", []),
        lambda: folder.write_bytes("a", b"b"),
        lambda: folder.tables_lock().__enter__(),
    ]
    for use in uses:
        with pytest.raises(ResultsError, match="was removed while it was in use"):
            use()
    assert not folder.root.exists()


def test_a_run_is_found_while_a_new_one_is_put_in_its_place(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_sample(folder)
    add_to_index(folder, RUN_ID)
    # So it lies between the two renames.
    (tmp_path / "runs" / RUN_ID).rename(tmp_path / f"runs/.{RUN_ID}.0123.part-replaced")
    assert [run.folder.name for run in folder.indexed_runs()] == [RUN_ID]


@pytest.mark.parametrize("new_is", ["complete", "damaged", "missing"])
def test_a_run_that_a_dead_process_left_half_replaced_is_recovered(tmp_path: Path, new_is: str) -> None:
    folder, made = ResultsFolder(tmp_path / "results"), ResultsFolder(tmp_path / "made")
    for place, loss in ((folder, 1.0), (made, 2.0)):
        place.create()
        write_sample(place, loss)
    add_to_index(folder, RUN_ID)
    assert stored_loss(folder) == 1.0
    runs = folder.root / "runs"
    (runs / RUN_ID).rename(runs / f".{RUN_ID}.0123.part-replaced")
    new = (made.root / "runs" / RUN_ID).rename(runs / f".{RUN_ID}.0123.part")
    if new_is == "damaged":
        truncate(new / "steps.csv")
    elif new_is == "missing":
        shutil.rmtree(new)
    assert not folder.is_finished(RUN_ID)
    with folder.run_lock(RUN_ID) as held:
        assert held
        assert folder.is_finished(RUN_ID)
    expected = 2.0 if new_is == "complete" else 1.0
    assert stored_loss(folder) == expected
    assert [run.steps["train_loss"][0] for run in folder.indexed_runs()] == [expected]
    assert [path.name for path in runs.iterdir()] == [RUN_ID]


def test_a_finished_run_is_kept_where_a_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, usual = ResultsFolder(tmp_path), Path.replace
    write_sample(folder, 1.0)

    def replace_all_but_a_new_run(path: Path, target: Path) -> Path:
        if path.name.endswith(".part"):
            raise OSError(5, "Input/output error")
        return usual(path, target)

    monkeypatch.setattr(Path, "replace", replace_all_but_a_new_run)
    with pytest.raises(ResultsError, match="Input/output error"):
        write_sample(folder, 2.0)
    assert stored_loss(folder) == 1.0
    assert len(list((tmp_path / "runs").iterdir())) == 1
