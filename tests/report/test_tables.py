"""Tables of runs whose values are known."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from clrbench.report.arm_curves import bands_table
from clrbench.report.verdict import verdict_data, verdict_text
from runs_on_disk import write_run

from clrbench.analysis.comparison import Question, compared, verdict_word
from clrbench.analysis.pairs import mixed_provenance
from clrbench.analysis.tables import Tables, make_tables, thinned_steps
from clrbench.errors import ResultsError
from clrbench.report import write_report
from clrbench.spec import Spec
from clrbench.stats import compare_paired, smallest_detectable_difference
from clrbench.store import ResultsFolder

PAIRS = [("clr", "constant")]


def make_spec(**changes: Any) -> Spec:
    constant = {"schedule": {"name": "constant", "lr": 0.1}}
    content = {
        "name": "test",
        "data": {"dataset": "mnist"},
        "model": {"name": "mlp"},
        "batch_size": 100,
        "duration": "12 epochs",
        "seeds": 6,
        "backends": ("torch",),
        "baseline": "constant",
        "arms": {"constant": constant, "clr": constant},
        "targets": {"test_accuracy": (0.5, 0.9)},
    }
    return Spec.model_validate({**content, **changes})


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures of a report blank, where only its tables and words are looked at."""
    monkeypatch.setattr("clrbench.report.to_png", lambda _: b"")


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path)


def six_pairs(folder: ResultsFolder, clr: list[float]) -> Tables:
    for seed, accuracy in enumerate(clr):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.6, 0.4, accuracy])
    return make_tables(make_spec(), folder.indexed_runs(), PAIRS)


def test_metrics_hold_means_since_the_row_before_and_the_last_rate(folder: ResultsFolder) -> None:
    write_run(folder, "clr", 0, [0.1, 0.2, 0.3])
    metrics = make_tables(make_spec(), folder.indexed_runs(), PAIRS).metrics
    assert ",".join(metrics) == (
        "experiment,backend,arm,seed,epoch,step,lr,train_loss,train_accuracy,validation_loss,validation_accuracy,"
        "test_loss,test_accuracy,status"
    )
    assert metrics["epoch"].tolist() == [1.0, 2.0, 2.5]
    assert metrics["step"].tolist() == [2, 4, 5]
    np.testing.assert_array_equal(metrics["lr"], np.array([0.4, 0.2, 0.1], np.float32))
    np.testing.assert_allclose(metrics["train_loss"], [4.5, 2.5, 1.0], rtol=1e-12)
    np.testing.assert_allclose(metrics["train_accuracy"], [0.9, 0.5, 0.2], rtol=1e-7)
    np.testing.assert_array_equal(metrics["test_accuracy"], [0.1, 0.2, 0.3])
    assert metrics["validation_loss"].isna().all()


def test_comparison_is_that_of_the_paired_ends(folder: ResultsFolder) -> None:
    ends = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]
    comparison = six_pairs(folder, ends).comparison
    assert ",".join(comparison) == (
        "backend,metric,candidate,baseline,pairs,mean_difference,ci_low,ci_high,p_value,wins,ties,losses,verdict"
    )
    row = comparison[comparison["metric"] == "test_accuracy"].iloc[0]
    expected = compare_paired(np.array(ends), np.full(6, 0.7))
    assert (row["pairs"], row["wins"], row["ties"], row["losses"], row["verdict"]) == (6, 6, 0, 0, "better")
    np.testing.assert_allclose(
        row[["mean_difference", "ci_low", "ci_high", "p_value"]].astype(float),
        [expected.mean_difference, expected.ci_low, expected.ci_high, 2 / 64],
        rtol=1e-12,
    )
    loss = comparison[comparison["metric"] == "test_loss"].iloc[0]
    assert (loss["wins"], loss["verdict"]) == (6, "better")
    assert loss["mean_difference"] < 0


def test_the_same_values_in_both_arms_are_neither_better_nor_worse(folder: ResultsFolder) -> None:
    comparison = six_pairs(folder, [0.7] * 6).comparison
    row = comparison[comparison["metric"] == "test_accuracy"].iloc[0]
    assert (row["mean_difference"], row["ci_low"], row["ci_high"], row["p_value"]) == (0, 0, 0, 1)
    assert row["verdict"] == "equivalent"


def test_a_diverged_run_counts_as_a_blind_guess_in_accuracy_and_drops_its_pair_in_loss(folder: ResultsFolder) -> None:
    for seed in range(6):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        if seed:
            write_run(folder, "clr", seed, [0.4, 0.6, 0.7])
    write_run(folder, "clr", 0, [0.4, math.nan, math.nan], status="diverged")
    tables = make_tables(make_spec(), folder.indexed_runs(), PAIRS)
    comparison = tables.comparison.set_index("metric")
    assert comparison.loc["test_accuracy", "mean_difference"] == pytest.approx((0.25 - 0.7) / 6)
    assert (comparison.loc["test_accuracy", "pairs"], comparison.loc["test_loss", "pairs"]) == (6, 5)
    summary = tables.summary.set_index("arm")
    assert (summary.loc["clr", "runs"], summary.loc["clr", "diverged"]) == (6, 1)
    assert summary.loc["clr", "test_accuracy_mean"] == pytest.approx(0.7)
    assert (tables.metrics["status"] == "diverged").sum() == 3
    assert "1 of 6 runs of clr diverged" in verdict_text(make_spec(), tables, [])


def test_a_pair_of_two_versions_is_left_out_and_named(folder: ResultsFolder) -> None:
    for seed in range(7):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.4, 0.6, 0.8], version="2" if seed == 3 else "1")
    runs = folder.indexed_runs()
    comparison = make_tables(make_spec(), runs, PAIRS).comparison
    assert comparison["pairs"].tolist() == [6] * len(comparison)
    (note,) = mixed_provenance(runs, PAIRS)
    assert note.startswith("mixed provenance: torch, seed 3: clr and constant")


def test_summary_statistics(folder: ResultsFolder) -> None:
    ends = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]
    summary = six_pairs(folder, ends).summary
    assert list(summary)[:8] == [
        "backend",
        "arm",
        "runs",
        "diverged",
        "test_accuracy_mean",
        "test_accuracy_sd",
        "test_accuracy_min",
        "test_accuracy_max",
    ]
    row = summary[summary["arm"] == "clr"].iloc[0]
    expected = [np.mean(ends), np.std(ends, ddof=1), 0.71, 0.76]
    np.testing.assert_allclose(row.iloc[4:8].astype(float), expected, rtol=1e-12)


def test_targets_first_and_sustained_crossing_and_a_miss(folder: ResultsFolder) -> None:
    targets = six_pairs(folder, [0.7] * 6).targets
    clr = targets[(targets["arm"] == "clr") & (targets["seed"] == 0)].set_index("target")
    assert clr.loc[0.5, ["first_step", "sustained_step"]].tolist() == [2, 5]
    assert clr.loc[0.5, ["first_epoch", "sustained_epoch"]].tolist() == [1.0, 2.5]
    assert np.isinf(clr.loc[0.9, ["first_step", "sustained_step"]].astype(float)).all()


def test_published_values_stand_among_the_runs(folder: ResultsFolder) -> None:
    for seed, accuracy in enumerate([0.7, 0.8, 0.9]):
        write_run(folder, "clr", seed, [0.1, 0.2, accuracy])
    arms = {"clr": {"schedule": {"name": "constant", "lr": 0.1}, "published": {"test_accuracy": 0.85}}}
    spec = make_spec(arms=arms, baseline="clr", seeds=3)
    tables = make_tables(spec, folder.indexed_runs(), [])
    (row,) = tables.published.to_dict("records")
    assert (row["value"], row["runs"], row["runs_below"], row["median"]) == (0.85, 3, 2, 0.8)
    assert "Published test accuracy of clr: 0.85; on torch, 2 of 3 runs lie below it" in verdict_text(spec, tables, [])


@pytest.mark.usefixtures("undrawn")
def test_one_arm_alone_has_a_comparison_of_headers_only(folder: ResultsFolder) -> None:
    write_run(folder, "constant", 0, [0.1, 0.2, 0.3])
    tables = make_tables(make_spec(), folder.indexed_runs(), [])
    assert tables.comparison.empty
    assert list(tables.comparison)[:3] == ["backend", "metric", "candidate"]
    write_report(folder, make_spec(arms={"constant": {"schedule": {"name": "constant", "lr": 0.1}}}, seeds=1), [])
    assert len((folder.root / "comparison.csv").read_text().splitlines()) == 1
    assert "nothing to compare" in verdict_text(make_spec(), tables, [])


@pytest.mark.parametrize(
    ("differences", "margin", "word"),
    [
        ([0.01] * 5, 0.001, "cannot tell"),
        ([0.01, 0.02, 0.03, 0.01, 0.02, 0.03], 0.001, "better"),
        ([-0.01, -0.02, -0.03, -0.01, -0.02, -0.03], 0.001, "worse"),
        ([0.01, -0.02, 0.03, -0.01, 0.02, -0.03], 0.001, "no difference shown"),
        ([0.0001, -0.0002, 0.0003, -0.0001, 0.0002, -0.0003], 0.001, "equivalent"),
        ([0.0001, -0.0002, 0.0003, -0.0001, 0.0002, -0.0003], None, "no difference shown"),
        ([0.0004] * 6, 0.001, "equivalent"),
    ],
)
def test_verdict_words(differences: list[float], margin: float | None, word: str) -> None:
    question = Question(0.05, margin, higher_is_better=True)
    p_value = compared(np.array(differences), question).p_value
    assert verdict_word(np.array(differences), p_value, question) == word


def test_a_lower_loss_is_better() -> None:
    question = Question(0.05, None, higher_is_better=False)
    assert verdict_word(np.full(6, -0.1), 0.03, question) == "better"


def test_equivalence_shares_the_risk_too() -> None:
    differences = np.array([0.0003, -0.0002, 0.0003, -0.0001, 0.0002, 0.0013, 0.0001, 0.0002])
    alone, shared = (Question(0.05, 0.001, higher_is_better=True, comparisons=n) for n in (1, 6))
    assert verdict_word(differences, 0.5, alone) == "equivalent"
    assert verdict_word(differences, 0.5, shared) == "no difference shown"


def test_comparisons_of_the_primary_metric_share_the_risk(folder: ResultsFolder) -> None:
    constant = {"schedule": {"name": "constant", "lr": 0.1}}
    arms = ["constant", "clr", "third", "fourth"]
    spec = make_spec(arms=dict.fromkeys(arms, constant), seeds=7)
    pairs = [(arm, "constant") for arm in arms[1:]]
    for seed in range(7):
        for i, arm in enumerate(arms):
            write_run(folder, arm, seed, [0.4, 0.6, 0.5 + 0.1 * i + 0.001 * seed * i])
    comparison = make_tables(spec, folder.indexed_runs(), pairs).comparison
    primary = comparison[comparison["metric"] == "test_accuracy"]
    assert primary["verdict"].tolist() == ["better"] * 3
    np.testing.assert_allclose(primary["p_value"], 2 / 2**7)
    six = [run for run in folder.indexed_runs() if run.info["spec"]["seed"] < 6]
    comparison = make_tables(spec, six, pairs).comparison
    primary, exploratory = (comparison[comparison["metric"] == name] for name in ("test_accuracy", "test_loss"))
    assert primary["verdict"].tolist() == ["cannot tell"] * 3
    assert exploratory["verdict"].tolist() == ["better"] * 3


def test_a_comparison_without_a_finite_pair_is_a_row_of_its_own(folder: ResultsFolder) -> None:
    for seed in range(6):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.4, math.nan, math.nan], status="diverged")
    constant = {"schedule": {"name": "constant", "lr": 0.1}}
    for seed in range(6):
        write_run(folder, "third", seed, [0.4, 0.6, 0.8])
    spec = make_spec(arms=dict.fromkeys(["constant", "clr", "third"], constant))
    comparison = make_tables(spec, folder.indexed_runs(), [*PAIRS, ("third", "constant")]).comparison
    loss = comparison[comparison["metric"] == "test_loss"].set_index("candidate")
    assert (loss.loc["clr", "pairs"], loss.loc["clr", "verdict"]) == (0, "cannot tell")
    assert loss.loc["third", "pairs"] == 6


def test_thinned_steps_keep_ends_and_turning_points() -> None:
    step = np.arange(100_000)
    lr = 1 - np.abs(step % 20_001 / 10_000.5 - 1)
    kept = thinned_steps(lr)
    assert {0, 99_999} <= set(kept.tolist())
    assert len(kept) < 500
    np.testing.assert_allclose(np.interp(step, kept, lr[kept]), lr, atol=2e-4)


def test_report_writes_every_contract_file_and_the_same_bytes_again(folder: ResultsFolder) -> None:
    six_pairs(folder, [0.71, 0.74, 0.72, 0.75, 0.73, 0.76])
    report = write_report(folder, make_spec(), ["a warning"])
    names = ["metrics.csv", "summary.csv", "comparison.csv", "targets.csv", "timing.csv"]
    plots = [f"plots/{name}.png" for name in ("train_loss", "test_loss", "test_accuracy", "lr_schedule", "overview")]
    first = {name: (folder.root / name).read_bytes() for name in names + plots}
    write_report(folder, make_spec(), ["a warning"])
    assert {name: (folder.root / name).read_bytes() for name in names + plots} == first
    assert report.text.startswith(
        "torch: clr beats constant. Test accuracy: clr 0.7350, constant 0.7000; difference +0.0350"
    )
    assert report.has_answer
    assert "a warning" in report.text


def test_verdict_data_has_no_infinite_number(folder: ResultsFolder) -> None:
    for seed in range(2):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.4, 0.6, 0.8])
    tables = make_tables(make_spec(), folder.indexed_runs(), PAIRS)
    (verdict,) = verdict_data(make_spec(), tables, [])["verdicts"]
    assert (verdict["verdict"], verdict["ci_low"], verdict["pairs"]) == ("cannot tell", None, 2)
    assert "It would take at least 6 seeds" in verdict_text(make_spec(), tables, [])


@pytest.mark.usefixtures("undrawn")
def test_runs_that_the_spec_does_not_ask_for_are_left_out(folder: ResultsFolder) -> None:
    six_pairs(folder, [0.71, 0.74, 0.72, 0.75, 0.73, 0.76])
    write_run(folder, "dropped", 0, [0.1, 0.2, 0.3])
    report = write_report(folder, make_spec(seeds=(0, 1, 2)), [])
    assert sorted(pd.unique(report.tables.metrics["arm"])) == ["clr", "constant"]
    assert report.tables.summary["runs"].tolist() == [3, 3]


def test_only_the_evaluations_asked_for_count(folder: ResultsFolder) -> None:
    write_run(folder, "clr", 0, [0.1, 0.2, 0.3])
    folder.update_index({"evaluation_steps": {"clr": [4, 5]}})
    metrics = make_tables(make_spec(), folder.indexed_runs(), []).metrics
    assert metrics["step"].tolist() == [4, 5]
    np.testing.assert_allclose(metrics["train_loss"], [3.5, 1.0], rtol=1e-12)


@pytest.mark.usefixtures("undrawn")
def test_a_lost_index_loses_no_run(folder: ResultsFolder) -> None:
    six_pairs(folder, [0.71, 0.74, 0.72, 0.75, 0.73, 0.76])
    whole = write_report(folder, make_spec(), [])
    (folder.root / "experiment.json").unlink()
    again = write_report(folder, make_spec(), [])
    assert not any("not finished" in warning for warning in again.warnings)
    assert sorted(again.tables.summary["arm"]) == sorted(whole.tables.summary["arm"])


@pytest.mark.usefixtures("undrawn")
def test_missing_runs_are_counted(folder: ResultsFolder) -> None:
    six_pairs(folder, [0.71, 0.74, 0.72, 0.75, 0.73, 0.76])
    report = write_report(folder, make_spec(seeds=8), [])
    assert "4 runs are not finished; run `clrbench compare` again to make them" in report.warnings
    assert "4 runs are not finished" in report.text


def test_no_finished_run_is_an_error(folder: ResultsFolder) -> None:
    (folder.root / "runs").mkdir()
    with pytest.raises(ResultsError, match="no run is finished"):
        write_report(folder, make_spec(), [])


def test_bands_are_the_means_and_intervals_that_the_figures_draw(folder: ResultsFolder) -> None:
    ends = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]
    bands = bands_table(six_pairs(folder, ends).metrics, ["constant", "clr"])
    assert list(bands) == ["backend", "arm", "metric", "epoch", "runs", "mean", "ci_low", "ci_high"]
    row = bands[(bands["arm"] == "clr") & (bands["metric"] == "test_accuracy")].iloc[-1]
    expected = scipy.stats.t.interval(0.95, 5, np.mean(ends), scipy.stats.sem(ends))
    assert (row["epoch"], row["runs"]) == (2.5, 6)
    np.testing.assert_allclose(row[["mean", "ci_low", "ci_high"]].astype(float), [np.mean(ends), *expected], rtol=1e-9)


def test_a_primary_metric_amid_a_cycle_is_moved_to_the_last_cycle_end_in_both_arms(folder: ResultsFolder) -> None:
    # Five steps, and cycles of four: training ends amid the second one, and step 4 is the end of the first.
    clr = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "step_size": "2 steps"}}
    spec = make_spec(arms={"constant": {"schedule": {"name": "constant", "lr": 0.1}}, "clr": clr})
    for seed in range(6):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.9])
        write_run(folder, "clr", seed, [0.4, 0.7, 0.5])
    tables = make_tables(spec, folder.indexed_runs(), PAIRS)
    row = tables.comparison.set_index("metric").loc["test_accuracy"]
    assert row["mean_difference"] == pytest.approx(0.1)
    assert row["verdict"] == "better"
    (evidence,) = tables.evidence.to_dict("records")
    assert (evidence["moved"], evidence["epoch"]) == (True, 2.0)
    assert "Compared at epoch 2, the end of the last whole cycle, in both arms" in verdict_text(spec, tables, [])


def test_evidence_of_the_primary_metric(folder: ResultsFolder) -> None:
    ends = [0.72, 0.71, 0.74, 0.7, 0.71, 0.75]
    tables = six_pairs(folder, ends)
    (evidence,) = tables.evidence.to_dict("records")
    sd = np.std(np.array(ends) - 0.7, ddof=1)
    assert (evidence["epoch"], evidence["moved"], evidence["looks"], evidence["comparisons"]) == (2.5, False, 1, 1)
    assert evidence["sd_difference"] == pytest.approx(sd)
    assert evidence["detectable_difference"] == pytest.approx(smallest_detectable_difference(sd, 6, alpha=0.05))
    assert evidence["rows"] == 400
    assert evidence["standard_error"] == pytest.approx(math.sqrt(0.7 * 0.3 / 400))
    text = verdict_text(make_spec(), tables, [])
    assert (
        "Scope: mlp on mnist, this split, these settings. The seeds vary initial weights, batch order, nothing" in text
    )
    assert "The 400 test rows are a sample too: their standard error is 0.0229 in the accuracy of constant" in text


@pytest.mark.usefixtures("undrawn")
def test_a_second_look_with_more_seeds_is_charged_and_the_same_look_again_is_not(folder: ResultsFolder) -> None:
    ends = [0.72, 0.71, 0.74, 0.76, 0.71, 0.75, 0.73]
    six_pairs(folder, ends[:6])
    first = write_report(folder, make_spec(seeds=6), [])
    assert write_report(folder, make_spec(seeds=6), []).text == first.text
    write_run(folder, "constant", 6, [0.4, 0.6, 0.7])
    write_run(folder, "clr", 6, [0.4, 0.6, ends[6]])
    second = write_report(folder, make_spec(seeds=7), [])
    (evidence,) = second.tables.evidence.to_dict("records")
    assert (evidence["looks"], evidence["alpha"]) == (2, 0.025)
    assert "This is look 2, with other seeds than before: the level is 0.05 / 2." in second.text
    assert "97.5 % interval" in second.text
    assert second.tables.comparison["verdict"].iloc[0] == "better"  # 2 / 2**7 is below 0.025; with 6 pairs nothing is
