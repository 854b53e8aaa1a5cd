"""`clrbench verify`: runs made once more, and set beside those on disk."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import answer, run_clrbench, write_spec
from fakes import FakeExecutor, FakeWatch

from clrbench.answer import Answer, ExitCode
from clrbench.cli import main
from clrbench.commands import verify as verification
from clrbench.commands.setup import LOCAL, Setup
from clrbench.data import Library
from clrbench.errors import DataError, ResultsError, SpecError
from clrbench.execution.executor import Executor, Resources
from clrbench.execution.provenance import Circumstances
from clrbench.execution.session import Pace
from clrbench.execution.task import Task, make_task
from clrbench.planning.experiment import Experiment, open_experiment
from clrbench.planning.runs import own_range_test, training_runs
from clrbench.planning.trials import range_test_runs
from clrbench.progress import Display
from clrbench.records import Evaluation, Hits, RunLog, Split, StepLog, Timing
from clrbench.report.console import plain
from clrbench.spec import RunSpec, to_yaml
from clrbench.store import ResultsFolder, StoredRun
from clrbench.store.files import SEAL, to_sealed_json

SCORES = ("loss", "accuracy", "balanced_accuracy")
FEW_ROWS = {"dataset": "mnist", "validation": "100 rows", "train_rows": 400, "test_rows": 100}
ARMS = {
    "constant": {"schedule": {"name": "constant", "lr": 0.05}},
    "shorter": {
        "schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 1},
        "duration": "2 epochs",
    },
    "wild": {"schedule": {"name": "constant", "lr": 1e8}},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment with a run of each arm, of which one diverged, and one of its range test."""
    place = tmp_path_factory.mktemp("verify")
    spec = write_spec(
        place,
        data=FEW_ROWS,
        arms=ARMS,
        backends=["torch"],
        seeds=1,
        targets={},
        range_test={"start_lr": 0.001, "end_lr": 1.0, "duration": "3 epochs", "seeds": 1},
    )
    experiment = open_experiment(spec, place, Library(), installed=("torch",))
    tested = range_test_runs(experiment.spec, own_range_test(experiment.spec), experiment.sizes, experiment.backends)
    trained = training_runs(experiment.spec, experiment.sizes, experiment.backends, {})
    folder = ResultsFolder(experiment.root)
    folder.root.mkdir()
    folder.range_test(None).root.mkdir()
    tasks = [_task(experiment, run, folder) for run in trained]
    tasks += [_task(experiment, run, folder.range_test(None)) for run in tested]
    with LOCAL(Resources("torch", 1, 1)) as executor:
        executor.run(tasks, FakeWatch())
    folder.write_bytes("spec.yaml", to_yaml(experiment.spec).encode())
    return folder.root


def _task(experiment: Experiment, run: RunSpec, folder: ResultsFolder) -> Task:
    dataset = experiment.library.load(experiment.spec.data.dataset)
    how = Circumstances("torch", "cpu", 1, "local", None, dataset.checksum)
    return make_task(run, dataset, how, experiment.library, folder.root, Pace())


def run_of(root: Path, arm: str) -> StoredRun:
    (folder,) = root.glob(f"runs/torch-{arm}-s0-*")
    found = ResultsFolder(root).find_run(folder.name)
    assert found is not None
    return found


def rewrite(
    root: Path, arm: str, change: Callable[[StepLog], StepLog], *, wrong_row: int | None = None, **changes: Any
) -> None:
    """Write the run of an arm anew, with other values of its updates, another record, or one of its hits turned."""
    run = run_of(root, arm)
    columns = run.steps[["lr", "train_loss", "train_accuracy"]].to_numpy(np.float32, copy=True).T
    found = run.evaluations
    evaluations = {
        split: tuple(map(Evaluation, *(found[f"{split}_{score}"] for score in SCORES)))
        for split in (Split.VALIDATION, Split.TEST)
    }
    hits = None if run.test_hits is None else Hits(run.test_hits, run.test_hits_by_class)
    if hits is not None and wrong_row is not None:
        hits.rows[wrong_row] ^= True
    points = found["step"].to_numpy(np.int32)
    timing = Timing(1.0, 0.0, 0.0, 0.0, num_images=1)
    log = RunLog(change(StepLog(*columns)), points, evaluations, run.status, None, timing, hits)
    ResultsFolder(root).write_run(replace(run.record, **changes), log)


def every_byte(root: Path) -> dict[str, tuple[int, str]]:
    """Return of everything in a folder when it was last written, and its checksum."""
    return {
        str(path.relative_to(root)): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in [root, *root.rglob("*")]
    }


def test_a_run_comes_out_bit_equal(results: Path) -> None:
    done = run_clrbench("verify", "quick", "--json", folder=results.parent)
    assert done.returncode == 0, done.stdout
    assert answer(done)["outcomes"] == {"bit-equal": 1, "within tolerance": 0, "different": 0}


@pytest.mark.acceptance
def test_all_runs_come_out_bit_equal_and_the_folder_is_not_touched(results: Path) -> None:
    before = every_byte(results)
    done = run_clrbench("verify", "quick", "--all", "--json", folder=results.parent)
    found = answer(done)
    assert done.returncode == 0, done.stdout
    assert found["outcomes"] == {"bit-equal": 4, "within tolerance": 0, "different": 0}
    seeds = {"constant": 0, "shorter": 0, "wild": 0, "range-test": 1_000_000}
    assert [run["run_id"][:-9] for run in found["runs"]] == [f"torch-{arm}-s{seed}" for arm, seed in seeds.items()]
    assert [run["status"] for run in found["runs"]][:3] == ["finished", "finished", "diverged"]
    assert [run["folder"].split("torch-")[0] for run in found["runs"]] == ["runs/"] * 3 + ["range-test/runs/"]
    assert {run["new_identity"] for run in found["runs"]} == {None}
    assert found["runs"][1]["updates"]["train_loss"]["num_rows"] == 16
    assert found["runs"][1]["first_update_apart"] is None
    assert "reruns: 4 of 4 runs" in done.stderr
    assert every_byte(results) == before


SIGNED = ("+ bit-equal", "~ within tolerance", "- different")


def quietly(root: Path, run_id: str | None = None, *, every: bool = False, setup: Setup | None = None) -> Answer:
    return verification.verify(
        root,
        verification.Wanted(run_id, every),
        library=Library(),
        display=Display(quiet=True),
        setup=setup or Setup(),
    )


@contextmanager
def one_worker(resources: Resources) -> Iterator[Executor]:
    with LOCAL(replace(resources, workers=1)) as executor:
        yield executor


@pytest.mark.acceptance
def test_runs_that_come_out_otherwise_are_named_with_where_they_part(results: Path, tmp_path: Path) -> None:
    root = tmp_path / "quick"
    shutil.copytree(results, root)

    def one_rounding(log: StepLog) -> StepLog:
        log.loss[4] = np.nextafter(log.loss[4], np.float32(9))
        return log

    def half_as_large(log: StepLog) -> StepLog:
        return replace(log, loss=np.where(np.arange(len(log.loss)) < 10, log.loss, log.loss / 2))

    provenance = run_of(root, "shorter").provenance
    older = replace(provenance, versions={**provenance.versions, "torch": "0.1"})
    rewrite(root, "constant", one_rounding, identity="of another protocol")
    rewrite(root, "shorter", half_as_large, provenance=older)
    before = every_byte(root)
    found = quietly(root, every=True, setup=Setup(open_executor=one_worker))
    assert found.exit_code == ExitCode.FAILED
    text = plain(found.shown(100))
    said = " ".join(text.split())
    assert said.startswith(f"Verdict {root}: 4 runs repeated, 2 bit-equal, 1 within tolerance, 1 different run ")
    rows = [line for line in text.splitlines() if line.startswith("torch-") and not line.endswith(":")]
    assert [signed for row in rows for signed in SIGNED if signed in row] == [
        "- different",
        "~ within tolerance",
        "+ bit-equal",
        "+ bit-equal",
    ]
    assert rows[0].endswith("11 (train_loss)")
    assert rows[1].endswith("5 (train_loss)")
    shorter, constant = text.split(":\n")[-2:]
    assert "its identity has changed" in " ".join(constant.split())
    assert "no more than rounding explains" in " ".join(constant.split())
    assert re.search(r"train_loss +1 of 32 +\S+ at 5 +\S+ at 5 +\+ within", constant)
    assert "the recorded provenance is the same" in " ".join(constant.split())
    assert "at the first update that differs is 0.5: more than rounding explains" in " ".join(shorter.split())
    assert re.search(r"train_loss +6 of 16 .* - beyond", shorter)
    assert "test_accuracy 0." in shorter.partition("last evaluation: ")[2]
    assert "versions.torch 0.1 then, " in " ".join(shorter.partition("provenance differs: ")[2].split())
    assert every_byte(root) == before


@pytest.mark.acceptance
def test_a_run_whose_test_rows_are_others_is_different_even_where_its_losses_are_the_same(
    results: Path, tmp_path: Path
) -> None:
    root = tmp_path / "quick"
    shutil.copytree(results, root)
    rewrite(root, "shorter", lambda log: log, wrong_row=3)
    found = quietly(root, run_of(root, "shorter").folder.name)
    assert found.exit_code == ExitCode.FAILED
    assert found.data["runs"][0]["test_rows_apart"] == 1
    assert "1 test row is classified correctly at the end by only one of the two" in plain(found.shown(100))


@pytest.mark.parametrize("code", [ExitCode.FAILED, ExitCode.DONE])
def test_the_answer_is_printed_and_its_exit_code_taken(monkeypatch: pytest.MonkeyPatch, code: ExitCode) -> None:
    monkeypatch.setattr(verification, "verify", lambda *_, **__: Answer("the answer", {}, code))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    done = CliRunner().invoke(main, ["verify", "folder"])
    assert (done.exit_code, done.stdout) == (code, "the answer\n")


def test_one_run_and_all_of_them_exclude_each_other(results: Path) -> None:
    with pytest.raises(SpecError, match="--run and --all exclude each other"):
        quietly(results, "x", every=True)


def test_a_run_that_is_not_there_is_refused_with_the_nearest_name(results: Path) -> None:
    name = run_of(results, "constant").folder.name
    with pytest.raises(SpecError, match=rf"got '{name}x'; .*; did you mean '{name}'\?"):
        quietly(results, f"{name}x")


def test_folders_without_runs_are_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="name the folder of an experiment"):
        quietly(tmp_path)
    shutil.copy(results / "spec.yaml", tmp_path)
    with pytest.raises(ResultsError, match="there are no finished runs; run clrbench compare"):
        quietly(tmp_path)


def test_data_that_is_missing_or_has_changed_is_an_error_of_the_data(results: Path, tmp_path: Path) -> None:
    root = tmp_path / "quick"
    shutil.copytree(results, root)
    record = run_of(root, "constant").record
    other = replace(record.provenance, data_checksum="other")
    rewrite(root, "constant", lambda log: log, provenance=other)
    with pytest.raises(DataError, match=f"{record.run_id}: was trained on mnist with checksum other, but here it has "):
        quietly(root, record.run_id)
    gone = record.spec.data.model_copy(update={"dataset": str(tmp_path / "gone.npz")})
    rewrite(root, "constant", lambda log: log, spec=record.spec.model_copy(update={"data": gone}))
    with pytest.raises(DataError, match=f"{record.run_id}: its data set is not here: .*gone.npz"):
        quietly(root, record.run_id)


def test_a_run_that_this_version_cannot_read_is_an_error_of_the_results(results: Path, tmp_path: Path) -> None:
    root = tmp_path / "quick"
    shutil.copytree(results, root)
    folder = run_of(root, "constant").folder
    content = json.loads((folder / "run.json").read_text())
    del content[SEAL]
    content["spec"]["momentum_of_mind"] = 1
    (folder / "run.json").write_bytes(to_sealed_json(content))
    with pytest.raises(ResultsError, match="another version of clrbench wrote it, and this one cannot read what was"):
        quietly(root, folder.name)


def test_the_run_with_the_least_training_is_taken_where_none_is_named_and_nothing_is_left_of_it(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> float:
        raise ResultsError("stop here")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    executor = FakeExecutor(fail)
    with pytest.raises(ResultsError, match="stop here"):
        quietly(results, setup=Setup(open_executor=executor.open))
    assert executor.rounds == [["shorter s0"]]
    assert list(tmp_path.iterdir()) == []
