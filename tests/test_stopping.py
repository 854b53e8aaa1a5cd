"""A signal stops a command, and breaks no import off."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import clrbench.cli as cli
from clrbench.answer import Answer

@cli.main.command("hang")
@cli.answering
def hang() -> Answer:
    {body}
    return Answer("still here", {{}})

cli.main(["hang"])
"""
SEND = "import os, signal, time\nos.kill(os.getpid(), signal.{name})\n"


def hang(folder: Path, module: str, body: str = "import slow") -> subprocess.CompletedProcess[str]:
    """Return how a command ended that imports this module."""
    (folder / "slow.py").write_text(module)
    code = COMMAND.format(body=body)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.mark.parametrize(("name", "code", "said"), [("SIGTERM", 143, "Terminated."), ("SIGINT", 130, "Stopped.")])
def test_a_signal_during_an_import_waits_for_its_end(name: str, code: int, said: str, tmp_path: Path) -> None:
    rest = "for _ in range(20):\n    time.sleep(0.01)\nprint('imported', flush=True)\n"
    done = hang(tmp_path, SEND.format(name=name) + rest, "import slow, time; time.sleep(30)")
    assert (done.returncode, done.stdout) == (code, "imported\n"), done.stderr
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


def test_an_import_without_end_is_broken_off_all_the_same(tmp_path: Path) -> None:
    patient = "import clrbench.cli.stopping as stopping\nstopping.MAX_POSTPONED_SECONDS = 0.3\n"
    done = hang(tmp_path, patient + SEND.format(name="SIGTERM") + "while True:\n    time.sleep(0.01)\n")
    assert (done.returncode, done.stdout) == (143, ""), done.stderr
    assert "Traceback" not in done.stderr


def test_outside_an_import_it_stops_at_once(tmp_path: Path) -> None:
    done = hang(tmp_path, "", "import os; os.kill(os.getpid(), 15); print('went on')")
    assert (done.returncode, done.stdout) == (143, ""), done.stderr
