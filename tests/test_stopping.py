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


IGNORED = {
    "a finalizer": "class Held:\n    def __del__(self): os.kill(os.getpid(), signal.{name}); time.sleep(0.01)\nHeld()\n",
    "beside a fork": (
        "os.register_at_fork(after_in_parent=lambda: (os.kill(os.getpid(), signal.{name}), time.sleep(0.01)))\n"
        "os.fork() or os._exit(0)\n"
    ),
    "a callback": (
        "import weakref\nclass Held: pass\nheld = Held()\n"
        "kept = weakref.ref(held, lambda _: (os.kill(os.getpid(), signal.{name}), time.sleep(0.01)))\ndel held\n"
    ),
}
"""Where Python ignores exceptions."""


@pytest.mark.parametrize("place", IGNORED)
@pytest.mark.parametrize(("name", "code", "said"), [("SIGTERM", 143, "Terminated."), ("SIGINT", 130, "Stopped.")])
def test_a_signal_is_not_lost_where_python_ignores_exceptions(
    name: str, code: int, said: str, place: str, tmp_path: Path
) -> None:
    module = "import os, signal, time\ndef go():\n" + "".join(
        f"    {line}\n" for line in IGNORED[place].format(name=name).splitlines()
    )
    done = hang(tmp_path, module, "import slow, time; slow.go(); print('went on', flush=True); time.sleep(30)")
    assert (done.returncode, done.stdout) == (code, "went on\n"), done.stderr
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


def test_a_signal_while_logging_waits_until_its_lock_is_free(tmp_path: Path) -> None:
    module = """
import logging, os, signal, threading, time
class Slow(logging.Handler):
    def emit(self, record):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        print("logged", flush=True)
def go():
    logging.getLogger("slow").addHandler(Slow())
    logging.getLogger("slow").warning("said")
    time.sleep(30)
"""
    done = hang(tmp_path, module, "import slow; slow.go()")
    assert (done.returncode, done.stdout) == (130, "logged\n"), done.stderr


def test_what_else_python_ignores_is_reported_as_ever(tmp_path: Path) -> None:
    module = "class Held:\n    def __del__(self): raise ValueError('as ever')\ndef go(): Held()\n"
    done = hang(tmp_path, module, "import slow; slow.go()")
    assert done.returncode == 0
    assert "Exception ignored in: <function Held.__del__" in done.stderr
    assert "ValueError: as ever" in done.stderr
