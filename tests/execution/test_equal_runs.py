"""Runs that are the same under several names: equal arms, renamed ones, ones that swapped their names."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import QUICK
from fakes import FakeExecutor
from reads import counted_reads
from store_samples import edit, empty, seal, truncate

from clrbench.commands.search import find_rates
from clrbench.commands.setup import Job, Setup
from clrbench.data import Library
from clrbench.execution.runner import Options, Runner
from clrbench.files import checksum
from clrbench.planning.runs import range_test_group, training_runs
from clrbench.planning.trials import range_test_runs
from clrbench.planning.tuning import with_chosen
from clrbench.progress import Display
from clrbench.store import ResultsFolder, StoredRun
from clrbench.store.run import _read_run

AS_USUAL = Options()


def constant(lr: float, **changes: Any) -> dict[str, Any]:
    return {"schedule": {"name": "constant", "lr": lr}, **changes}


@dataclass
class Workplace:
    """A folder in which specs of one name are made, one after the other, on an executor that notes what it trains."""

    folder: Path
    executor: FakeExecutor = field(default_factory=lambda: FakeExecutor(lambda rate: 1 - (rate or 0.5)))

    @property
    def root(self) -> Path:
        return self.folder / "results/quick"

    def runner(self, arms: dict[str, Any], options: Options, **changes: Any) -> Runner:
        path = self.folder / "quick.yaml"
        content = {**QUICK, "backends": ["torch"], "arms": arms, **changes}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        setup = Setup(open_executor=self.executor.open)
        job = Job(path, self.folder / "results", Library(), options, Display(quiet=True), setup)
        runner = job.runner(job.open())
        runner.begin()
        return runner

    def make(self, arms: dict[str, Any], options: Options = AS_USUAL, **changes: Any) -> list[str]:
        """Make the runs of all arms; return those that were trained."""
        trained = len(self.executor.rounds)
        runner = self.runner(arms, options, **changes)
        experiment = runner.experiment
        chosen = find_rates(runner, {}) if experiment.spec.tuned_arms else {}
        runs = training_runs(experiment.spec, experiment.sizes, experiment.backends, {})
        runner.make(runner.folder, with_chosen(runs, chosen), "runs")
        return [run for found in self.executor.rounds[trained:] for run in found]

    def runs(self) -> dict[str, StoredRun]:
        """Return the runs that count, by arm and seed."""
        return {f"{run.key.arm} s{run.key.seed}": run for run in ResultsFolder(self.root).counted_runs()}


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def same_numbers(first: StoredRun, second: StoredRun) -> None:
    """Assert that two runs of other names are the same in all that they left."""
    for name in ("steps.csv", "evaluations.csv", "test_hits.npy"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    contents = [json.loads((run.folder / "run.json").read_text()) for run in (first, second)]
    for content in contents:
        del content["run_id"], content["spec"]["arm"], content["checksum"]
    assert contents[0] == contents[1]


def test_equal_arms_train_once_and_have_folders_of_their_own(workplace: Workplace) -> None:
    arms = {"a": constant(0.1), "b": constant(0.2), "c": constant(0.1), "d": constant(0.1)}
    assert workplace.make(arms) == ["a s0", "b s0", "a s1", "b s1"]
    runs = workplace.runs()
    assert list(runs) == [f"{arm} s{seed}" for seed in (0, 1) for arm in "abcd"]
    assert len({run.folder for run in runs.values()}) == 8
    for seed in (0, 1):
        assert {runs[f"{arm} s{seed}"].record.identity for arm in "acd"} == {runs[f"a s{seed}"].record.identity}
        same_numbers(runs[f"a s{seed}"], runs[f"c s{seed}"])
        same_numbers(runs[f"a s{seed}"], runs[f"d s{seed}"])
    for key, run in runs.items():
        assert (run.spec.arm, run.key.seed, run.record.run_id) == (key[0], int(key[-1]), run.folder.name)
        assert run.folder.name == f"torch-{key[0]}-s{key[-1]}-{run.record.identity[:8]}"
    assert workplace.make(arms) == []


def test_a_renamed_arm_trains_nothing_and_leaves_its_folder(workplace: Workplace) -> None:
    workplace.make({"a": constant(0.1), "b": constant(0.2)})
    before = workplace.runs()
    assert workplace.make({"first": constant(0.1), "b": constant(0.2)}) == []
    after = workplace.runs()
    assert list(after) == ["first s0", "b s0", "first s1", "b s1"]
    for seed in (0, 1):
        same_numbers(before[f"a s{seed}"], after[f"first s{seed}"])
        assert before[f"a s{seed}"].folder.is_dir()
        assert after[f"b s{seed}"].folder == before[f"b s{seed}"].folder


@pytest.mark.acceptance
def test_two_arms_may_swap_their_names(workplace: Workplace) -> None:
    workplace.make({"a": constant(0.1), "b": constant(0.2)})
    before = workplace.runs()
    assert workplace.make({"a": constant(0.2), "b": constant(0.1)}) == []
    after = workplace.runs()
    same_numbers(before["a s0"], after["b s0"])
    same_numbers(before["b s1"], after["a s1"])
    assert after["a s0"].evaluations["test_accuracy"].iloc[-1] == 0.8
    assert workplace.make({"a": constant(0.1), "b": constant(0.2)}) == []
    assert {key: run.folder for key, run in workplace.runs().items()} == {
        key: run.folder for key, run in before.items()
    }


@pytest.mark.acceptance
def test_names_may_go_round_in_a_circle(workplace: Workplace) -> None:
    rates = [0.1, 0.2, 0.3]
    for turn in range(4):
        arms = {name: constant(rates[(at + turn) % 3]) for at, name in enumerate("abc")}
        assert len(workplace.make(arms)) == (6 if turn == 0 else 0)
        ends = {key: run.evaluations["test_accuracy"].iloc[-1] for key, run in workplace.runs().items()}
        expected = {f"{arm} s{seed}": 1 - rates[(at + turn) % 3] for seed in (0, 1) for at, arm in enumerate("abc")}
        assert ends == pytest.approx(expected)


@pytest.mark.acceptance
def test_an_arm_that_is_renamed_and_changed_trains_anew(workplace: Workplace) -> None:
    workplace.make({"a": constant(0.1), "b": constant(0.2)})
    changed = {"first": constant(0.1, optimizer={"name": "adam"}), "b": constant(0.2)}
    assert workplace.make(changed) == ["first s0", "first s1"]


@pytest.mark.acceptance
def test_an_arm_that_becomes_equal_to_another_trains_nothing(workplace: Workplace) -> None:
    workplace.make({"a": constant(0.1), "b": constant(0.2)})
    assert workplace.make({"a": constant(0.2), "b": constant(0.2)}) == []
    assert workplace.make({"a": constant(0.2), "b": constant(0.2)}, seeds=3) == ["a s2"]


@pytest.mark.acceptance
def test_redo_trains_every_run_even_of_equal_arms(workplace: Workplace) -> None:
    arms = {"a": constant(0.1), "c": constant(0.1)}
    workplace.make(arms)
    assert workplace.make(arms, Options(redo=True)) == ["a s0", "c s0", "a s1", "c s1"]
    assert workplace.make({"e": constant(0.1)}, Options(redo=True), seeds=1) == ["e s0"]


@pytest.mark.acceptance
def test_the_run_that_was_made_last_is_copied(workplace: Workplace) -> None:
    workplace.make({"a": constant(0.1)})
    workplace.make({"b": constant(0.1)})
    workplace.executor.accuracy = lambda _: 0.25
    assert len(workplace.make({"b": constant(0.1)}, Options(redo=True))) == 2
    assert workplace.make({"c": constant(0.1)}) == []
    assert [run.evaluations["test_accuracy"].iloc[-1] for run in workplace.runs().values()] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param(name, damage, marks=[] if row == column < 2 else pytest.mark.acceptance)
        for row, damage in enumerate((edit, truncate, empty, Path.unlink))
        for column, name in enumerate(("run.json", "steps.csv", "evaluations.csv", "test_hits.npy"))
    ],
)
def test_a_damaged_run_is_not_copied_but_trained_and_named(
    workplace: Workplace, capfd: pytest.CaptureFixture[str], name: str, damage: Callable[[Path], None]
) -> None:
    workplace.make({"a": constant(0.1)})
    folder = workplace.runs()["a s0"].folder
    damage(folder / name)
    capfd.readouterr()
    assert workplace.make({"b": constant(0.1)}) == ["b s0"]
    assert f"Warning: {folder / name}: " in capfd.readouterr().err


def test_a_damaged_run_is_mended_by_that_of_an_equal_arm(workplace: Workplace) -> None:
    arms = {"a": constant(0.1), "c": constant(0.1)}
    workplace.make(arms)
    folder = workplace.runs()["a s0"].folder
    truncate(folder / "steps.csv")
    assert workplace.make(arms) == []
    same_numbers(workplace.runs()["a s0"], workplace.runs()["c s0"])


@pytest.mark.acceptance
def test_a_run_without_the_evaluations_asked_for_is_not_copied(workplace: Workplace) -> None:
    clr = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "step_size": "1.25 epochs"}}
    workplace.make({"a": constant(0.1)})
    # The ends of these cycles are new points, for every arm.
    assert workplace.make({"b": constant(0.1), "clr": clr}) == ["b s0", "clr s0", "b s1", "clr s1"]
    # And those that have more of them serve.
    assert workplace.make({"c": constant(0.1)}) == []
    assert workplace.runs()["c s0"].evaluations["step"].tolist() == [20, 40, 60, 80]


def test_a_run_of_the_same_digits_but_another_identity_is_not_copied(workplace: Workplace) -> None:
    workplace.make({"a": constant(0.1), "b": constant(0.2)})
    runs = workplace.runs()
    taken, other = runs["a s0"].folder, runs["b s0"].folder
    digits = taken.name[-8:]
    shutil.rmtree(taken)
    content = json.loads((other / "run.json").read_text())
    forged = other.rename(other.with_name(f"torch-b-s0-{digits}"))

    (forged / "run.json").write_text(seal({**content, "run_id": forged.name}))
    assert workplace.make({"c": constant(0.1)}) == ["c s0"]


def test_a_run_behind_a_symbolic_link_is_not_copied(workplace: Workplace) -> None:
    workplace.make({"a": constant(0.1)})
    folder = workplace.runs()["a s0"].folder
    elsewhere = workplace.folder / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert workplace.make({"b": constant(0.1)}) == ["b s0"]


def test_the_files_of_a_run_cannot_lead_out_of_its_folder(workplace: Workplace) -> None:

    workplace.make({"a": constant(0.1)})
    folder = workplace.runs()["a s0"].folder
    secret = workplace.folder / "secret"
    secret.write_text("x")
    content = json.loads((folder / "run.json").read_text())
    content["files"][os.path.relpath(secret, folder)] = checksum(b"x")
    (folder / "run.json").write_text(seal(content))
    assert workplace.make({"b": constant(0.1)}) == []
    copy = workplace.runs()["b s0"].folder
    assert sorted(path.name for path in copy.iterdir()) == ["evaluations.csv", "run.json", "steps.csv", "test_hits.npy"]
    assert list(json.loads((copy / "run.json").read_text())["files"]) == [
        "steps.csv",
        "evaluations.csv",
        "test_hits.npy",
    ]


@pytest.mark.acceptance
def test_a_renamed_tuned_arm_tries_nothing_again(workplace: Workplace) -> None:
    tuned = {"schedule": {"name": "constant", "lr": [0.1, 0.05, 0.2]}, "tune": {"seeds": 2}}
    clr = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.3, "cycles": 2}}
    trained = workplace.make({"fixed": tuned, "clr": clr})
    assert len([run for run in trained if run.endswith(("s1000000", "s1000001"))]) == 2 * 4
    assert workplace.make({"flat": tuned, "clr": clr}) == []
    tries = ResultsFolder(workplace.root).search().counted_runs()
    assert {run.key.arm.partition("@")[0] for run in tries} == {"flat"}
    # Another arm at the rate given, or at one that was chosen, has its run already.
    assert workplace.make({"flat": tuned, "clr": clr, "given": constant(0.1)}) == []


@pytest.mark.acceptance
def test_a_range_test_of_its_own_is_not_swept_again_where_its_arm_is_renamed(workplace: Workplace) -> None:
    own = {"schedule": {"name": "constant", "lr": "range_test"}, "optimizer": {"name": "adam"}}

    def sweep(arms: dict[str, Any], **changes: Any) -> int:
        trained = len(workplace.executor.rounds)
        runner = workplace.runner(arms, Options(), **changes)
        spec, sizes, backends = runner.experiment.spec, runner.experiment.sizes, runner.experiment.backends
        for name in arms:
            group = range_test_group(spec, name)
            folder = runner.folder.range_test(group.arm)
            runner.make(folder, range_test_runs(spec, group, sizes, backends), "range test")
            assert len(folder.indexed_runs()) == 2
        return sum(map(len, workplace.executor.rounds[trained:]))

    assert sweep({"a": own}) == 2
    assert sweep({"b": own}) == 0
    assert sorted(path.name for path in (workplace.root / "range-test").glob("*/runs")) == ["runs", "runs"]
    # What the arm overrides becomes the rule: its range test is now that of the spec.
    plain = {"schedule": {"name": "constant", "lr": "range_test"}}
    assert sweep({"c": plain}, optimizer={"name": "adam"}) == 0
    assert sweep({"c": own, "d": own}) == 0
    assert sweep({"c": plain}) == 2


@pytest.mark.acceptance
def test_shards_of_renamed_arms_train_nothing(workplace: Workplace) -> None:
    workplace.make({"a": constant(0.1), "b": constant(0.2)})
    renamed = {"x": constant(0.1), "y": constant(0.2)}
    runner = workplace.runner(renamed, Options(shard=(2, 2)))
    experiment = runner.experiment
    runs = training_runs(experiment.spec, experiment.sizes, experiment.backends, {})
    runner.make(runner.folder, runs, "runs", wanted=runs[2:])
    assert sorted(workplace.runs()) == ["x s1", "y s1"]
    assert workplace.make(renamed) == []
    assert len(workplace.runs()) == 4


def test_where_nothing_is_to_be_done_every_file_is_read_once_and_no_other_run_is_looked_for(
    workplace: Workplace,
) -> None:
    workplace.make({"old": constant(0.1)})
    arms = {"a": constant(0.1), "b": constant(0.1)}
    workplace.make(arms)
    _read_run.cache_clear()
    with counted_reads(workplace.root) as reads:
        assert workplace.make(arms) == []
        folders = [run.folder for run in workplace.runs().values()]
    names = ("run.json", "steps.csv", "evaluations.csv", "test_hits.npy")
    expected = {f"runs/{folder.name}/{name}" for folder in folders for name in names}
    assert len(expected) == 4 * 4
    assert {name: count for name, count in reads.items() if name.startswith("runs/")} == dict.fromkeys(expected, 1)


def test_what_is_counted_while_runs_are_made_is_every_run_once(
    workplace: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    arms = {"a": constant(0.1), "c": constant(0.1)}
    runner = workplace.runner(arms, Options())
    shown = Display(quiet=False)
    runner = Runner(runner.experiment, runner.dataset, Options(), shown, workplace.executor.open, runner.pace)
    runs = training_runs(runner.experiment.spec, runner.experiment.sizes, runner.experiment.backends, {})
    runner.make(runner.folder, runs, "runs")
    assert shown.count == "4 of 4 runs"
    assert capfd.readouterr().err.splitlines()[-1] == "runs: 4 of 4 runs; done"
    runner.make(runner.folder, runs, "runs")
    assert shown.count == "4 of 4 runs"
    assert capfd.readouterr().err == ""
