"""Experiments next to each other, from tables on disk."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from page_samples import sample_spec
from runs_on_disk import findings_of, write_run
from specs import CONSTANT

from clrbench.analysis.summary import has_answer
from clrbench.commands.side_by_side import read_side
from clrbench.errors import ResultsError
from clrbench.report.console import plain
from clrbench.report.side_by_side import Side, sides_data
from clrbench.report.side_by_side import sides_text as coloured_text
from clrbench.spec import Spec, to_yaml
from clrbench.store import ResultsFolder


def sides_text(sides: list[Side], width: int = 100, *, details: bool = False) -> str:
    return plain(coloured_text(sides, width, details=details))


GAINS = [0.8, 0.81, 0.82, 0.83, 0.84, 0.85]
LOSSES = [0.6, 0.59, 0.58, 0.57, 0.56, 0.55]


def write_tables(folder: ResultsFolder, spec: Spec, warnings: list[str] | None = None) -> Path:
    """Write what is committed of an experiment, and return its folder."""
    for name, table in findings_of(folder, spec).tables.items():
        folder.write_table(f"{name}.csv", table)
    folder.write_table("warnings.csv", pd.DataFrame({"warning": warnings or []}, dtype=str))
    folder.begin(to_yaml(spec), [])
    return folder.root


def experiment(
    root: Path, name: str, accuracies: list[float], warnings: list[str] | None = None, **changes: object
) -> Path:
    folder = ResultsFolder(root / name)
    for seed, accuracy in enumerate(accuracies):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.6, 0.4, accuracy])
    return write_tables(folder, sample_spec(**{"name": name, "seeds": len(accuracies), **changes}), warnings)


def test_experiments_stand_in_the_order_named_and_losses_as_large_as_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {"constant": CONSTANT, "clr": {**CONSTANT, "batch_size": 500}}
    experiment(tmp_path, "lost", LOSSES, ["arm clr: confounded"], arms=arms)
    experiment(tmp_path, "won", GAINS)
    monkeypatch.chdir(tmp_path)
    assert sides_text([read_side(Path("lost")), read_side(Path("won"))]).splitlines() == [
        "Candidate - baseline, each experiment for itself; nothing is pooled.",
        "",
        "lost (lost): mlp on mnist, batch 100 or 500, 12 epochs, 6 seeds; accuracy in %, margin 0.1 points",
        "",
        "backend  candidate - baseline      difference, 95 % CI   p      won, tied, lost  verdict",
        "torch    clr - constant (untuned)  -12.5 [-15.0, -10.0]  0.031  0, 0, 6          - worse",
        "Warnings  arm clr: confounded",
        "",
        "won (won): mlp on mnist, batch 100, 12 epochs, 6 seeds; accuracy in %, margin 0.1 points",
        "",
        "backend  candidate - baseline      difference, 95 % CI   p      won, tied, lost  verdict",
        "torch    clr - constant (untuned)  +12.5 [+10.0, +15.0]  0.031  6, 0, 0          + better",
    ]


@pytest.mark.parametrize(
    "width", [40, 80, *(pytest.param(width, marks=pytest.mark.acceptance) for width in (60, 100, 200))]
)
def test_lines_fit_the_terminal_and_no_number_is_cut(width: int, tmp_path: Path) -> None:
    text = sides_text([read_side(experiment(tmp_path, "won", GAINS))], width)
    lines = [line for line in text.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= width
    assert "".join(text.split()).count("better") == 1
    assert ("won, tied, lost" in text) is (width >= 90)
    if width >= 80:
        assert "+12.5 [+10.0, +15.0]  0.031" in text


def test_of_warnings_the_gist_is_shown_and_details_hold_all(tmp_path: Path) -> None:
    side = read_side(experiment(tmp_path, "won", GAINS, ["arm clr: confounded; leave out batch_size"]))
    assert sides_text([side]).endswith("\nWarnings  arm clr: confounded")
    assert sides_text([side], details=True).endswith("\nWarnings  arm clr: confounded; leave out batch_size")


@pytest.mark.parametrize(
    ("rows", "difference"),
    [(100, "+13"), pytest.param(1000, "+12.5", marks=pytest.mark.acceptance), (26_032, "+12.500")],
)
def test_accuracies_have_the_digits_that_the_test_rows_carry(rows: int, difference: str, tmp_path: Path) -> None:
    side = read_side(experiment(tmp_path, "won", GAINS))
    assert f"  {difference} [" in sides_text([replace(side, evidence=side.evidence.assign(rows=rows))])


def test_intervals_have_the_level_of_their_look(tmp_path: Path) -> None:
    side = read_side(experiment(tmp_path, "won", GAINS))
    assert "difference, 97.5 % CI" in sides_text([replace(side, evidence=side.evidence.assign(alpha=0.025))])


def test_nothing_is_won_or_lost_where_runs_are_no_pairs(tmp_path: Path) -> None:
    side = read_side(experiment(tmp_path, "won", GAINS))
    text = sides_text([replace(side, evidence=side.evidence.assign(paired=False))])
    assert "0.031  -                + better" in text


def test_tables_from_before_runs_could_be_no_pairs_have_pairs(tmp_path: Path) -> None:
    folder = ResultsFolder(experiment(tmp_path, "won", GAINS))
    folder.write_table("evidence.csv", folder.read_table("evidence.csv", ()).drop(columns="paired"))
    assert "0.031  6, 0, 0 " in sides_text([read_side(folder.root)])


@pytest.mark.acceptance
def test_data_holds_the_tables_as_they_are_and_no_pooled_value(tmp_path: Path) -> None:
    folders = [experiment(tmp_path, "won", GAINS), experiment(tmp_path, "few", GAINS[:2])]
    found = json.loads(json.dumps(sides_data([read_side(folder) for folder in folders]), allow_nan=False))
    assert set(found) == {"experiments"}
    won, few = found["experiments"]
    assert (won["experiment"], won["results"], won["dataset"], won["metric"]) == (
        "won",
        str(folders[0]),
        "mnist",
        "test_accuracy",
    )
    (verdict,) = won["verdicts"]
    tables = findings_of(ResultsFolder(folders[0]), sample_spec()).tables
    assert verdict["mean_difference"] == tables["comparison"]["mean_difference"][0]
    assert won["summary"][1]["test_accuracy_sd"] == tables["summary"]["test_accuracy_sd"][1]
    assert (verdict["pairs"], verdict["wins"], verdict["verdict"]) == (6, 6, "better")
    (verdict,) = few["verdicts"]
    assert (verdict["ci_low"], verdict["ci_high"], verdict["verdict"]) == (None, None, "cannot tell")
    assert [row["arm"] for row in few["summary"]] == ["constant", "clr"]


@pytest.mark.acceptance
def test_warnings_of_any_text_are_kept_as_they_are_and_a_tuned_baseline_is_not_called_untuned(tmp_path: Path) -> None:
    said = ["nan", "7", 'a "quoted", one', "two\nlines", "arm a: not fully tuned on torch: 0.1 is the best rate"]
    arms = {"constant": {"schedule": {"name": "constant", "lr": {"value": 0.1, "steps": 9}}}, "clr": CONSTANT}
    side = read_side(experiment(tmp_path, "won", GAINS, said, arms=arms))
    assert side.warnings == said
    assert side.untuned == [False]
    (found,) = sides_data([side])["experiments"]
    assert found["warnings"] == said
    assert found["verdicts"][0]["untuned"] is False
    assert "torch    clr - constant        +12.5 " in sides_text([side])
    assert read_side(experiment(tmp_path, "silent", GAINS)).warnings == []


@pytest.mark.acceptance
def test_only_the_metric_of_the_verdict_is_compared(tmp_path: Path) -> None:
    accuracy = experiment(tmp_path, "accuracy", GAINS)
    loss = experiment(tmp_path, "loss", GAINS, verdict={"metric": "test_loss", "margin": 0.01})
    sides = [read_side(accuracy), read_side(loss)]
    assert [[row["metric"] for row in side["verdicts"]] for side in sides_data(sides)["experiments"]] == [
        ["test_accuracy"],
        ["test_loss"],
    ]
    text = sides_text(sides)
    assert "loss in nats, margin 0.01" in text
    assert text.count("+12.5 ") == text.count("-0.1250") == 1


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("metric", "remark"),
    [
        ("test_accuracy", "torch: 1 of 1 run of clr diverged; in accuracy they count as a blind guess."),
        (
            "test_loss",
            "torch: 1 of 1 run of clr diverged; their pairs are left out of the difference, which favours the arm.",
        ),
    ],
)
def test_an_arm_that_only_diverged_leaves_no_answer(metric: str, remark: str, tmp_path: Path) -> None:
    won = read_side(experiment(tmp_path, "won", GAINS))
    folder, spec = ResultsFolder(tmp_path / "wild"), sample_spec(name="wild", seeds=1, verdict={"metric": metric})
    write_run(folder, "constant", 0, [0.4, 0.6, 0.7])
    write_run(folder, "clr", 0, [float("nan")] * 3, status="diverged")
    wild = read_side(write_tables(folder, spec))
    assert has_answer(won.summary)
    assert not has_answer(wild.summary)
    text = sides_text([won, wild])
    assert remark in " ".join(text.split())
    row = "-45.0 [unbounded]" if metric == "test_accuracy" else "no pair "
    assert f"torch    clr - constant (untuned)  {row} " in text
    assert text.count(" run of ") == 1


def test_one_arm_alone_says_that_there_is_nothing_to_compare(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "alone")
    spec = sample_spec(name="alone", seeds=1, arms={"nan": CONSTANT}, baseline="nan")
    write_run(folder, "nan", 0, [0.4, 0.6, 0.7])
    side = read_side(write_tables(folder, spec))
    assert sides_text([side, side]).count("There is nothing to compare") == 2
    assert has_answer(side.summary)


def test_names_that_look_like_numbers_or_gaps_stay_names(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "odd")
    spec = sample_spec(name="odd", seeds=1, arms={"nan": CONSTANT, "007": CONSTANT}, baseline="nan")
    write_run(folder, "nan", 0, [0.4, 0.6, 0.7])
    write_run(folder, "007", 0, [0.4, 0.6, 0.8])
    sides = [read_side(write_tables(folder, spec))]
    assert "torch    007 - nan (untuned)   +10.0 " in sides_text(sides)
    assert [row["arm"] for row in sides_data(sides)["experiments"][0]["summary"]] == ["nan", "007"]


def test_what_is_missing_or_damaged_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"nowhere: there is no spec\.yaml; name the folder of an experiment"):
        read_side(tmp_path / "nowhere")
    root = experiment(tmp_path, "won", GAINS)
    (root / "warnings.csv").unlink()
    with pytest.raises(
        ResultsError, match=r"warnings\.csv: cannot be read .* run clrbench report .*won to write it anew"
    ):
        read_side(root)
    (root / "summary.csv").write_text("backend,arm\ntorch,clr\n")
    with pytest.raises(
        ResultsError, match=r"summary\.csv: got no column runs, diverged, test_accuracy_mean; run clrbench report"
    ):
        read_side(root)
    (root / "comparison.csv").unlink()
    with pytest.raises(
        ResultsError, match=r"comparison\.csv: cannot be read .* run clrbench report .*won to write it anew"
    ):
        read_side(root)
    (root / "spec.yaml").write_text("name: [")
    with pytest.raises(ResultsError, match=r"damaged: .*spec\.yaml"):
        read_side(root)
