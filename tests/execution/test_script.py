"""Scripts that train, and thirty that misbehave: one clear answer each, nothing lost, no process left behind."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from fakes import Watching

from clrbench.errors import BackendError
from clrbench.execution import script as module
from clrbench.execution import script_process, script_rows
from clrbench.execution.script import ScriptRun
from clrbench.records import RunLog, Split
from clrbench.spec import RunSpec
from clrbench.spec.train import Train

NUM_STEPS = 4
WHOLE = "for s in 1 2 3 4; do echo $s,0.5,0.0$s,0.9; done >> $CLRBENCH_RUN/metrics.csv"
HEADER = "echo step,train_loss,test_loss,test_accuracy > $CLRBENCH_RUN/metrics.csv"


def make_run(
    folder: Path, body: str, *, timeout: str = "60 s", needs: tuple[str, ...] = ("test_accuracy",)
) -> ScriptRun:
    """Return a run of four updates whose shell script has this body."""
    (folder / "train.sh").write_text(body + "\n", encoding="utf-8")
    train = {"command": "sh train.sh {seed}", "steps_per_epoch": 2, "timeout": timeout}
    content = {
        "backend": "script",
        "arm": "clr",
        "seed": 7,
        "schedule": {"name": "linear_decay", "lr": 0.4, "end_lr": 0.1},
        "num_steps": NUM_STEPS,
        "steps_per_epoch": 2,
        "evaluation_steps": (2, 4),
        "evaluated_splits": ("validation", "test"),
        "divergence_factor": 1000.0,
        "train": train,
    }
    run = RunSpec.model_validate(content)
    return ScriptRun("script-clr-s7-0", run, Train.model_validate(train), folder, folder / "work", needs)


def marked_processes(folder: Path) -> list[int]:
    """Return the processes that carry the mark of a run folder."""
    mark = f"CLRBENCH_RUN={folder.resolve()}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True)
def _no_process_is_left(tmp_path: Path) -> object:
    yield
    deadline = time.monotonic() + 5
    while (left := marked_processes(tmp_path / "work")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def made(run: ScriptRun, watching: Watching | None = None) -> RunLog:
    log = run.make(watching or Watching())
    assert log is not None
    return log


def test_what_a_script_writes_becomes_the_log_of_its_run(tmp_path: Path) -> None:
    body = f"""{HEADER}
    sed -n 2p $CLRBENCH_RUN/lr.csv; echo seed $1
    {WHOLE}"""
    run, watching = make_run(tmp_path, body), Watching()
    log = made(run, watching)
    assert (log.status, log.reason) == ("finished", None)
    np.testing.assert_array_equal(log.steps.lr, np.linspace(0.4, 0.1, NUM_STEPS, dtype=np.float32))
    np.testing.assert_array_equal(log.steps.loss, np.full(NUM_STEPS, 0.5, np.float32))
    assert np.isnan(log.steps.accuracy).all()
    assert [one.loss for one in log.evaluations[Split.TEST]] == [0.02, 0.04]
    assert [one.accuracy for one in log.evaluations[Split.TEST]] == [0.9, 0.9]
    assert all(np.isnan(one.loss) for one in log.evaluations[Split.VALIDATION])
    assert log.kept["train.log"] == b"1,0.4\nseed 7\n"
    assert log.kept["metrics.csv"].decode().startswith("step,train_loss,test_loss,test_accuracy\n1,0.5,0.01,0.9\n")
    assert watching.warnings == []
    about = json.loads((run.folder / "run.json").read_text())
    assert about == {
        **{"arm": "clr", "seed": 7, "num_steps": 4, "steps_per_epoch": 2, "evaluation_steps": [2, 4]},
        "resumes": False,
    }


def test_a_try_is_told_its_arm_and_rates_without_exponents(tmp_path: Path) -> None:
    made_run = make_run(tmp_path, f"{HEADER}; {WHOLE}")
    schedule = made_run.run.schedule.model_copy(update={"lr": 3e-5, "end_lr": 1.5e-10})
    run = made_run.run.model_copy(update={"arm": "clr@3e-05", "schedule": schedule})
    tried = replace(made_run, run=run, purpose="search")
    made(tried)
    assert json.loads((tried.folder / "run.json").read_text())["arm"] == "clr"
    rates = [line.split(",")[1] for line in (tried.folder / "lr.csv").read_text().splitlines()[1:]]
    assert all(re.fullmatch(r"0\.0000\d+", rate) for rate in rates)
    np.testing.assert_array_equal(np.array(rates, np.float32), tried.lr())


def test_metrics_of_any_name_are_kept_at_the_evaluations(tmp_path: Path) -> None:
    body = """echo step,test_f1,perplexity,test_accuracy > $CLRBENCH_RUN/metrics.csv
    echo 2,0.3,20,0.5 >> $CLRBENCH_RUN/metrics.csv
    echo 3,0.4,15, >> $CLRBENCH_RUN/metrics.csv
    echo 4,0.5,,0.7 >> $CLRBENCH_RUN/metrics.csv"""
    log = made(make_run(tmp_path, body))
    np.testing.assert_array_equal(log.own["test_f1"], [0.3, 0.5])
    np.testing.assert_array_equal(log.own["perplexity"], [20.0, np.nan])
    assert list(log.own) == ["test_f1", "perplexity"]


class Fault(NamedTuple):
    """A script that fails, and what is said of it."""

    name: str
    body: str
    said: str


FAULTS = (
    Fault("writes nothing", "echo hello", r"wrote no metrics\.csv into its run folder.*\n  \| hello"),
    Fault("prints nothing either", "true", "wrote no metrics.csv.*it printed nothing"),
    Fault(
        "writes elsewhere",
        f"cd /tmp; {WHOLE.replace('$CLRBENCH_RUN/metrics.csv', '/dev/null')}",
        "wrote no metrics.csv",
    ),
    Fault("only a header", HEADER, "wrote nothing but the header into metrics.csv"),
    Fault("an empty file", ": > $CLRBENCH_RUN/metrics.csv", "begins metrics.csv with ''; its first line must name"),
    Fault("no header", WHOLE, "begins metrics.csv with '1,0.5,0.01,0.9'"),
    Fault(
        "semicolons", "printf 'step;test_accuracy\\n4;1\\n' > $CLRBENCH_RUN/metrics.csv", "with 'step;test_accuracy'"
    ),
    Fault(
        "no step", "printf 'test_accuracy\\n1\\n' > $CLRBENCH_RUN/metrics.csv", "its first line must name the columns"
    ),
    Fault("a column twice", "printf 'step,a,a\\n4,1,2\\n' > $CLRBENCH_RUN/metrics.csv", "a column twice"),
    Fault("a reserved column", "printf 'step,seed\\n4,1\\n' > $CLRBENCH_RUN/metrics.csv", "the column 'seed'"),
    Fault(
        "words for numbers",
        f"{HEADER}; echo 4,low,0,1 >> $CLRBENCH_RUN/metrics.csv",
        "train_loss 'low', which is not a number",
    ),
    Fault("too many fields", f"{HEADER}; echo 4,1,2,3,4,5 >> $CLRBENCH_RUN/metrics.csv", "line 2 .* has 6 fields"),
    Fault(
        "step 0", f"{HEADER}; echo 0,1,1,1 >> $CLRBENCH_RUN/metrics.csv", "has the step 0; step n means after n updates"
    ),
    Fault(
        "a step past the end",
        f"{HEADER}; {WHOLE}; echo 5,1,1,1 >> $CLRBENCH_RUN/metrics.csv",
        "the step 5;.*the last 4",
    ),
    Fault("half a step", f"{HEADER}; echo 1.5,1,1,1 >> $CLRBENCH_RUN/metrics.csv", "has the step 1.5"),
    Fault("a step that is no number", f"{HEADER}; echo x,1,1,1 >> $CLRBENCH_RUN/metrics.csv", "has the step 'x'"),
    Fault(
        "a step twice",
        f"{HEADER}; {WHOLE}; echo 3,0.6,0,1 >> $CLRBENCH_RUN/metrics.csv",
        "train_loss of step 3 once more",
    ),
    Fault("binary", "head -c 999 /dev/zero | tr '\\0' '\\377' > $CLRBENCH_RUN/metrics.csv", "not CSV in UTF-8"),
    Fault(
        "ends too soon",
        f"{HEADER}; echo 2,0.5,0.1,0.9 >> $CLRBENCH_RUN/metrics.csv",
        "no test_accuracy for step 4.*of step 2",
    ),
    Fault(
        "not the metric",
        "printf 'step,accuracy\\n4,1\\n' > $CLRBENCH_RUN/metrics.csv",
        "wrote no test_accuracy for step 4, its last: it wrote accuracy",
    ),
    Fault(
        "other rates",
        "printf 'step,lr,test_accuracy\\n1,0.4,1\\n2,0.4,1\\n4,0.4,1\\n' > $CLRBENCH_RUN/metrics.csv",
        "update 2 used a learning rate of 0.4, but its table, lr.csv, has 0.3 there",
    ),
    Fault("an error", f"{HEADER}; {WHOLE}; echo Traceback >&2; exit 3", r"exit code 3.*\n  \| Traceback"),
    Fault(
        "a Python without clrbench", "python3 -S -I -c 'import clrbench'", r"exit code 1; its Python has no clrbench: "
    ),
    Fault("a command that is not there", "no-such-program", "exit code 127"),
    Fault("a signal", f"{HEADER}; {WHOLE}; kill -SEGV $$", "ended by SIGSEGV"),
    Fault("killed", "kill -KILL $$", "ended by SIGKILL, perhaps for lack of memory"),
    Fault("goes on for ever", "while :; do sleep 1; done", "ran longer than train.timeout, 1.5 s, and was stopped"),
    Fault("ignores SIGTERM", "trap '' TERM INT HUP; while :; do sleep 1; done", "ran longer than train.timeout"),
    Fault("waits for input", "read x || exit 9", "exit code 9"),
    Fault("forks for ever", "sleep 300 & sleep 300 & wait", "ran longer than train.timeout"),
    Fault("a folder in place of a file", "mkdir $CLRBENCH_RUN/metrics.csv", "wrote no metrics.csv"),
    Fault("removes its folder", "rm -r $CLRBENCH_RUN", "wrote no metrics.csv|cannot be read"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_script_that_misbehaves_gets_one_clear_answer(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script_process, "GRACE_SECONDS", 0.3)
    timeout = "1.5 s" if "timeout" in fault.said else "60 s"
    run = make_run(tmp_path, fault.body, timeout=timeout)
    with pytest.raises(BackendError, match=f"(?s)^script-clr-s7-0: .*({fault.said})") as caught:
        run.make(Watching())
    assert str(run.folder) in str(caught.value)


def test_the_last_twenty_lines_are_shown_and_control_codes_are_not(tmp_path: Path) -> None:
    run = make_run(tmp_path, "for i in $(seq 30); do echo line $i; done; printf '\\033[31mred\\033[0m\\n'; exit 1")
    with pytest.raises(BackendError) as caught:
        run.make(Watching())
    shown = [line for line in str(caught.value).splitlines() if line.startswith("  | ")]
    assert shown[0] == "  | line 12"
    assert shown[-1] == "  |  [31mred [0m"
    assert len(shown) == 20
    assert run.log.read_text().startswith("line 1\n")  # the whole of it stays


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ("nan", "train_loss after update 2 is nan, not finite"),
        ("inf", "train_loss after update 2 is inf, not finite"),
        ("600", "train_loss after update 2 is 600, past 500, 1000 times the largest of the first ones"),
    ],
)
def test_a_loss_past_all_bounds_is_a_diverged_run(
    values: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script_rows, "FIRST_LOSSES", 1)
    body = f"{HEADER}; echo 1,0.5,0.1,0.9 >> $CLRBENCH_RUN/metrics.csv; echo 2,{values},0.1,0.9 >> $CLRBENCH_RUN/metrics.csv"
    log = made(make_run(tmp_path, f"{body}; exit 1"))  # an error after that is no other news
    assert (log.status, log.reason) == ("diverged", reason)
    assert np.isfinite(log.steps.lr).tolist() == [True, True, False, False]
    assert all(np.isnan(one.accuracy) for one in log.evaluations[Split.TEST])


def test_a_script_that_goes_on_after_nan_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_process, "GRACE_SECONDS", 0.3)
    started = time.monotonic()
    log = made(make_run(tmp_path, f"{HEADER}; echo 1,nan,1,1 >> $CLRBENCH_RUN/metrics.csv; sleep 60"))
    assert log.status == "diverged"
    assert time.monotonic() - started < 30


def test_a_metric_of_the_verdict_that_is_nan_at_the_end_is_a_diverged_run(tmp_path: Path) -> None:
    log = made(make_run(tmp_path, f"{HEADER}; echo 4,0.5,0.1,nan >> $CLRBENCH_RUN/metrics.csv"))
    assert (log.status, log.reason) == ("diverged", "test_accuracy at the end is nan")


@pytest.mark.acceptance
def test_a_million_rows_are_read_or_refused(tmp_path: Path) -> None:
    rows = 'awk \'BEGIN {print "step,test_accuracy"; for (i = 0; i < 1e6; i++) print i % 4 + 1 ",0.5"}\''
    log = made(make_run(tmp_path, f"{rows} > $CLRBENCH_RUN/metrics.csv"))
    assert [one.accuracy for one in log.evaluations[Split.TEST]] == [0.5, 0.5]


def test_endless_output_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_process, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(module, "MAX_LOG_BYTES", 1_000_000)
    with pytest.raises(BackendError, match="printed more than 1 MB, and was stopped"):
        make_run(tmp_path, "yes").make(Watching())


@pytest.mark.parametrize(
    "way",
    [
        "sleep 300 &",
        "setsid sleep 300 &",
        "nohup setsid sh -c 'sleep 300 & wait' &",
        "(setsid sleep 300 &);",
        "printf 'exec sh loop.sh' > loop.sh; setsid sh loop.sh &",  # has no environment half of the time
        "env -i PATH=$PATH setsid sleep 300 &",
        "env -i PATH=$PATH setsid sh -c '(setsid sleep 300 &)' &",
    ],
)
def test_what_a_script_leaves_running_is_ended_and_said(way: str, tmp_path: Path) -> None:
    watching = Watching()
    log = made(make_run(tmp_path, f"{HEADER}; {way} {WHOLE}"), watching)
    assert log.status == "finished"
    (warning,) = watching.warnings
    assert "left" in warning
    assert "running, now ended" in warning


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="orphans are handed over on Linux alone")
def test_orphans_that_end_are_reaped(tmp_path: Path) -> None:
    zombies = """cat /proc/[0-9]*/stat 2>/dev/null | awk -v of=$PPID '$3 == "Z" && $4 == of' | wc -l"""
    run = make_run(tmp_path, f"{HEADER}; for i in 1 2 3 4 5 6 7 8 9; do (true &); done; sleep 0.5; {zombies}; {WHOLE}")
    assert made(run).status == "finished"
    assert run.log.read_text().split() == ["0"]


def test_a_run_that_is_stopped_keeps_what_the_script_has_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_process, "GRACE_SECONDS", 5.0)
    body = f"""if [ -e $CLRBENCH_RUN/kept ]; then
      cat $CLRBENCH_RUN/kept; echo 3,0.5,1,1 >> $CLRBENCH_RUN/metrics.csv; echo 4,0.5,1,1 >> $CLRBENCH_RUN/metrics.csv; exit; fi
    trap 'echo step 2 > $CLRBENCH_RUN/kept; printf 3,0. >> $CLRBENCH_RUN/metrics.csv; exit 0' TERM
    {HEADER}; echo 1,0.5,1,1 >> $CLRBENCH_RUN/metrics.csv; echo 2,0.5,1,1 >> $CLRBENCH_RUN/metrics.csv
    while :; do sleep 0.05; done"""
    run, watching = make_run(tmp_path, body), Watching()
    watching.stops = lambda: watching.steps == 2
    assert run.make(watching) is None
    log = made(run)
    assert json.loads((run.folder / "run.json").read_text())["resumes"] is True
    assert log.kept["train.log"].endswith(b"step 2\n")
    assert log.steps.loss.tolist() == [0.5] * 4


def test_a_run_that_is_stopped_without_files_of_its_own_starts_anew(tmp_path: Path) -> None:
    body = (
        f"{HEADER}; echo 1,0.9,1,1 >> $CLRBENCH_RUN/metrics.csv; [ -e again ] || sleep 60; {WHOLE.replace('1 2', '2')}"
    )
    run, watching = make_run(tmp_path, body), Watching()
    watching.stops = lambda: watching.steps == 1
    assert run.make(watching) is None
    (tmp_path / "again").touch()
    assert made(run).steps.loss.tolist() == pytest.approx([0.9, 0.5, 0.5, 0.5])


def test_the_script_ends_with_the_process_that_runs_it(tmp_path: Path) -> None:
    """Even where that is killed, as a worker is whose memory runs out."""
    run = make_run(tmp_path, "echo $$ > pid; sleep 300")
    child = get_context("spawn").Process(target=run.make, args=(Watching(),))
    child.start()
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child.kill()
    child.join()


def test_threads_reach_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    log = made(make_run(tmp_path, f"{HEADER}; echo $OMP_NUM_THREADS; {WHOLE}"))
    assert log.kept["train.log"] == b"3\n"
