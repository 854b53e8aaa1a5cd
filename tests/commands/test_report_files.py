"""What a report writes and answers, from runs whose values are known; nothing is trained."""

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from range_test_runs import Curve, flat, peak_at, read_test, write_test
from range_test_runs import make_spec as make_range_test_spec
from reads import counted_reads
from runs_in_memory import make_spec
from runs_on_disk import write_run
from specs import CONSTANT

from clrbench import stats
from clrbench.analysis import tables
from clrbench.analysis.tables import TABLES, Table
from clrbench.answer import ExitCode
from clrbench.commands import write_report
from clrbench.commands.exit_codes import FailIf
from clrbench.commands.report import Asked, range_tests_answer, report, report_experiment, write_range_test
from clrbench.errors import ResultsError
from clrbench.report import page
from clrbench.spec import Spec, to_yaml
from clrbench.store import ResultsFolder
from clrbench.store.bounds import bounds_to_json
from clrbench.store.curve_fits import fits_of
from clrbench.store.index import INDEX_FILE
from clrbench.store.run import _read_run
from clrbench.store.stamp import Stamp

ENDS = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]
TARGETS = {"test_accuracy": (0.5, 0.9)}


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path)


def write_pairs(folder: ResultsFolder, clr: list[float]) -> Spec:
    """Write pairs of runs of which clr has these ends, and return their spec."""
    for seed, accuracy in enumerate(clr):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.6, 0.4, accuracy])
    return make_spec(seeds=len(clr), targets=TARGETS)


@pytest.mark.acceptance
def test_report_writes_every_contract_file_and_the_same_bytes_again(folder: ResultsFolder) -> None:
    spec = write_pairs(folder, ENDS)
    answer = report_experiment(folder, spec, ["a warning"])
    names = [f"{table.name}.csv" for table in TABLES if table.name not in {"search", "chosen", "cost_curve", "starts"}]
    assert {"metrics.csv", "summary.csv", "comparison.csv", "targets.csv", "timing.csv"} <= set(names)
    plots = [f"plots/{name}.png" for name in ("train_loss", "test_loss", "test_accuracy", "lr_schedule", "overview")]
    first = {name: (folder.root / name).read_bytes() for name in [*names, *plots, "report.html"]}
    again = report_experiment(folder, spec, ["a warning"])
    assert {name: (folder.root / name).read_bytes() for name in first} == first
    assert (again.data, again.shown(100)) == (answer.data, answer.shown(100))
    lines = answer.shown(100).splitlines()
    assert "Verdict   torch: clr beats constant (untuned)." in click.unstyle("\n".join(lines))
    assert answer.exit_code is ExitCode.DONE
    assert [click.unstyle(line) for line in lines[-2:]] == [
        "Warnings  a warning",
        f"Page      {folder.root / 'report.html'}",
    ]
    assert (answer.data["warnings"], answer.data["results"]) == (["a warning"], str(folder.root))


@pytest.mark.usefixtures("undrawn")
def test_every_table_is_written_as_it_was_built(folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    new = Table("about/lengths", "A caption of its own", lambda found: pd.DataFrame({"length": [len(found.runs)]}))
    for module in (tables, page):
        monkeypatch.setattr(module, "TABLES", (*TABLES, new))
    report_experiment(folder, write_pairs(folder, ENDS), [])
    assert (folder.root / "about" / "lengths.csv").read_text() == "length\n12\n"
    shown = (folder.root / "report.html").read_text()
    assert "A caption of its own" in shown
    assert "about/lengths.csv" in shown


@pytest.mark.acceptance
def test_the_band_of_every_curve_is_computed_once(folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return mean_band(*args, **options)

    mean_band = stats.mean_band
    for module in [module for name, module in sys.modules.items() if name.startswith("clrbench.")]:
        if getattr(module, "mean_band", None) is mean_band:
            monkeypatch.setattr(module, "mean_band", counted)
    report_experiment(folder, write_pairs(folder, ENDS[:2]), [])
    bands = pd.read_csv(folder.root / "bands.csv").groupby(["backend", "arm", "metric"]).ngroups
    assert len(calls) == bands == 2 * 7


@pytest.mark.usefixtures("undrawn")
def test_an_experiment_of_one_arm_has_a_comparison_of_headers_only(folder: ResultsFolder) -> None:
    write_run(folder, "constant", 0, [0.1, 0.2, 0.3])
    answer = report_experiment(folder, make_spec(arms={"constant": CONSTANT}, seeds=1), [])
    assert len((folder.root / "comparison.csv").read_text().splitlines()) == 1
    assert "nothing to compare" in answer.shown(100)


@pytest.mark.usefixtures("undrawn")
def test_runs_that_the_spec_does_not_ask_for_stand_in_no_table(folder: ResultsFolder) -> None:
    write_pairs(folder, ENDS)
    write_run(folder, "dropped", 0, [0.1, 0.2, 0.3])
    report_experiment(folder, make_spec(seeds=(0, 1, 2)), [])
    assert sorted(pd.read_csv(folder.root / "metrics.csv")["arm"].unique()) == ["clr", "constant"]
    assert pd.read_csv(folder.root / "summary.csv")["runs"].tolist() == [3, 3]


@pytest.mark.usefixtures("undrawn")
def test_missing_runs_are_warned_about(folder: ResultsFolder) -> None:
    write_pairs(folder, ENDS)
    answer = report_experiment(folder, make_spec(seeds=8), [])
    warning = "4 of 16 runs are not finished; run `clrbench compare` again to make them"
    assert answer.data["warnings"] == [warning]
    assert "No verdict yet: 4 of 16 runs are not finished." in " ".join(click.unstyle(answer.shown(200)).split())


@pytest.mark.acceptance
@pytest.mark.usefixtures("undrawn")
def test_a_lost_index_loses_no_run(folder: ResultsFolder) -> None:
    spec = write_pairs(folder, ENDS)
    whole = report_experiment(folder, spec, [])
    (folder.root / INDEX_FILE).unlink()
    again = report_experiment(folder, spec, [])
    assert not any("not finished" in warning for warning in again.data["warnings"])
    assert sorted(row["arm"] for row in again.data["summary"]) == sorted(row["arm"] for row in whole.data["summary"])


def test_no_finished_run_is_an_error(folder: ResultsFolder) -> None:
    (folder.root / "runs").mkdir()
    with pytest.raises(ResultsError, match="no run is finished"):
        report_experiment(folder, make_spec(), [])


@pytest.mark.acceptance
@pytest.mark.usefixtures("undrawn")
def test_a_second_look_with_more_seeds_is_charged_and_the_same_look_again_is_not(folder: ResultsFolder) -> None:
    ends = [0.72, 0.71, 0.74, 0.76, 0.71, 0.75, 0.73]
    spec = write_pairs(folder, ends[:6])
    first = report_experiment(folder, spec, [])
    assert report_experiment(folder, spec, []).shown(100) == first.shown(100)
    second = report_experiment(folder, write_pairs(folder, ends), [])
    (verdict,) = second.data["verdicts"]
    assert (verdict["looks"], verdict["alpha"], verdict["verdict"]) == (2, 0.025, "better")
    assert "torch: clr beats constant (untuned). Interim look 2: judged at alpha 0.05 / 2" in second.shown(200)
    assert "97.5 % CI" in second.shown(100)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("end", "fail_if", "code"),
    [
        (0.8, "not-better", ExitCode.DONE),
        pytest.param(0.8, "worse", ExitCode.DONE, marks=pytest.mark.acceptance),
        pytest.param(0.7, "not-better", ExitCode.CONDITION_HOLDS, marks=pytest.mark.acceptance),
        pytest.param(0.7, "worse", ExitCode.DONE, marks=pytest.mark.acceptance),
        pytest.param(0.6, "worse", ExitCode.CONDITION_HOLDS, marks=pytest.mark.acceptance),
        pytest.param(0.6, None, ExitCode.DONE, marks=pytest.mark.acceptance),
        (math.nan, "worse", ExitCode.NO_ANSWER),
    ],
)
def test_the_exit_code_says_what_was_asked(
    folder: ResultsFolder, end: float, fail_if: FailIf | None, code: ExitCode
) -> None:
    for seed in range(6):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.4, 0.6, end], status="diverged" if math.isnan(end) else "finished")
    found = {"schedule": {"name": "constant", "lr": {"value": 0.1, "steps": 9}}}
    spec = make_spec(seeds=6, arms={"constant": found, "clr": CONSTANT})
    for allow_untuned in (False, True):
        assert report_experiment(folder, spec, [], Asked(fail_if, allow_untuned=allow_untuned)).exit_code is code
    # The word in the table is that of the numbers; only what counts as not better depends on how the baseline was found.
    untuned, condition = make_spec(seeds=6), fail_if == "not-better"
    answer = report_experiment(folder, untuned, [], Asked(fail_if))
    refused = condition and end == 0.8
    assert answer.exit_code is (ExitCode.CONDITION_HOLDS if refused else code)
    sentence = (
        "--fail-if not-better: better than an untuned baseline counts as not better (clr against constant on torch); tune the "
        "baseline, or give --allow-untuned."
    )
    assert (sentence in answer.shown(100)) is refused
    allowed = report_experiment(folder, untuned, [], Asked(fail_if, allow_untuned=True))
    assert allowed.exit_code is code
    assert "allow-untuned" not in allowed.shown(100)
    assert allowed.data == answer.data


@pytest.mark.acceptance
@pytest.mark.usefixtures("undrawn")
def test_the_warnings_of_the_spec_and_of_its_findings_are_written(folder: ResultsFolder) -> None:
    write_pairs(folder, ENDS)
    report_experiment(folder, make_spec(seeds=8), ['arm clr: confounded, "so" it is'])
    missing = "4 of 16 runs are not finished; run `clrbench compare` again to make them"
    table = folder.read_table("warnings.csv", ("warning",))
    assert table["warning"].tolist() == ['arm clr: confounded, "so" it is', missing]
    report_experiment(folder, make_spec(seeds=6), [])
    assert (folder.root / "warnings.csv").read_text() == "warning\n"


# Range tests.


@pytest.mark.usefixtures("undrawn")
def test_a_range_test_writes_its_tables_and_what_it_comes_to(folder: ResultsFolder) -> None:
    write_range_test(test := read_test(folder.root, peak_at(0.2)))
    assert (folder.root / "bounds.json").read_bytes() == bounds_to_json(test.bounds)
    curve = pd.read_csv(folder.root / "curve.csv")
    assert curve.groupby("seed")["step"].max().tolist() == [120, 120]
    sweeps = pd.read_csv(folder.root / "sweeps.csv")
    pd.testing.assert_frame_equal(sweeps.drop(columns=["stage", "attempt"]), curve)
    assert pd.read_csv(folder.root / "confirmation.csv").empty


@pytest.mark.parametrize(("curve", "code"), [(peak_at(0.2), ExitCode.DONE), (flat, ExitCode.NO_ANSWER)])
def test_a_range_test_without_bounds_is_no_answer(folder: ResultsFolder, curve: Curve, code: ExitCode) -> None:
    write_range_test(test := read_test(folder.root, curve))
    assert (folder.root / "range_test.png").read_bytes().startswith(b"\x89PNG")
    answer = range_tests_answer([test], "a command")
    assert answer.exit_code is code
    assert ("a command" in answer.shown(200)) is (code is ExitCode.NO_ANSWER)
    found = json.loads((folder.root / "bounds.json").read_text())["torch"]
    names = ("base_lr", "max_lr", "constant_lr")
    assert all((found[name] is None) is (code is ExitCode.NO_ANSWER) for name in names)


# `clrbench report` on folders.


def begin(folder: ResultsFolder, spec: Spec, warnings: list[str]) -> None:
    folder.begin(to_yaml(spec), warnings)


@pytest.mark.usefixtures("undrawn")
def test_a_report_on_a_folder_takes_spec_and_warnings_from_it(folder: ResultsFolder) -> None:
    spec = write_pairs(folder, ENDS)
    begin(folder, spec, ["a warning"])
    again, first = report([folder.root]), report_experiment(folder, spec, ["a warning"])
    assert (again.data, again.shown(100), again.exit_code) == (first.data, first.shown(100), first.exit_code)


@pytest.mark.usefixtures("undrawn")
def test_a_report_on_a_range_test_names_what_to_change(folder: ResultsFolder) -> None:
    folder.create()
    begin(folder, make_range_test_spec(), [])
    with pytest.raises(ResultsError, match="there are no run files; run clrbench range-test first"):
        report([folder.root])
    write_test(folder.range_test(None).root, flat)
    answer = report([folder.root])
    assert answer.exit_code is ExitCode.NO_ANSWER
    said = f"change range_test in {folder.root / 'spec.yaml'}, then run clrbench range-test on it"
    assert said in " ".join(click.unstyle(answer.shown(100)).split())


def test_a_folder_without_runs_names_the_command_that_makes_them(folder: ResultsFolder) -> None:
    folder.create()
    begin(folder, make_spec(), [])
    with pytest.raises(ResultsError, match="there is no folder runs/; run clrbench compare first"):
        report([folder.root])


@pytest.mark.usefixtures("undrawn")
def test_a_second_report_with_nothing_new_writes_nothing_and_says_the_same(
    folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_pairs(folder, ENDS)
    first = report_experiment(folder, spec, ["a warning"])
    written = (folder.root / "report.html").stat().st_mtime_ns
    refuse = pytest.fail
    with monkeypatch.context() as only_here:
        only_here.setattr(write_report, "write_report", lambda *_, **__: refuse("it was written again"))
        again = report_experiment(folder, spec, ["a warning"], Asked("not-better"))
    assert json.loads(json.dumps(again.data)) == json.loads(json.dumps(first.data))
    assert again.shown(100).startswith(first.shown(100))
    assert again.exit_code is ExitCode.CONDITION_HOLDS
    assert (folder.root / "report.html").stat().st_mtime_ns == written


@pytest.mark.usefixtures("undrawn")
def test_a_report_opens_each_file_once(folder: ResultsFolder) -> None:
    test = make_range_test_spec()
    spec = write_pairs(folder, ENDS).model_copy(update={"range_test": test.range_test, "batch_size": test.batch_size})
    begin(folder, spec, [])
    write_test(folder.range_test(None).root, peak_at(0.1))
    report([folder.root])  # it is a look at the verdict, which the index records once
    for left in (0, 1):
        if not left:
            (folder.range_test(None).root / ".fits.json").unlink()
        for stamp in folder.root.rglob(".written.json"):
            stamp.unlink()
        fits_of.cache_clear()
        _read_run.cache_clear()
        with counted_reads(folder.root) as reads:
            report([folder.root])
        assert {name for name, count in reads.items() if count > 1} == set()
        assert len([name for name in reads if name.startswith(("runs/", "range-test/runs/"))]) > 40
        assert reads["range-test/.fits.json"] == 1


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "change",
    [
        "run",
        *(
            pytest.param(name, marks=pytest.mark.acceptance)
            for name in ("table", "spec", "page", "new run", "warning", "stamp")
        ),
    ],
)
def test_whatever_changes_is_reported_anew(folder: ResultsFolder, change: str) -> None:
    spec, warnings = write_pairs(folder, ENDS), ["a warning"]
    report_experiment(folder, spec, warnings)
    summary = (folder.root / "summary.csv").read_bytes()
    match change:
        case "table":
            (folder.root / "summary.csv").write_text("backend\n")
        case "page":
            (folder.root / "report.html").unlink()
        case "run":
            write_run(folder, "clr", 0, [0.4, 0.6, 0.9])
        case "new run":
            write_run(folder, "clr", 6, [0.4, 0.6, 0.9])
        case "spec":
            spec = spec.model_copy(update={"seeds": (0, 1, 2)})
        case "warning":
            warnings = ["another"]
        case "stamp":
            (folder.root / ".written.json").write_text("{}")
    (folder.root / "comparison.csv").write_text("gone")
    report_experiment(folder, spec, warnings)
    assert (folder.root / "comparison.csv").read_text() != "gone"
    same = (folder.root / "summary.csv").read_bytes() == summary
    assert same is (change not in {"run", "spec"})


@pytest.mark.usefixtures("undrawn")
def test_a_copy_of_a_folder_is_reported_anew(folder: ResultsFolder, tmp_path_factory: pytest.TempPathFactory) -> None:
    spec = write_pairs(folder, ENDS)
    report_experiment(folder, spec, [])
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(folder.root, copy, copy_function=shutil.copy2)
    assert Stamp(folder, ".written.json", [to_yaml(spec)]).kept() is not None
    assert Stamp(ResultsFolder(copy), ".written.json", [to_yaml(spec)]).kept() is None
