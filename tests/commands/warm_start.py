"""The command line in a process of its own that need not import what clrbench imports from others.

A server imports those packages once and forks for every call; the fork then imports clrbench and runs it as
`python -m clrbench` does. Worker processes are started as ever.
"""

import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

IMPORTED_ONCE = (
    "click",
    "concurrent.futures.process",
    "filelock",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "matplotlib.style",
    "multiprocessing.queues",
    "numpy",
    "pandas",
    "PIL.Image",
    "pooch",
    "pydantic.json_schema",
    "pydantic.type_adapter",
    "rich.progress",
    "scipy.io",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.stats",
    "yaml",
)

REPLY_BYTES = 12
"""Of every answer, so that a read takes one, though the next may be there already."""


class Server:
    """A process that forks for every call of the command line."""

    def __init__(self) -> None:
        # A process with threads must not fork.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._replies = self._process.stdout.fileno()
        self._reply(300)

    def run(self, arguments: list[str], folder: Path, environment: dict[str, str], outputs: tuple[str, str]) -> int:
        """Run the command line in a folder, its output going to two files; return its exit code."""
        request = {"arguments": arguments, "folder": str(folder), "environment": environment, "outputs": outputs}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        pid = self._reply(60)
        try:
            return self._reply(300)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._reply(60)
            raise

    def close(self) -> None:
        """End the process, which must be between two calls."""
        self._process.communicate(timeout=60)

    def _reply(self, timeout_seconds: float) -> int:
        if not select.select([self._replies], [], [], timeout_seconds)[0]:
            raise TimeoutError(f"no answer within {timeout_seconds:g} s")
        return int(os.read(self._replies, REPLY_BYTES))


@cache
def server() -> Server:
    """Return the server of this test process, which is started when it is first asked for."""
    return Server()


def _serve() -> dict[str, Any] | None:
    """Return a request in a fork of this process, and None here when there are no more."""
    for name in IMPORTED_ONCE:
        __import__(name)
    gc.freeze()
    _answer(0)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            return json.loads(line)
        _answer(pid)
        _answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return None


def _answer(number: int) -> None:
    os.write(1, f"{number:{REPLY_BYTES}}".encode())


def _become_the_command_line(request: dict[str, Any]) -> None:
    files = [open(path, flags) for path, flags in zip((os.devnull, *request["outputs"]), "rww", strict=True)]  # noqa: PTH123, SIM115
    for descriptor, file in enumerate(files):
        os.dup2(file.fileno(), descriptor)
        file.close()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[0] = request["folder"]
    sys.argv[1:] = request["arguments"]


if __name__ == "__main__":
    request = _serve()
    if request is not None:
        _become_the_command_line(request)
        runpy.run_module("clrbench", run_name="__main__", alter_sys=True)
