"""A cluster is joined, or not, and signals stay whose they are."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_clrbench, write_spec
from fakes import HASTY, command


@pytest.mark.acceptance
@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:6379"])
def test_a_cluster_that_does_not_answer_is_said_at_once(tmp_path: Path, address: str) -> None:
    spec = write_spec(tmp_path, backends=["torch"])
    done = run_clrbench("compare", spec, "--executor", "ray", "--ray-address", address, folder=tmp_path)
    assert done.returncode == 1
    assert f"Error: Ray address {address}: nothing answers there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.acceptance
def test_where_there_is_no_cluster_auto_says_so(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"])
    program, flag, code = command(HASTY)
    # Ray looks for one among all processes, and one of another test may run.
    alone = "import psutil; psutil.process_iter = lambda *_: []"
    options = ["compare", str(spec), "--executor", "ray", "--ray-address", "auto"]
    done = subprocess.run(
        [program, flag, f"{alone}\n{code}", *options],
        cwd=tmp_path,
        env={**os.environ, "RAY_TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "Error: Ray at auto cannot be joined: Could not find any running Ray instance" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_stays_whose_it_is_while_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    from clrbench.execution import ray_connection

    came: list[int] = []

    def init(**_: object) -> None:
        ray_connection.ray_utils.set_sigterm_handler(lambda *_: sys.exit(15))
        signal.raise_signal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    monkeypatch.setattr(ray_connection.ray, "init", init)
    as_it_was, handler = ray_connection.ray_utils.set_sigterm_handler, signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        ray_connection._init(address="local")
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert came == [signal.SIGTERM] * 2
    assert ray_connection.ray_utils.set_sigterm_handler is as_it_was
