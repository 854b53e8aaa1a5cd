"""What random small experiments come to: diverged runs, equal and huge values, nan evaluations, missing runs."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specs
from answers import flowing
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from runs_on_disk import EVALUATION_STEPS, findings_of, write_run
from specs import CONSTANT

from clrbench.analysis.collapse import COLLAPSE_COLUMNS
from clrbench.analysis.comparison import COMPARISON_COLUMNS, EVIDENCE_COLUMNS
from clrbench.analysis.cycles import BEST_COLUMNS, CYCLE_COLUMNS, PEAK_COLUMNS
from clrbench.analysis.metrics import METRIC_COLUMNS
from clrbench.analysis.pairs import DIFFERENCE_COLUMNS
from clrbench.analysis.summary import has_answer
from clrbench.analysis.tables import Findings
from clrbench.analysis.targets import TARGET_COLUMNS
from clrbench.analysis.time_to_target import TIME_TO_TARGET_COLUMNS
from clrbench.answer import ExitCode
from clrbench.commands.report import report_experiment
from clrbench.counted import counted
from clrbench.errors import ResultsError
from clrbench.report.text import findings_data
from clrbench.spec import Spec
from clrbench.store import ResultsFolder

COLUMNS = {
    "metrics": METRIC_COLUMNS,
    "comparison": COMPARISON_COLUMNS,
    "evidence": EVIDENCE_COLUMNS,
    "collapse": COLLAPSE_COLUMNS,
    "differences": DIFFERENCE_COLUMNS,
    "targets": TARGET_COLUMNS,
    "time_to_target": TIME_TO_TARGET_COLUMNS,
    "cycles": CYCLE_COLUMNS,
    "best": BEST_COLUMNS,
    "cycle_peaks": PEAK_COLUMNS,
}
TRIANGULAR = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "step_size": "2 steps"}}
METRICS = ("test_accuracy", "test_loss", "train_loss", "train_accuracy")
NUM_STEPS = int(EVALUATION_STEPS[-1])


@dataclass(frozen=True)
class DrawnRun:
    """A run; `diverged_step` is the update at which a mini-batch diverged, if any did."""

    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    train_loss: tuple[float, ...]
    diverged_step: int | None

    @property
    def diverged(self) -> bool:
        return self.diverged_step is not None or not math.isfinite(sum(self.loss))


def values(number: int, *kinds: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, ...]]:
    return st.one_of(*(st.tuples(*[kind] * number) for kind in kinds))


LOSSES = (st.floats(0.01, 3), st.just(1.0), st.floats(1e29, 1e30))
RUNS = st.builds(
    DrawnRun,
    values(3, st.integers(0, 400).map(lambda rows: rows / 400), st.just(0.5)),
    values(3, *LOSSES, st.sampled_from([1.0, math.nan]), st.sampled_from([1.0, math.inf])),
    values(NUM_STEPS, *LOSSES),
    st.one_of(st.none(), st.integers(0, NUM_STEPS - 1)),
)


def make_spec(backends: tuple[str, ...], arms: tuple[str, ...], seeds: int, metric: str) -> Spec:
    return specs.make_spec(
        data={"dataset": "mnist", "validation": "0 rows"},
        duration=f"{NUM_STEPS} steps",
        seeds=seeds,
        backends=backends,
        arms={arm: TRIANGULAR if arm == "clr" else CONSTANT for arm in arms},
        targets={"test_accuracy": (0.5,), "test_loss": "auto"},
        verdict={"metric": metric, "margin": 0.01},
    )


def write(folder: ResultsFolder, runs: dict[tuple[str, str, int], DrawnRun]) -> None:
    (folder.root / "runs").mkdir()
    for (backend, arm, seed), run in runs.items():
        write_run(
            folder,
            arm,
            seed,
            run.accuracy,
            backend=backend,
            status="diverged" if run.diverged else "finished",
            losses=run.loss,
            train_losses=run.train_loss,
            diverged_step=NUM_STEPS if run.diverged_step is None else run.diverged_step,
        )


def check(findings: Findings, runs: dict[tuple[str, str, int], DrawnRun]) -> None:
    tables, text = findings.tables, flowing(findings, details=True)
    for name, columns in COLUMNS.items():
        assert list(tables[name]) == list(columns), name
    drawn = Counter(key[:2] for key in runs)
    diverged = Counter(key[:2] for key, run in runs.items() if run.diverged)
    summary = tables["summary"].set_index(["backend", "arm"])
    assert summary["runs"].to_dict() == dict(drawn)
    assert summary["diverged"].to_dict() == {key: diverged[key] for key in drawn}
    assert len(tables["metrics"]) == len(EVALUATION_STEPS) * len(runs)
    for (backend, arm), number in diverged.items():
        runs_of_arm = counted(drawn[backend, arm], "run")
        assert f"{number} of {runs_of_arm} of {arm} diverged" in text
    assert has_answer(tables["summary"]) == all(diverged[key] < number for key, number in drawn.items())
    alpha = findings.spec.verdict.alpha
    for row in tables["comparison"].to_dict("records"):
        assert row["wins"] + row["ties"] + row["losses"] == row["pairs"]
        assert (row["ci_low"] <= 0 <= row["ci_high"]) == (row["p_value"] > alpha)
        of_both = [diverged[row["backend"], row[role]] for role in ("candidate", "baseline")]
        if row["metric"].endswith("loss") and any(of_both):
            flattered = {"better": of_both[0], "worse": of_both[1], "equivalent": sum(of_both)}
            assert not flattered.get(row["verdict"]) or not left_out(row, runs)
    primary = tables["comparison"].merge(tables["evidence"], on=["backend", "metric", "candidate", "baseline"])
    collapsed = primary["candidate_collapsed"] + primary["baseline_collapsed"] > 0
    assert not (collapsed & (primary["verdict"] == "equivalent")).any()
    assert (tables["collapse"]["diverged"] <= tables["collapse"]["collapsed"]).all()
    assert "nan" not in text.split(), text


def left_out(row: dict[str, Any], runs: dict[tuple[str, str, int], DrawnRun]) -> bool:
    """Return whether a diverged run of the arm that the verdict favours has a partner that did not diverge."""
    arms = (row["candidate"], row["baseline"]) if row["verdict"] == "better" else (row["baseline"], row["candidate"])
    pairs = [
        (runs[row["backend"], arms[0], seed], runs[row["backend"], arms[1], seed])
        for backend, arm, seed in runs
        if (backend, arm) == (row["backend"], arms[0]) and (row["backend"], arms[1], seed) in runs
    ]
    return any(first.diverged and not second.diverged for first, second in pairs)


@pytest.mark.acceptance
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_findings_of_anything_count_every_run_and_never_contradict_themselves(data: st.DataObject) -> None:
    backends = ("torch", "keras")[: data.draw(st.integers(1, 2))]
    arms = ("constant", "clr", "third")[: data.draw(st.integers(1, 3))]
    seeds = data.draw(st.integers(1, 7))
    spec = make_spec(backends, arms, seeds, data.draw(st.sampled_from(METRICS)))
    keys = [(backend, arm, seed) for backend in backends for seed in range(seeds) for arm in arms]
    made = data.draw(st.one_of(st.just(len(keys)), st.integers(0, len(keys))))
    runs = {key: data.draw(RUNS) for key in keys[:made]}
    with tempfile.TemporaryDirectory() as root:
        folder = ResultsFolder(Path(root))
        write(folder, runs)
        if not runs:
            with pytest.raises(ResultsError, match="no run is finished"):
                findings_of(folder, spec)
            return
        findings = findings_of(folder, spec)
        check(findings, runs)
        folder.write_table("metrics.csv", findings.tables["metrics"])
        written = folder.read_table("metrics.csv", METRIC_COLUMNS)
        np.testing.assert_array_equal(written["test_loss"], findings.tables["metrics"]["test_loss"])


def verdicts(findings: Findings) -> dict[str, str]:
    """Return the verdict on each candidate in the primary metric."""
    comparison = findings.tables["comparison"]
    primary = comparison[comparison["metric"] == findings.spec.verdict.metric]
    return dict(zip(primary["candidate"], primary["verdict"], strict=True))


FINE = DrawnRun((0.4, 0.6, 0.7), (0.6, 0.4, 0.3), (1.0,) * NUM_STEPS, None)
AT_ONCE = DrawnRun((math.nan,) * 3, (math.nan,) * 3, (math.inf,) * NUM_STEPS, 0)
AT_LAST = DrawnRun((0.4, 0.6, math.nan), (0.6, 0.4, math.nan), (1.0,) * (NUM_STEPS - 1) + (1e30,), NUM_STEPS - 1)
NAN_EVALUATION = DrawnRun((0.4, 0.6, 0.1), (0.6, 0.4, math.nan), (1.0,) * NUM_STEPS, None)


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("metric", "diverging"),
    [("test_accuracy", {"clr": AT_ONCE, "constant": AT_ONCE}), ("train_loss", {"clr": AT_LAST})],
    ids=["all", "an arm"],
)
def test_a_whole_report_is_drawn_whatever_diverged(diverging: dict[str, DrawnRun], metric: str, tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    runs = {("torch", arm, seed): diverging.get(arm, FINE) for seed in range(2) for arm in ("constant", "clr")}
    write(folder, runs)
    answer = report_experiment(folder, make_spec(("torch",), ("constant", "clr"), 2, metric), [])
    assert answer.exit_code is ExitCode.NO_ANSWER
    assert "2 of 2 runs of clr diverged" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("failed", [AT_ONCE, AT_LAST, NAN_EVALUATION], ids=["at once", "at last", "nan evaluation"])
@pytest.mark.parametrize("metric", ["test_accuracy", "test_loss"])
def test_an_arm_that_diverges_now_and_then_is_never_called_better_for_it(
    metric: str, failed: DrawnRun, tmp_path: Path
) -> None:
    better = DrawnRun((0.5, 0.7, 0.8), (0.5, 0.3, 0.2), (1.0,) * NUM_STEPS, None)
    runs = {
        ("torch", arm, seed): FINE if arm == "constant" else better for seed in range(8) for arm in ("constant", "clr")
    }
    runs["torch", "clr", 3] = failed
    folder = ResultsFolder(tmp_path)
    write(folder, runs)
    findings = findings_of(folder, make_spec(("torch",), ("constant", "clr"), 8, metric))
    text = flowing(findings)
    (row,) = findings_data(findings, [])["verdicts"]
    assert "1 of 8 runs of clr diverged" in text
    if metric == "test_accuracy":
        # At the end of the cycle, where both arms are compared; 1 / 4 classes for the run that diverged, even if later.
        assert row["mean_difference"] == pytest.approx((7 * (0.7 - 0.6) + 0.25 - 0.6) / 8)
        assert (row["pairs"], row["pairs_left_out"], row["verdict"]) == (8, 0, "no difference shown")
    else:
        assert (row["pairs"], row["pairs_left_out"], row["p_value"]) == (7, 1, 2 / 2**7)
        assert row["verdict"] == "cannot tell"
        assert "No verdict on clr: runs diverged in other pairs" in text
    assert row["verdict"] != "better"


def test_what_is_worse_without_its_diverged_runs_is_worse_with_them(tmp_path: Path) -> None:
    worse = DrawnRun((0.3, 0.4, 0.5), (0.7, 0.6, 0.5), (1.0,) * NUM_STEPS, None)
    runs = {
        ("torch", arm, seed): FINE if arm == "constant" else worse for seed in range(8) for arm in ("constant", "clr")
    }
    runs["torch", "clr", 3] = AT_ONCE
    folder = ResultsFolder(tmp_path)
    write(folder, runs)
    (verdict,) = verdicts(findings_of(folder, make_spec(("torch",), ("constant", "clr"), 8, "test_loss"))).values()
    assert verdict == "worse"


def test_arms_that_diverge_together_are_not_equivalent(tmp_path: Path) -> None:
    runs = {("torch", arm, seed): AT_ONCE for seed in range(8) for arm in ("constant", "clr")}
    runs |= {("torch", "third", seed): FINE for seed in range(8)}
    folder = ResultsFolder(tmp_path)
    write(folder, runs)
    findings = findings_of(folder, make_spec(("torch",), ("constant", "clr", "third"), 8, "test_accuracy"))
    assert verdicts(findings) == {"clr": "cannot tell", "third": "better"}
    assert not has_answer(findings.tables["summary"])
