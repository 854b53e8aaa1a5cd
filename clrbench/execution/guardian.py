"""Stands between a worker and a training script: ends the script, and all that it started, once the worker is gone or asks.

Run as a program of its own, by its path, so that it needs nothing but Python: `guardian.py LOG GRACE COMMAND...`. Its standard
input is held open by the worker, whatever becomes of that: when it ends, the script is told to stop, and killed after GRACE
seconds. On its standard output it leaves one line of JSON at the end.

It is no child of the worker, but of a process that is gone: Ray kills the children of a worker when it ends that.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

MARK = "CLRBENCH_RUN"
"""The environment variable by which what a script started is known where the system does not hand over orphans."""

PR_SET_CHILD_SUBREAPER = 36
"""Linux's request to become the parent of every orphan among one's descendants. Source: prctl(2)."""

LINGER_SECONDS = 0.5


def main(log: str, grace_seconds: float, command: list[str]) -> None:
    """Run a command until it ends, or until nobody holds standard input open any more."""
    _adopt_orphans()
    with Path(log).open("ab", buffering=0) as output:
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as err:
            _report(error=err.strerror or str(err))
            return
    ended = _read_end_of(child)
    ready, _, _ = select.select([0, ended], [], [])
    left = 0
    if ended in ready:
        # There may be more left: what it forked, and what went on in a session of its own.
        left = _count_lingering(child.pid)
    else:
        _signal_group(child.pid, signal.SIGTERM)
        select.select([ended], [], [], grace_seconds)
    _end_all(child.pid)
    child.wait()
    _report(code=child.returncode, left=left)


def _adopt_orphans() -> None:
    """Become the parent of what the script starts and leaves, so that none of it is lost, whatever its group or environment."""
    with suppress(OSError, AttributeError):  # no prctl: not Linux
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _read_end_of(child: "subprocess.Popen[bytes]") -> int:
    """Return what becomes readable when a child ends."""
    read_end, write_end = os.pipe()

    def wait() -> None:
        # Without reaping it, so that its number is not given to another process before its group has been ended. Orphans
        # that end are reaped, as whoever adopts them has to.
        if hasattr(os, "waitid"):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)) and ended.si_pid != child.pid:
                os.waitpid(ended.si_pid, 0)
        else:
            child.wait()
        os.close(write_end)

    threading.Thread(target=wait, daemon=True).start()
    return read_end


def _count_lingering(group: int) -> int:
    """Return how many processes outlive the script, by more than the moment that the end of a pipeline takes."""
    deadline = time.monotonic() + LINGER_SECONDS
    while (left := _others(group)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(left)


def _end_all(group: int) -> None:
    for _ in range(20):
        _signal_group(group, signal.SIGKILL)
        if not (left := _others(group)):
            return
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _signal_group(group: int, number: int) -> None:
    with suppress(OSError):
        os.killpg(group, number)


def _others(group: int) -> list[int]:
    """Return the processes that the script has started, without itself: none only where a second look finds none either.

    A process that is forked after the look has begun, by one that ends before it is looked at, is missed by one look.
    """
    return _look(group) or _look(group)


def _look(group: int) -> list[int]:
    mark = f"{MARK}={os.environ.get(MARK, '')}".encode()
    parents, found = {}, set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            state, parent, of_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if state == "Z":
                continue
            parents[int(entry.name)] = int(parent)
            if int(of_group) == group or mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    started_here = {os.getpid(), group}
    while more := {pid for pid, parent in parents.items() if parent in started_here} - started_here:
        started_here |= more
    return sorted((found | started_here) - {group, os.getpid(), os.getppid()})


def _report(**content: object) -> None:
    with suppress(OSError):  # the worker is gone
        print(json.dumps(content), flush=True)


if __name__ == "__main__":
    if hasattr(os, "fork") and os.fork():
        os._exit(0)
    for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Handled rather than ignored, which the script would inherit.
        signal.signal(_number, lambda _signal, _frame: None)
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
