"""The options that say where runs are made: each misuse ends in one message, before anything is trained."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from command_line import QUICK, run_clrbench, write_spec
from fakes import FakeExecutor

from clrbench.cli import main
from clrbench.commands.setup import Setup
from clrbench.errors import BackendError
from clrbench.execution import executor, local
from clrbench.execution.executor import EXECUTORS, Resources, check_installed, open_executor
from clrbench.execution.placement import VISIBLE_VARIABLE, Present
from clrbench.execution.runner import MAX_WORKERS


def compare(folder: Path, *options: str, **changes: Any) -> Any:
    """Run `compare` in this process on an executor that trains nothing."""
    spec = folder / "quick.yaml"
    spec.write_text(yaml.safe_dump({**QUICK, "backends": ["torch"], **changes}, sort_keys=False))
    setup = Setup(open_executor=FakeExecutor(lambda _: 0.5).open)
    return CliRunner().invoke(main, ["compare", str(spec), "--out", str(folder / "out"), *options], obj=setup)


MISUSES = [
    (["--executor", "dask"], "'dask' is not one of 'local', 'ray'"),
    (["--executor", "Ray"], "'Ray' is not one of"),
    (["--executor"], "requires an argument"),
    (["--ray-address", "auto"], "--ray-address names a Ray cluster, but --executor is local; add --executor ray"),
    (["--executor", "local", "--ray-address", "h:1"], "add --executor ray"),
    (["--executor", "ray", "--ray-address", ""], "--ray-address: got ''; allowed: HOST:PORT"),
    (["--executor", "ray", "--ray-address", "10.0.0.1"], "got '10.0.0.1'; allowed: HOST:PORT of the head node"),
    (["--executor", "ray", "--ray-address", "h:99999"], "got 'h:99999'; allowed"),
    (["--executor", "ray", "--ray-address", "ray://h:10001"], "run clrbench on a node of the cluster"),
    (["--executor", "ray", "--ray-address", "http://h:8265"], "allowed: HOST:PORT"),
    (
        ["--executor", "ray", "--devices", "all"],
        "--executor is ray, which hands devices out itself; leave --devices out",
    ),
    (["--devices", ""], "--devices: got ''; allowed: all, or numbers"),
    (["--devices", "cuda:0"], "--devices: got 'cuda:0'; allowed: all, or numbers"),
    (["--devices", "0,0"], "names a device twice"),
    (["--devices", "-1"], "--devices: got '-1'; allowed"),
    (["--devices", "0-3"], "--devices: got '0-3'; allowed"),
    (["--devices", "0", "--device", "cpu"], "--devices names accelerators, but --device is cpu"),
    (["--devices", "0,1", "--workers", "3"], "--workers: got 3, but --devices names 2"),
    (["--devices", "0", "--device", "tpu"], "'tpu' is not one of"),
    (["--workers", "0", "--executor", "ray"], "0 is not in the range x>=1"),
    (["--threads", "0", "--executor", "ray"], "0 is not in the range x>=1"),
    (["--executor", ""], "'' is not one of 'local', 'ray'"),
    (["--executor", "ray", "--ray-address", ":6379"], "got ':6379'; allowed: HOST:PORT"),
    (["--executor", "ray", "--ray-address", "h:"], "got 'h:'; allowed: HOST:PORT"),
    (["--executor", "ray", "--ray-address", "h:0"], "got 'h:0'; allowed: HOST:PORT"),
    (["--executor", "ray", "--ray-address", "Auto"], "got 'Auto'; allowed: HOST:PORT"),
    (["--executor", "ray", "--ray-address", "a b:1"], "got 'a b:1'; allowed: HOST:PORT"),
    (["--devices", "ALL"], "--devices: got 'ALL'; allowed: all, or numbers"),
    (["--devices", "0,"], "--devices: got '0,'; allowed: all, or numbers"),
    (["--devices", "all,0"], "--devices: got 'all,0'; allowed: all, or numbers"),
    (["--devices", "0", "--ray-address", "h:1"], "add --executor ray"),
    (["--shard", "3/2", "--executor", "ray"], "allowed: K/N"),
]


@pytest.mark.parametrize(("options", "said"), MISUSES, ids=[" ".join(options) for options, _ in MISUSES])
def test_a_misuse_is_a_usage_error_of_one_message(tmp_path: Path, options: list[str], said: str) -> None:
    done = compare(tmp_path, *options)
    assert done.exit_code == 2, done.output
    assert done.output.count("Error: ") == 1
    assert said in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--device", "cuda"],
            "device: got cuda, but a script (train) chooses its own device; leave device out\n",
        ),
        (
            ["--devices", "0"],
            "--devices pins workers, but a script (train) chooses its own device; leave --devices out",
        ),
        (["--executor", "ray", "--device", "mps"], "leave device out, or ask Ray for a GPU a run with device cuda"),
    ],
)
def test_a_script_is_told_of_no_device(
    tmp_path: Path, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "find_spec", lambda _: object())
    done = compare_script(tmp_path, *options)
    assert done.exit_code == 2, done.output
    assert done.output.count("Error: ") == 1
    assert said in done.output


def compare_script(folder: Path, *options: str) -> Any:
    """Run `compare` on a script, as `compare` does."""
    (folder / "train.sh").touch()
    spec = folder / "script.yaml"
    train = {"command": "sh train.sh", "steps_per_epoch": 10}
    content = {"name": "script", "train": train, "duration": "1 epochs", "seeds": 2, "arms": QUICK["arms"]}
    spec.write_text(yaml.safe_dump(content))
    setup = Setup(open_executor=FakeExecutor(lambda _: 0.5).open)
    return CliRunner().invoke(main, ["compare", str(spec), "--out", str(folder / "out"), *options], obj=setup)


@pytest.mark.usefixtures("undrawn")
def test_devices_of_an_experiment_that_was_started_on_the_processor_are_refused(tmp_path: Path) -> None:
    assert compare(tmp_path).exit_code == 0
    done = compare(tmp_path, "--devices", "all", seeds=3)
    assert done.exit_code == 2
    assert "was started with device cpu; leave --devices out, or use another results folder (out)" in done.output


@pytest.mark.acceptance
def test_a_machine_without_accelerators_says_so(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"], seeds=1)
    done = run_clrbench("compare", spec, "--devices", "all", folder=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert "Error: --devices: got all, but no accelerator is found here; leave --devices out" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("undrawn")
def test_options_travel_to_the_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeExecutor(lambda _: 0.5, name="ray")
    opened: list[Resources] = []

    class Fake:
        def __new__(cls, resources: Resources) -> Any:
            opened.append(resources)
            return SimpleNamespace(
                name="ray", find_device=fake.find_device, run=fake.run, close=lambda: None, call=lambda *_: None
            )

    module = SimpleNamespace(RayWorkers=Fake)
    found = executor.import_module
    monkeypatch.setattr(executor, "import_module", lambda name: module if name.endswith(".ray") else found(name))
    monkeypatch.setattr(executor, "find_spec", lambda _: object())
    done = compare(tmp_path, "--executor", "ray", "--ray-address", "head:6379", "--threads", "3", "--workers", "2")
    assert done.exit_code == 0, done.output
    # Not limited by the processors of this machine.
    assert opened == [Resources("torch", 2, 3, None, "head:6379")]
    assert compare(tmp_path, "--executor", "ray", "--ray-address", "head:6379", seeds=3).exit_code == 0
    # However many there are: the cluster has room for some of them at a time.
    assert opened[1:] == [Resources("torch", MAX_WORKERS, 3, None, "head:6379")]
    # A script chooses its own device, and still needs one that the cluster has given it.
    fake.find_device = lambda _: "own"  # type: ignore[method-assign]
    compare_script(tmp_path, "--executor", "ray", "--device", "cuda", "--workers", "1")
    assert opened[2:] == [Resources("script", 1, 1, gpu_for_script=True)]


def test_without_the_extra_the_message_names_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = compare(tmp_path, "--executor", "ray")
    assert done.exit_code == 1
    assert "executor ray needs the package ray, which is not installed; run pip install 'clrbench[ray]'" in done.output
    assert not (tmp_path / "out").exists()
    with pytest.raises(BackendError, match=r"pip install 'clrbench\[ray\]'"):
        check_installed("ray")


def test_a_package_that_cannot_be_imported_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise ImportError("libray.so: no such file")

    monkeypatch.setattr(executor, "import_module", fail)
    monkeypatch.setattr(executor, "find_spec", lambda _: object())
    with (
        pytest.raises(
            BackendError, match=r"cannot be imported \(libray.so: no such file\); run pip install 'clrbench\[ray\]'"
        ),
        open_executor("ray", Resources("torch", 1, 1)),
    ):
        pass


def test_nothing_of_ray_is_imported_unless_it_is_asked_for(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"])
    blocked = tmp_path / "blocked/ray"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise SystemExit('ray was imported')\n")
    path = os.pathsep.join([str(blocked.parent), os.environ.get("PYTHONPATH", "")])
    done = run_clrbench("compare", spec, "--dry-run", folder=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "ray was imported" not in done.stderr


def seen_devices() -> tuple[int, str | None]:
    """Return this worker, and the devices that it sees."""
    return os.getpid(), os.environ.get(VISIBLE_VARIABLE)


def test_a_worker_process_sees_its_device_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # A framework on a machine with four devices, as far as this process is told.
    monkeypatch.setattr(local.LocalWorkers, "call", lambda *_: Present("cuda", 4))
    monkeypatch.setenv(VISIBLE_VARIABLE, "7,6,5,4")
    opened: list[Resources] = []
    started = local.LocalWorkers.__init__

    def note(workers: local.LocalWorkers, resources: Resources) -> None:
        opened.append(resources)
        started(workers, resources)

    monkeypatch.setattr(local.LocalWorkers, "__init__", note)
    workers = local.LocalWorkers(Resources("torch", 8, 1, devices=(3, 0)))
    try:
        found = set()
        for _ in range(50):
            found |= {local._result(workers._submit(seen_devices)) for _ in range(4)}
            if len(found) == 2:
                break
    finally:
        workers.close()
    assert sorted(device or "" for _, device in found) in (["4", "7"], ["4"], ["7"])
    assert len({pid for pid, _ in found}) == len(found)
    # The one that says what there is sees all of them.
    assert [(resources.workers, resources.devices) for resources in opened] == [(8, (3, 0)), (1, None)]


def test_the_registry_knows_both() -> None:
    assert set(EXECUTORS) == {"local", "ray"}
