"""Runs through Ray: on a Ray of this machine's own, and on a cluster of two nodes that loses one, its driver, or the disk."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import run_clrbench, write_spec
from fakes import HASTY, command
from kills import leftovers, tables
from ray_cluster import ENVIRONMENT, RayCluster, addresses, ray_cluster, ray_processes, ray_workers
from sent_code_samples import HIDE, KEEPS, ONE_ARM, scripts_running, write_own_code

LONG = {"backends": ["torch"], "seeds": 2, "duration": "100 epochs"}
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, and the same as an address of version 6."""


def runs(folder: Path) -> dict[str, tuple[bytes, ...]]:
    """Return the numbers of each run."""
    names = ("steps.csv", "evaluations.csv", "test_hits.npy")
    return {path.name: tuple((path / name).read_bytes() for name in names) for path in folder.glob("runs/[!.]*")}


def have_ended(before: set[int]) -> bool:
    """Return whether no process of Ray is left, but those that were there before."""
    deadline = time.monotonic() + 20
    while (left := ray_processes() - before) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not left


@pytest.mark.acceptance
def test_a_run_through_ray_is_that_of_a_local_worker_and_leaves_nothing_behind(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"], seeds=1, duration="1 epochs", arms=ONE_ARM)
    before = ray_processes()
    options = ("--quiet", "--workers", "1", "--shard", "1/1")
    done = run_clrbench("compare", spec, "--out", "ray", "--executor", "ray", *options, folder=tmp_path, TMPDIR="/tmp")
    assert done.returncode == 0, done.stderr
    assert have_ended(before)
    assert run_clrbench("compare", spec, "--out", "local", *options, folder=tmp_path).returncode == 0
    found = runs(tmp_path / "ray/quick")
    assert len(found) == 1
    assert found == runs(tmp_path / "local/quick")
    assert list(leftovers(tmp_path / "ray/quick")) == []
    (about,) = tmp_path.glob("ray/quick/runs/*/run.json")
    assert '"executor": "ray"' in about.read_text()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    before = ray_processes()
    with ray_cluster(tmp_path_factory.mktemp("ray")) as found:
        yield found
    assert have_ended(before)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(cluster: RayCluster, tmp_path: Path) -> Iterator[Start]:
    """Start `compare` on the cluster, with a checkpoint after every short stretch."""
    started = []

    def start(spec: Path, *options: str, before: str = "") -> "subprocess.Popen[str]":
        program, flag, code = command(HASTY)
        asked = ["compare", str(spec), "--out", "ray", "--executor", "ray", "--ray-address", cluster.address, *options]
        started.append(
            subprocess.Popen(
                [program, flag, f"{before}\n{code}", *asked],
                cwd=tmp_path,
                env={**os.environ, **ENVIRONMENT},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@contextmanager
def on_its_own_ray(spec: Path, *options: str, **environment: str) -> "Iterator[subprocess.Popen[str]]":
    """Start `compare` on a Ray of its own, in the folder of its spec; it ends with the `with` statement."""
    with subprocess.Popen(
        [*command(), "compare", str(spec), "--out", "ray", "--executor", "ray", *options],
        cwd=spec.parent,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(root: Path, pattern: str, number: int = 1, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while len(list(root.glob(pattern))) < number and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(list(root.glob(pattern))) >= number


def wait_for_two_runs(checkpoints: Path) -> None:
    """Wait until two runs have checkpoints."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if len({path.name.split(".")[0] for path in checkpoints.glob("*.json")}) > 1:
            return
        time.sleep(0.05)
    raise AssertionError


def first_worker(process: "subprocess.Popen[str]") -> int:
    """Return the first worker that the Ray of a command starts, as soon as there is one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if found := ray_workers(process.pid):
            return found[0]
        time.sleep(0.01)
    raise AssertionError


def finish(process: "subprocess.Popen[str]") -> str:
    """Return what a command says on stderr that must end well."""
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors
    return errors


def finish_without_a_node(process: "subprocess.Popen[str]", cluster: RayCluster) -> None:
    """Kill a node: the command must say what it lost and end well."""
    cluster.kill_node()
    try:
        errors = finish(process)
    finally:
        cluster.add_node()
    assert "was lost on node" in errors
    assert "(retry 1 of 3)" in errors


def local(spec: Path, folder: Path) -> dict[str, bytes]:
    """Return the tables that local workers come to."""
    done = run_clrbench("compare", spec, "--out", "local", "--quiet", folder=folder)
    assert done.returncode == 0, done.stderr
    return tables(folder / "local/quick")


OWN_FUNCTION = """
import numpy as np
def data():
    arrays = np.load({path!r})
    return {{key: arrays[key] for key in arrays}}
"""


@pytest.mark.acceptance
@pytest.mark.parametrize("kind", ["npz", "function", "both backends"])
def test_two_nodes_come_to_the_tables_of_local_workers(start: Start, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    images = rng.integers(0, 100, (600, 6, 6), dtype=np.uint8) + (60 * labels[:, None, None]).astype(np.uint8)
    arrays = {"x_train": images[:500], "y_train": labels[:500], "x_test": images[500:], "y_test": labels[500:]}
    np.savez(tmp_path / "own.npz", **arrays)
    (tmp_path / "own.py").write_text(OWN_FUNCTION.format(path=str(tmp_path / "own.npz")))
    data = {"npz": "own.npz", "function": "./own.py:data"}.get(kind)
    changes: dict[str, Any] = {"backends": ["torch"]}
    if data is not None:
        changes["data"] = {"dataset": data, "validation": "50 rows"}
    else:
        changes = {"backends": ["torch", "keras"], "seeds": 1}
    spec = write_spec(tmp_path, **changes)
    finish(start(spec))
    assert tables(tmp_path / "ray/quick") == local(spec, tmp_path)
    assert list(leftovers(tmp_path / "ray/quick")) == []


@pytest.mark.acceptance
@pytest.mark.parametrize("kind", ["network", "script"])
def test_code_of_ones_own_reaches_nodes_that_do_not_have_it(start: Start, tmp_path: Path, kind: str) -> None:
    folder, elsewhere = tmp_path / "code", tmp_path / "elsewhere"
    spec = write_own_code(folder, kind)
    finish(start(spec, before=HIDE.format(folder=str(folder), elsewhere=str(elsewhere))))
    elsewhere.rename(folder)
    assert tables(tmp_path / "ray/quick") == local(spec, tmp_path)
    assert list(leftovers(tmp_path / "ray/quick")) == []


@pytest.mark.acceptance
def test_a_script_that_is_stopped_leaves_no_process_and_goes_on_elsewhere(start: Start, tmp_path: Path) -> None:
    spec = write_own_code(tmp_path / "code", "script")
    content = {**yaml.safe_load(spec.read_text()), "seeds": 1, "arms": ONE_ARM, "duration": "4 epochs"}
    spec.write_text(yaml.safe_dump(content))
    (spec.parent / "train.sh").write_text(KEEPS)
    process = start(spec)
    wait_for(tmp_path, "ray/quick/.scripts/*/kept")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    deadline = time.monotonic() + 30
    while (left := scripts_running()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    # The run has another name now, and the script goes on all the same.
    spec.write_text(spec.read_text().replace("constant:", "renamed:"))
    finish(start(spec))
    began = [int(line) for line in (spec.parent / "began").read_text().split()]
    assert len(began) == 2
    assert began[1] > 0
    assert not list(tmp_path.glob("ray/quick/.scripts/*"))


@pytest.mark.acceptance
def test_a_script_whose_node_is_killed_goes_on_elsewhere_from_what_it_kept(
    start: Start, cluster: RayCluster, tmp_path: Path
) -> None:
    spec = write_own_code(tmp_path / "code", "script")
    content = {**yaml.safe_load(spec.read_text()), "seeds": 2, "arms": ONE_ARM, "duration": "4 epochs"}
    spec.write_text(yaml.safe_dump(content))
    (spec.parent / "train.sh").write_text(KEEPS)
    process = start(spec)
    wait_for(tmp_path, "ray/quick/.scripts/*/kept", 2)
    finish_without_a_node(process, cluster)
    began = [int(line) for line in (spec.parent / "began").read_text().split()]
    assert began[:2] == [0, 0]
    assert len(began) == 3
    assert began[2] > 0
    assert scripts_running() == []
    assert len(list(tmp_path.glob("ray/quick/runs/[!.]*/run.json"))) == 2
    assert list(leftovers(tmp_path / "ray/quick")) == []


@pytest.mark.acceptance
def test_a_node_that_is_killed_half_way_costs_nothing_that_is_finished(
    start: Start, cluster: RayCluster, tmp_path: Path
) -> None:
    spec = write_spec(tmp_path, **LONG)
    process = start(spec)
    # A node has room for one run.
    wait_for_two_runs(tmp_path / "ray/quick/.checkpoints")
    finish_without_a_node(process, cluster)
    assert tables(tmp_path / "ray/quick") == local(spec, tmp_path)
    assert list(leftovers(tmp_path / "ray/quick")) == []


@pytest.mark.acceptance
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_is_stopped_is_started_again_and_goes_on(
    start: Start, tmp_path: Path, how: signal.Signals
) -> None:
    spec = write_spec(tmp_path, **LONG)
    process = start(spec)
    wait_for(tmp_path, "ray/quick/.checkpoints/*.json", 2)
    os.killpg(process.pid, how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[how], errors
    assert "Traceback" not in errors, errors
    if how is not signal.SIGKILL:
        assert "stand at a checkpoint. This continues from there: clrbench compare" in errors.splitlines()[-1]
        assert not list(tmp_path.glob("ray/quick/.locks/torch-*"))
    kept = list(tmp_path.glob("ray/quick/.checkpoints/*.json"))
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("ray/quick/runs/[!.]*/run.json")}
    assert kept
    errors = finish(start(spec))
    assert "continues from the beginning" not in errors
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert tables(tmp_path / "ray/quick") == local(spec, tmp_path)
    assert list(leftovers(tmp_path / "ray/quick")) == []


@pytest.mark.acceptance
def test_a_full_disk_at_the_driver_is_said_and_what_is_finished_kept(start: Start, tmp_path: Path) -> None:
    # A file that cannot grow fails as on a full disk: a checkpoint, and the updates of a run, take more.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))"
    spec = write_spec(tmp_path, **LONG)
    process = start(spec, before=limit)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors, errors
    assert errors.count("Error: ") == 1
    assert "free space, fix permissions or move it; finished runs are kept" in errors
    finish(start(spec))
    assert tables(tmp_path / "ray/quick") == local(spec, tmp_path)


@pytest.mark.acceptance
def test_more_threads_than_any_node_has_are_said(start: Start, tmp_path: Path) -> None:
    process = start(write_spec(tmp_path, backends=["torch"], seeds=1), "--threads", "64")
    time.sleep(1)
    deadline = time.monotonic() + 120
    said = ""
    assert process.stderr is not None
    while "no machine of the cluster has 64 CPUs" not in said and time.monotonic() < deadline:
        said = process.stderr.readline()
    assert "no machine of the cluster has 64 CPUs, which each run needs; waiting" in said
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.acceptance
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_ray_of_its_own_ends_with_its_driver(tmp_path: Path, how: signal.Signals) -> None:
    before = ray_processes()
    spec = write_spec(tmp_path, **LONG)
    program, flag, code = command(HASTY)
    process = subprocess.Popen(
        [program, flag, code, "compare", str(spec), "--out", "ray", "--executor", "ray", "--workers", "2"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(tmp_path, "ray/quick/.checkpoints/*.json")
    assert addresses({process.pid, *ray_processes()} - before) <= LOOPBACK
    os.killpg(process.pid, how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[how]
    assert "Traceback" not in errors, errors
    assert have_ended(before)
    done = run_clrbench("compare", spec, "--out", "ray", "--quiet", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "continues from the beginning" not in done.stderr


@pytest.mark.acceptance
def test_a_worker_that_is_killed_while_it_starts_holds_nothing_up_for_good(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"], seeds=1, duration="1 epochs", arms=ONE_ARM)
    with on_its_own_ray(spec, "--workers", "2", RAY_worker_register_timeout_seconds="20") as process:
        os.kill(first_worker(process), signal.SIGKILL)
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors
    assert len(runs(tmp_path / "ray/quick")) == 1


@pytest.mark.acceptance
@pytest.mark.parametrize("what", ["Ray", "a worker"])
def test_a_sigterm_while_ray_or_a_worker_starts_is_answered_as_at_any_other_time(tmp_path: Path, what: str) -> None:
    before = ray_processes()
    spec = write_spec(tmp_path, backends=["torch"], seeds=1)
    with on_its_own_ray(spec) as process:
        deadline = time.monotonic() + 120
        while not ray_processes() - before and time.monotonic() < deadline:
            time.sleep(0.02)
        if what == "a worker":
            first_worker(process)
        process.terminate()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert "Traceback" not in errors, errors
    assert have_ended(before)


@pytest.mark.acceptance
def test_auto_finds_a_cluster_on_the_loopback_address(start: Start, tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"], seeds=1, duration="1 epochs", arms=ONE_ARM)
    finish(start(spec, "--ray-address", "auto"))
    assert len(runs(tmp_path / "ray/quick")) == 1


@pytest.mark.parametrize("call", ["get", "wait"])
def test_what_a_signal_raises_while_ray_waits_comes_through(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    from clrbench.execution import ray

    def interrupted(*_: object, **__: object) -> None:
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    monkeypatch.setattr(ray.ray, call, interrupted)
    workers = object.__new__(ray.RayWorkers)
    with pytest.raises(KeyboardInterrupt):
        workers.reply(None) if call == "get" else workers.finished([None], 1)


def test_the_tests_of_ray_run_on_a_python_that_has_it() -> None:
    assert subprocess.run([sys.executable, "-c", "import ray"], check=False).returncode == 0
