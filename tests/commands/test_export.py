"""`clrbench export`: which arm, on which backend, from a folder of results or from a spec."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from runs_in_memory import make_spec, results_of, stored_run
from runs_on_disk import write_run
from specs import write_spec

from clrbench import cli
from clrbench.analysis.glance import glance
from clrbench.analysis.tables import analyse
from clrbench.answer import Answer, ExitCode
from clrbench.commands.export import Wanted, export
from clrbench.data import Library
from clrbench.errors import ResultsError, SpecError
from clrbench.progress import Display
from clrbench.report.export.command import export_command
from clrbench.spec import to_yaml
from clrbench.store import ResultsFolder

QUIET = Display(quiet=True)
COMPARISON = (
    "backend,metric,candidate,baseline,pairs,mean_difference,ci_low,ci_high,p_value,wins,ties,losses,verdict\n"
    "torch,test_accuracy,clr,constant,6,0.035,0.01,0.05,0.03125,6,0,0,{verdict}\n"
    "torch,test_loss,clr,constant,6,0.035,0.01,0.05,0.03125,6,0,0,worse\n"
)
EVIDENCE = "backend,metric,candidate,baseline,alpha,paired\ntorch,test_accuracy,clr,constant,{alpha},{paired}\n"


def results(
    root: Path,
    verdict: str | None = "better",
    backends: tuple[str, ...] = ("torch",),
    alpha: float = 0.05,
    paired: bool = True,
) -> Path:
    """Write a folder of results, and return it."""
    folder = ResultsFolder(root / "test")
    for backend in backends:
        for arm in ("constant", "clr"):
            write_run(folder, arm, 0, [0.4, 0.6, 0.7], backend=backend)
    spec = make_spec(seeds=1, backends=list(backends))
    folder.begin(to_yaml(spec), [])
    if verdict is not None:
        (folder.root / "comparison.csv").write_text(COMPARISON.format(verdict=verdict), encoding="utf-8")
        (folder.root / "evidence.csv").write_text(EVIDENCE.format(alpha=alpha, paired=paired), encoding="utf-8")
    return folder.root


def exported(
    path: Path, arm: str | None = None, to: Any = "csv", backend: Any = None, out: Path | None = None
) -> Answer:
    return export(path, Wanted(arm, to, backend), out, Library(None), QUIET)


def test_without_an_arm_it_is_the_one_that_won(tmp_path: Path) -> None:
    assert exported(results(tmp_path)).data["arm"] == "clr"


def test_a_baseline_that_won_is_the_winner(tmp_path: Path) -> None:
    found = exported(results(tmp_path, "worse"))
    assert found.data["arm"] == "constant"
    assert "clr against constant: worse (test accuracy +0.0350, 95 % CI" in str(found.data["verdict"])


@pytest.mark.parametrize(("alpha", "level"), [(0.05, "95 %"), (0.025, "97.5 %")])
def test_an_interval_has_the_level_of_its_look(tmp_path: Path, alpha: float, level: str) -> None:
    assert f" {level} CI +0.0100 to +0.0500," in str(exported(results(tmp_path, alpha=alpha)).data["verdict"])


def test_runs_that_are_no_pairs_are_counted_by_side(tmp_path: Path) -> None:
    root = results(tmp_path, paired=False)
    (root / "summary.csv").write_text("backend,arm,runs,diverged\ntorch,clr,7,1\ntorch,constant,5,0\n")
    (root / "given.csv").write_text("backend,arm,runs,diverged\n")
    assert str(exported(root).data["verdict"]).endswith(", p = 0.0312, 6 against 5 runs)")


def test_tables_that_do_not_belong_together_are_to_be_written_anew(tmp_path: Path) -> None:
    root = results(tmp_path)
    (root / "evidence.csv").write_text("backend,candidate,baseline,alpha\ntorch,clr,other,0.05\n")
    with pytest.raises(
        ResultsError, match=r"evidence\.csv: lacks comparisons that comparison\.csv has; run clrbench report"
    ):
        exported(root)


@pytest.mark.parametrize("verdict", ["equivalent", "no difference shown", "cannot tell", None])
def test_where_nobody_won_an_arm_is_to_be_named(tmp_path: Path, verdict: str | None) -> None:
    root = results(tmp_path, verdict)
    found = exported(root)
    assert found.exit_code is ExitCode.NO_ANSWER
    assert found.text.endswith("name an arm with --arm (constant, clr).")
    named = exported(root, "clr")
    assert named.exit_code is ExitCode.DONE
    assert named.data["arm"] == "clr"


@pytest.mark.acceptance
def test_the_rates_are_those_of_the_runs(tmp_path: Path) -> None:
    found = exported(results(tmp_path), "clr", "torch")
    names: dict[str, Any] = {}
    exec(found.text, names)
    assert [names["lr"](step) for step in range(names["NUM_STEPS"])] == [0.1] * 5  # as write_run has it


@pytest.mark.parametrize(
    ("backends", "to", "asked", "taken"),
    [
        (("torch", "keras"), "torch", None, "torch"),
        (("torch", "keras"), "keras", None, "keras"),
        (("torch", "keras"), "csv", None, "torch"),
        (("keras",), "torch", None, "keras"),
        (("torch",), "keras", None, "torch"),
        (("torch", "keras"), "csv", "keras", "keras"),
    ],
)
def test_whose_rates(tmp_path: Path, backends: tuple[str, ...], to: str, asked: str | None, taken: str) -> None:
    assert exported(results(tmp_path, backends=backends), "clr", to, asked).data["backend"] == taken


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"arm": "crl"}, r"--arm: got 'crl'; allowed: constant, clr; did you mean 'clr'\?"),
        ({"arm": "clr", "backend": "keras"}, "--backend: got keras; allowed: torch, which"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        exported(results(tmp_path), **wanted)


def test_a_folder_without_finished_runs_of_the_arm_says_so(tmp_path: Path) -> None:
    root = results(tmp_path)
    for run in (root / "runs").glob("torch-clr-*"):
        run.rename(tmp_path / run.name)
    with pytest.raises(ResultsError):
        exported(root, "clr")


def test_a_folder_that_is_no_experiment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"there is no spec\.yaml"):
        exported(tmp_path)


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a spec in the working folder, of 60,000 rows of MNIST."""
    monkeypatch.chdir(tmp_path)
    arms = {
        "constant": {"schedule": {"name": "constant", "lr": 0.1}},
        "clr": {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 2}},
        "asks": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 2}},
    }
    return write_spec(tmp_path, data={"dataset": "mnist", "train_rows": 1000}, arms=arms, backends=["torch"])


def test_an_arm_of_a_spec_is_exported_without_training(spec: Path) -> None:
    found = exported(spec, "clr")
    table = pd.read_csv(io.StringIO(found.text))
    assert table["step"].tolist() == list(range(1, 41))
    np.testing.assert_allclose(table["lr"][[0, 10, 20, 30]], [0.01, 0.1, 0.01, 0.1])
    assert str(found.data["verdict"]).startswith("none yet")
    assert not (spec.parent / "results").exists()


def test_a_spec_has_no_winner(spec: Path) -> None:
    assert exported(spec).exit_code is ExitCode.NO_ANSWER


def test_rates_that_a_range_test_has_yet_to_find_are_asked_for(spec: Path) -> None:
    with pytest.raises(
        SpecError, match=r"arms\.asks\.schedule: takes its rates from a range test that has not been run yet"
    ):
        exported(spec, "asks")


def test_a_file_is_written_in_place_of_printing(spec: Path) -> None:
    out = spec.parent / "lr.py"
    found = exported(spec, "clr", "torch", out=out)
    assert found.text == f"The schedule of arm clr is written to {out}."
    assert "def make_scheduler" in out.read_text(encoding="utf-8")


def test_the_command_prints_the_file_and_warns_beside_it(spec: Path) -> None:
    done = CliRunner().invoke(cli.main, ["export", str(spec), "--arm", "clr", "--to", "csv"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["step,lr", "1,0.01"]
    assert "Warning: these rates belong to this batch size" in done.stderr


@pytest.mark.parametrize("to", ["torch", "keras"])
def test_a_file_that_bears_its_advice_has_no_other_beside_it(spec: Path, to: str) -> None:
    done = CliRunner().invoke(cli.main, ["export", str(spec), "--arm", "clr", "--to", to])
    assert "set STEPS_PER_EPOCH" in " ".join(done.stdout.split())
    assert "these rates belong" not in done.stderr


@pytest.mark.parametrize(
    ("ends", "backend", "arm"),
    [([0.8] * 6, "torch", "clr"), ([0.6] * 6, "torch", "constant"), ([0.8] * 6, "keras", "clr")],
)
def test_the_answer_of_compare_names_the_command_for_the_best_arm(ends: list[float], backend: Any, arm: str) -> None:
    runs = [
        stored_run(name, seed, {2: 0.4, 4: 0.6, 5: end}, steps_per_epoch=2, backend=backend)
        for name, values in (("constant", [0.7] * 6), ("clr", ends))
        for seed, end in enumerate(values)
    ]
    findings = analyse(results_of(runs, seeds=6, backends=(backend,)))
    command = export_command(Path("a folder/x"), findings.spec, glance(findings))
    assert command == f"clrbench export 'a folder/x' --arm {arm} --to {backend}"
