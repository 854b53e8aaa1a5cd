"""What surrounds this process: its environment variables, set for a while, and whether anybody answers at an address."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

ANSWER_SECONDS = 5.0


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def answers(place: tuple[str, int]) -> bool:
    """Return whether something listens at a host and a port; it is waited for `ANSWER_SECONDS`."""
    try:
        socket.create_connection(place, timeout=ANSWER_SECONDS).close()
    except OSError:
        return False
    return True
