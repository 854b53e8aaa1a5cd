"""This process's place in a Ray cluster: joined where there is one, and else started here for this process alone."""

import logging
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import ray
from ray._private import ray_constants, services
from ray._private import utils as ray_utils
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined, unused-ignore]

from clrbench.errors import BackendError
from clrbench.execution.executor import Resources
from clrbench.execution.surroundings import answers, environment
from clrbench.machine import available_cpus

OBJECT_STORE_BYTES = 200_000_000
"""Of a Ray that is started here: results and checkpoints pass through it, and no data; what is more goes to disk."""

LOOPBACK = "127.0.0.1"
MAX_TEMPORARY_PATH = 40
"""Characters; sockets lie further below, and their paths may have about a hundred."""

_OWN_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_prestart_worker_first_driver": "0",
}
"""Environment variables of a Ray that is started here.

No statistics are sent. Workers start when they are asked for: Ray would start one a CPU beforehand and wait for them all, without
end where one dies meanwhile (ray-project/ray#40131).
"""


class Connection:
    """This process's place in a Ray cluster, which all open executors share; it ends with the last of them."""

    def __init__(self) -> None:
        self._users = 0
        self._end = ExitStack()
        self.is_own = False
        """Whether the cluster is this machine alone, started for this process."""
        self.data: dict[str, Any] = {}
        """The data sets in the cluster's object store, each an `ObjectRef`: those of one backend are those of the other."""

    def join(self, resources: Resources) -> None:
        """Join the cluster that is asked for, or start one, unless that has been done."""
        if self._users == 0 and not ray.is_initialized():
            with ExitStack() as undo:
                undo.enter_context(environment(_OWN_RAY))
                if resources.address is None:
                    self._start(resources, undo)
                else:
                    undo.callback(ray.shutdown)
                    _join(resources.address)
                self.is_own = resources.address is None
                self._end = undo.pop_all()
        self._users += 1

    def leave(self) -> None:
        """Leave it with the last of those that have joined; one that was started here ends."""
        self._users -= 1
        if self._users == 0:
            self.is_own = False
            self.data.clear()
            self._end.close()

    def _start(self, resources: Resources, undo: ExitStack) -> None:
        """Start a Ray on this machine, which nobody else can reach: on the loopback address, behind a token."""
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        undo.enter_context(environment(token))
        # Ray has read them when it was imported, or when the one before was started.
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
        place = tempfile.gettempdir()
        folder = tempfile.mkdtemp(prefix="clrbench-ray-", dir=place if len(place) < MAX_TEMPORARY_PATH else "/tmp")
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        undo.callback(ray.shutdown)
        with _on_loopback():
            _init(
                address="local",
                num_cpus=max(available_cpus(), resources.workers * resources.threads),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                _node_ip_address=LOOPBACK,
                _temp_dir=folder,
            )
        if {node["NodeManagerAddress"] for node in nodes()} != {LOOPBACK}:
            raise BackendError(
                f"this version of Ray ({ray.__version__}) does not stay on {LOOPBACK}, so it is not started; start one yourself "
                "and name its address, or use another version"
            )


CONNECTION = Connection()
"""That of this process."""


def _join(address: str) -> None:
    """Join a cluster."""
    if address == "auto":
        address = _address_here()
    host, _, port = address.rpartition(":")
    place = (host.strip("[]"), int(port))
    if not answers(place):
        raise BackendError(
            f"Ray address {address}: nothing answers there; ray start --head, on the head node, prints its address, and ray "
            "status says whether the cluster runs"
        )
    with _on_loopback() if _stays_on_loopback(place) else nullcontext():
        _init(address=address)


def _address_here() -> str:
    """Return the address of the cluster that this machine is a node of, as Ray finds it."""
    try:
        address: str = services.get_ray_address_from_environment("auto", None)
    except ConnectionError as err:
        raise BackendError(
            f"Ray at auto cannot be joined: {first_line(err)} This machine must be a node of the cluster (ray start --address "
            "HOST:PORT); ray status says what it has"
        ) from err
    return address


def _stays_on_loopback(place: tuple[str, int]) -> bool:
    """Return whether a cluster has a loopback address, and is not the one that this machine has in its network."""
    if place[0] not in {LOOPBACK, "localhost", "::1"}:
        return False
    return not answers((_own_address(), place[1]))


def _own_address() -> str:
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call, unused-ignore]
    return address


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Have Ray leave the loopback address as it is, for a while."""
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _init(**options: Any) -> None:
    """Start or join a cluster."""
    try:
        with _sigterm_as_it_is():
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=False, **options)
    except Exception as err:  # Ray raises ConnectionError, RuntimeError, ValueError and plain Exception
        where = options["address"]
        raise BackendError(
            f"Ray at {where} cannot be {'started' if where == 'local' else 'joined'}: {first_line(err)}; this machine must be a "
            "node of the cluster, with the same versions of Python and Ray; ray status says what it has"
        ) from err


@contextmanager
def _sigterm_as_it_is() -> Iterator[None]:
    """Have Ray leave SIGTERM to whom it belongs to.

    What its own handler raises is lost where Python ignores it. The part of Ray that is written in C++ sets another one, which
    nobody can keep it from.
    """
    setter, handler = ray_utils.set_sigterm_handler, signal.getsignal(signal.SIGTERM)
    ray_utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = setter
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def nodes() -> list[dict[str, Any]]:
    """Return the machines that are there, as Ray describes them."""
    return [node for node in known_nodes() if node["Alive"]]


def known_nodes() -> list[dict[str, Any]]:
    """Return the same with those that have died."""
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call, unused-ignore]
    return found


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no reason given"
