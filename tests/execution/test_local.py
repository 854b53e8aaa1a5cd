"""Worker processes: a command that is told to stop does so at a checkpoint, and says what continues from there."""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from command_line import run_clrbench, write_spec
from fakes import HASTY, UNHURRIED, command
from kills import Killer, children


def have_ended(workers: list[int]) -> bool:
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(workers) > 0 and not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.acceptance
def test_sigterm_stops_within_five_seconds_at_a_checkpoint_and_says_what_is_done(tmp_path: Path) -> None:
    spec, out = write_spec(tmp_path, backends=["torch"], seeds=1, duration="2000 epochs"), tmp_path / "out"
    killer = Killer(spec, out, command(), random.Random(0))
    process = killer.start()
    killer.wait_until(lambda: len(list(out.glob("quick/.locks/torch-*.lease"))) == 2)
    time.sleep(1)
    workers, started = children(process.pid), time.monotonic()
    # As some schedulers do it: the signal goes to every process of the group.
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert process.returncode == 143
    assert "Traceback" not in errors
    kept = {path.name.split(".")[0] for path in out.glob("quick/.checkpoints/*.json")}
    assert kept
    last = errors.splitlines()[-1]
    assert f"Terminated. 0 of 2 runs are finished, {len(kept)} stand at a checkpoint." in last
    assert last.endswith(f"This continues from there: clrbench compare {spec} --out {out} --workers 2")
    assert have_ended(workers)


@pytest.mark.acceptance
def test_a_command_stopped_by_ctrl_c_is_continued_by_the_one_that_it_names(tmp_path: Path) -> None:
    spec, out = write_spec(tmp_path, backends=["torch"], seeds=1, duration="200 epochs"), tmp_path / "out"
    killer = Killer(spec, out, command(HASTY), random.Random(0))
    process = killer.start()
    killer.wait_until(lambda: len(list(out.glob("quick/.checkpoints/*.json"))) > 0)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    last = errors.splitlines()[-1]
    assert re.match(r"Stopped\. \d of 2 runs are finished, [12] stand at a checkpoint\. ", last)
    named = last.partition("This continues from there: clrbench ")[2].split()
    done = run_clrbench(*named, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(out.glob("quick/.checkpoints/*"))


@pytest.mark.acceptance
def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    # 50,000 updates to the only evaluation take many seconds, without a checkpoint.
    spec = write_spec(
        tmp_path,
        data={"dataset": "mnist", "validation": "500 rows", "train_rows": 50000, "test_rows": 500},
        backends=["torch"],
        batch_size=1,
        seeds=1,
        duration="1 epochs",
    )
    killer = Killer(spec, tmp_path / "out", command(UNHURRIED, grace_seconds=600), random.Random(0))
    process = killer.start()
    killer.wait_until(lambda: len(list(tmp_path.glob("out/quick/.locks/torch-*.lease"))) == 2)
    time.sleep(2)
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    # Long before the workers' time to reach a checkpoint is over, on a busy machine too.
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert have_ended(workers)


@pytest.mark.acceptance
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    spec, out = write_spec(tmp_path, backends=["torch"], seeds=1, duration="2000 epochs"), tmp_path / "out"
    killer = Killer(spec, out, command(), random.Random(0))
    process = killer.start()
    killer.wait_until(lambda: len(list(out.glob("quick/.locks/torch-*.lease"))) == 2)
    workers = children(process.pid)
    killer.kill(process, "kill parent")
    assert have_ended(workers)
