"""`train: command`: scripts of the user's own as arms, from the spec to the page, by the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import run_clrbench

from clrbench.unpaired import compare_unpaired

SCRIPT = r"""
echo "$1" >> "$(dirname "$0")/calls"
awk -F, -v s="$1" '
BEGIN { print "step,lr,train_loss,validation_loss,test_f1,perplexity,test_loss" }
NR > 1 {
    away = log($2 / 0.1); if (away < 0) away = -away
    printf "%d,%s,%.9g,%.9g,%.9g,%.9g,%.9g\n", $1, $2, 2 + s / 10 - $1 / 1000, away + $1 / 1e4 + s % 7 / 1e3,
        0.5 + $2 + (s * 7 % 5) / 1e4, 20 - $2, away
}' "$CLRBENCH_RUN/lr.csv" > "$CLRBENCH_RUN/metrics.csv"
"""
SPEC: dict[str, Any] = {
    "name": "own",
    "train": {"command": "sh train.sh {seed}", "files": ["notes.txt"], "steps_per_epoch": 10},
    "duration": "2 epochs",
    "seeds": 6,
    "metrics": {"test_f1": "higher", "perplexity": "lower"},
    "verdict": {"metric": "test_f1"},
    "targets": {"test_f1": [0.55], "perplexity": [19.95]},
    "arms": {
        "low": {"schedule": {"name": "constant", "lr": 0.03}},
        "high": {"schedule": {"name": "constant", "lr": 0.06}},
    },
}


def lay_out(folder: Path, script: str = SCRIPT, **changes: Any) -> None:
    """Write spec, script and a further file."""
    folder.mkdir(exist_ok=True)
    (folder / "train.sh").write_text(script)
    (folder / "notes.txt").write_text("as they are\n")
    (folder / "spec.yaml").write_text(yaml.safe_dump({**SPEC, **changes}, sort_keys=False))


def run(folder: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line, which must end with this code."""
    done = run_clrbench(*arguments, folder=folder)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "results/own" / name)


def num_calls(folder: Path) -> int:
    calls = folder / "calls"
    return len(calls.read_text().splitlines()) if calls.exists() else 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment whose runs are all made."""
    folder = tmp_path_factory.mktemp("script")
    lay_out(folder)
    done = run(folder, "compare", "spec.yaml")
    (folder / "answer").write_text(done.stdout)
    return folder


def test_metrics_of_the_scripts_own_stand_in_every_table(finished: Path) -> None:
    metrics = table(finished, "metrics.csv")
    assert list(metrics)[-3:] == ["status", "test_f1", "perplexity"]
    assert set(metrics["backend"]) == {"script"}
    ends = metrics[metrics["step"] == 20].set_index(["arm", "seed"])
    seeds = np.arange(6)
    np.testing.assert_allclose(ends.loc["high", "test_f1"], 0.56 + seeds * 7 % 5 / 1e4, rtol=1e-8)
    np.testing.assert_allclose(ends["lr"].loc["low"], 0.03)
    assert ends["train_loss"].loc[("low", 0)] == pytest.approx(2 - np.arange(11, 21).mean() / 1000)
    comparison = table(finished, "comparison.csv").set_index("metric")
    row = comparison.loc["test_f1"]
    assert (row["verdict"], row["wins"], row["pairs"]) == ("better", 6, 6)
    assert row["mean_difference"] == pytest.approx(0.03)
    assert row["p_value"] == 2 / 2**6
    assert comparison.loc["perplexity", "wins"] == 6  # lower is better
    assert "test_f1_mean" in table(finished, "summary.csv")
    reached = table(finished, "targets.csv").groupby(["metric", "arm"])["first_step"].max()
    assert reached.to_dict() == {
        **{("perplexity", "high"): 10.0, ("perplexity", "low"): np.inf},
        **{("test_f1", "high"): 10.0, ("test_f1", "low"): np.inf},
    }


def test_the_answer_says_that_pairs_were_seen(finished: Path) -> None:
    answer = " ".join((finished / "answer").read_text().split())
    assert "own: sh train.sh {seed}, 2 epochs, 6 seeds; test f1" in answer
    assert "high beats low (untuned). Paired: yes (high and low start each seed at the same loss)." in answer
    page = (finished / "results/own/report.html").read_text()
    assert "Paired: yes" in page
    assert (finished / "results/own/plots/test_f1.png").exists()
    assert table(finished, "starts.csv").loc[0, ["pairing", "seeds"]].tolist() == ["seen", 6]


def test_what_a_run_printed_and_wrote_stays_with_it(finished: Path) -> None:
    runs = sorted((finished / "results/own/runs").iterdir())
    assert len(runs) == 12
    assert {path.name for path in runs[0].iterdir()} == {
        *("run.json", "steps.csv", "evaluations.csv", "metrics.csv", "train.log"),
    }
    assert list((finished / "results/own/.scripts").iterdir()) == []
    about = json.loads((runs[0] / "run.json").read_text())
    assert about["provenance"]["environment"] == {}
    assert "model" not in about["spec"]
    assert os.fspath(finished) not in json.dumps(about)


@pytest.mark.acceptance
def test_only_compare_runs_the_script_and_only_for_what_is_missing(finished: Path, tmp_path: Path) -> None:
    calls = num_calls(finished)
    assert calls == 12
    run(finished, "validate", "spec.yaml")
    run(finished, "schedule", "spec.yaml", "--out", tmp_path)
    run(finished, "report", "results/own")
    run(finished, "export", "results/own", "--arm", "high", "--to", "csv")
    run(finished, "export", "spec.yaml", "--arm", "high", "--to", "torch")
    dry = run(finished, "compare", "spec.yaml", "--dry-run").stdout
    assert "about 1 min" in dry
    fresh = run(finished, "compare", "spec.yaml", "--dry-run", "--out", tmp_path).stdout
    assert "time not known" in fresh
    before = (finished / "results/own/metrics.csv").read_bytes()
    run(finished, "compare", "spec.yaml")
    assert num_calls(finished) == calls
    assert (finished / "results/own/metrics.csv").read_bytes() == before


@pytest.mark.acceptance
def test_verify_runs_it_once_more_elsewhere(finished: Path) -> None:
    done = run(finished, "verify", "results/own")
    assert "bit-equal" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["parity", "spec.yaml"], "a script has no second backend"),
        (["data", "bench", "spec.yaml"], "there is no pipeline to measure"),
        (["compare", "spec.yaml", "--device", "cpu"], "chooses its own device"),
    ],
)
def test_what_makes_no_sense_of_a_script_is_refused(arguments: list[str], said: str, finished: Path) -> None:
    done = run(finished, *arguments, code=2)
    assert said in done.stderr


@pytest.mark.acceptance
def test_a_changed_file_is_another_experiment_and_another_interpreter_is_not(tmp_path: Path) -> None:
    lay_out(tmp_path, seeds=1)
    run(tmp_path, "compare", "spec.yaml")
    lay_out(tmp_path, seeds=1, train={**SPEC["train"], "command": "/bin/sh train.sh {seed}"})
    run(tmp_path, "compare", "spec.yaml")
    assert num_calls(tmp_path) == 2
    lay_out(tmp_path, SCRIPT + "# changed\n", seeds=1)
    run(tmp_path, "compare", "spec.yaml")
    assert num_calls(tmp_path) == 4


@pytest.mark.acceptance
def test_shards_make_their_part_and_the_whole_is_the_same(finished: Path, tmp_path: Path) -> None:
    lay_out(tmp_path)
    run(tmp_path, "compare", "spec.yaml", "--shard", "2/2")
    assert num_calls(tmp_path) == 6
    run(tmp_path, "compare", "spec.yaml", "--shard", "1/2")
    run(tmp_path, "report", "results/own")
    assert num_calls(tmp_path) == 12
    for name in ("metrics.csv", "comparison.csv", "summary.csv"):
        assert (tmp_path / "results/own" / name).read_bytes() == (finished / "results/own" / name).read_bytes()


@pytest.mark.acceptance
def test_arms_that_start_apart_are_compared_by_the_test_of_two_samples(tmp_path: Path) -> None:
    lay_out(tmp_path, SCRIPT.replace("2 + s / 10", "2 + s / 10 + $2"))
    answer = " ".join(run(tmp_path, "compare", "spec.yaml").stdout.split())
    assert "Not paired: with seed 0, high starts at a loss of 2.059 and low at 2.029" in answer
    metrics = table(tmp_path, "metrics.csv")
    ends = metrics[metrics["step"] == 20].set_index("arm")["test_f1"]
    expected = compare_unpaired(ends.loc["high"], ends.loc["low"])
    row = table(tmp_path, "comparison.csv").set_index("metric").loc["test_f1"]
    assert (row["p_value"], row["ci_low"], row["ci_high"]) == pytest.approx(
        (expected.p_value, expected.ci_low, expected.ci_high)
    )
    assert (row["wins"], row["losses"], row["verdict"]) == (0, 0, "better")
    assert not table(tmp_path, "evidence.csv")["paired"].any()


@pytest.mark.acceptance
def test_a_seed_that_is_not_used_decides_nothing(tmp_path: Path) -> None:
    lay_out(tmp_path, SCRIPT.replace('-v s="$1"', "-v s=0"))
    answer = " ".join(run(tmp_path, "compare", "spec.yaml").stdout.split())
    assert "does the script use its seed?" in answer
    assert table(tmp_path, "comparison.csv").set_index("metric").loc["test_f1", "verdict"] == "cannot tell"


def test_a_failure_names_the_run_shows_the_output_and_keeps_the_rest(tmp_path: Path) -> None:
    lay_out(tmp_path, '[ "$1" = 3 ] && echo no memory && exit 7\n' + SCRIPT, seeds=4)
    done = run(tmp_path, "compare", "spec.yaml", "--workers", "1", code=1)
    assert "exit code 7" in done.stderr
    assert "| no memory" in done.stderr
    assert num_calls(tmp_path) == 6
    lay_out(tmp_path, seeds=3)
    assert "Traceback" not in done.stderr


def test_a_script_is_told_its_arm_whatever_that_is_called(tmp_path: Path) -> None:
    arms = {
        "find": {"schedule": {"name": "constant", "lr": [0.03, 0.1]}, "tune": {"seeds": 1}},
        "range-test-2": {"schedule": {"name": "constant", "lr": 0.06}},
    }
    note = """grep -o '"arm": "[^"]*"' "$CLRBENCH_RUN/run.json" >> "$(dirname "$0")/told"\n"""
    lay_out(tmp_path, note + SCRIPT, seeds=1, arms=arms, targets={})
    run(tmp_path, "compare", "spec.yaml")
    told = sorted((tmp_path / "told").read_text().splitlines())
    assert told[-1] == '"arm": "range-test-2"'
    assert set(told[:-1]) == {'"arm": "find"'}
    (tmp_path / "told").unlink()
    run(tmp_path, "verify", "results/own", "--all")
    assert sorted((tmp_path / "told").read_text().splitlines()) == told


@pytest.mark.acceptance
def test_range_test_tuned_arm_and_bounds_find_the_rate_of_a_script(tmp_path: Path) -> None:
    arms = {
        "constant": {"schedule": {"name": "constant", "lr": "range_test"}},
        "clr": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 2}},
        "tuned": {"schedule": {"name": "constant", "lr": [0.03, 0.1, 0.3]}, "tune": {"seeds": 2}},
    }
    lay_out(tmp_path, seeds=2, arms=arms, targets={}, range_test={"duration": "10 epochs", "seeds": 2})
    done = run(tmp_path, "compare", "spec.yaml")
    assert "confirmed" in done.stdout
    bounds = json.loads((tmp_path / "results/own/range-test/bounds.json").read_text())["script"]
    assert 0.05 <= bounds["constant_lr"] <= 0.2
    chosen = table(tmp_path, "chosen.csv")
    assert chosen["lr"].tolist() == pytest.approx([0.1])
    assert set(table(tmp_path, "metrics.csv")["arm"]) == {"constant", "clr", "tuned"}


@pytest.mark.acceptance
def test_a_range_test_without_confirmation_reads_training_losses(tmp_path: Path) -> None:
    script = SCRIPT.replace("validation_loss,", "other,").replace("2 + s / 10 - $1 / 1000", "away + 1")
    lay_out(
        tmp_path, script, arms={}, targets={}, range_test={"duration": "10 epochs", "confirm": False, "start_lr": 0.001}
    )
    done = run_clrbench("range-test", "spec.yaml", folder=tmp_path)
    assert done.returncode in {0, 3}, done.stderr
    confirmed = {**SPEC, "arms": {}, "targets": {}, "range_test": {"duration": "10 epochs", "start_lr": 0.001}}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump({**confirmed, "name": "other"}))
    refused = run(tmp_path, "range-test", "spec.yaml", code=1)
    assert "wrote no validation_loss or validation_accuracy" in refused.stderr


@pytest.mark.acceptance
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_command_that_is_killed_leaves_no_process_and_can_be_taken_up_again(tmp_path: Path) -> None:
    lay_out(tmp_path, "[ -e $(dirname $0)/go ] || { trap '' TERM; sleep 100; }\n" + SCRIPT, seeds=1)
    command = [sys.executable, "-m", "clrbench", "compare", "spec.yaml"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while not sleepers(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.3)
        assert sleepers(tmp_path)
        process.send_signal(number)
        process.wait(timeout=60)
        deadline = time.monotonic() + 20
        while sleepers(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert sleepers(tmp_path) == []
    (tmp_path / "go").touch()
    run(tmp_path, "compare", "spec.yaml")
    assert num_calls(tmp_path) == 2


def sleepers(folder: Path) -> list[int]:
    """Return the processes that scripts below a folder have started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            marks = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"CLRBENCH_RUN={folder.resolve()}".encode() in marks:
            found.append(int(entry.name))
    return found
