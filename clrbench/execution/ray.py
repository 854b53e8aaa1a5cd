"""The Ray executor: each run is a task of a Ray cluster, and this process alone writes what comes back; see `dispatch`."""

import logging
import secrets
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import ray
from ray._private import ray_constants, services
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined, unused-ignore]
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from clrbench.errors import BackendError
from clrbench.execution import dispatch
from clrbench.execution.dispatch import Dispatch, Lost, make_all
from clrbench.execution.executor import THREAD_VARIABLES, Resources, Watch
from clrbench.execution.remote import Desk, News, Order, Reply, fulfil, in_memory, load_backend
from clrbench.execution.surroundings import answers, environment
from clrbench.execution.task import Task
from clrbench.machine import available_cpus
from clrbench.records import Dataset, Provenance

P = ParamSpec("P")
T = TypeVar("T")

OBJECT_STORE_BYTES = 200_000_000
"""Of a Ray that is started here: results and checkpoints pass through it, and no data; what is more goes to disk."""

LOOPBACK = "127.0.0.1"
MAX_TEMPORARY_PATH = 40
"""Characters; sockets lie further below, and their paths may have about a hundred."""

_NODE_LABEL = "ray.io/node-id"
_LOST = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError, TaskCancelledError)

_OWN_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_raylet_start_wait_time_s": "120",
}
"""Environment variables of a Ray that is started here: no statistics are sent."""

Ref: TypeAlias = Any
"""A `ray.ObjectRef`, which has no types of its own."""


class RayWorkers:
    """Tasks of a Ray cluster, which ask for the CPUs and the GPU that a run needs.

    A worker process serves one backend alone, with its number of threads: two frameworks in a process fight over it.
    """

    name = "ray"

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._sent: dict[str, Ref] = {}
        self._made_with: list[tuple[str, Provenance]] = []
        _CONNECTION.join(resources)
        with ExitStack() as undo:
            undo.callback(_CONNECTION.leave)
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            options = {"num_cpus": 0, "max_restarts": 3, "max_task_retries": 3, "scheduling_strategy": here}
            self._desk: Any = ray.remote(Desk).options(**options).remote()
            undo.pop_all()

    def find_device(self, wanted: str) -> str:
        """Return the device that `wanted` stands for; one that is named is found out to be missing by the runs."""
        if wanted != "auto":
            return wanted
        # Where no machine is large enough, nobody could answer; `run` says so, and waits for one.
        return self._ask("cuda", _find_device, self._resources) if self.has_room("cuda") else "cpu"

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a module-level function returns in a worker that has loaded its backend."""
        call: Callable[[], T] = partial(function, *args, **kwargs)
        answer: T = self._ask("cpu", _call, self._resources, call)
        return answer

    def run(self, tasks: Sequence[Task], watch: Watch) -> None:
        """Make runs and store them; one that is lost is made again elsewhere, and reported if that happens too often."""

        def round_of(tasks: Sequence[Task], wait_for_others: bool) -> Dispatch[Ref]:
            return Dispatch(self, self._resources.workers, watch, deque(tasks), self._made_with, wait_for_others)

        _result(self._desk.begin.remote())
        make_all(round_of, tasks, watch)

    def close(self) -> None:
        """Leave the cluster; a Ray that was started here ends."""
        with suppress(RayError):
            ray.kill(self._desk)
        self._sent.clear()
        _CONNECTION.leave()

    def send(self, order: Order, avoid: Sequence[str]) -> Ref:
        """Ask for a run; see `Machines`."""
        task = order.task
        data = self._data_of(task)
        return self._submit(_fulfil, task.circumstances.device, order, self._desk, data, name=task.run_id, avoid=avoid)

    def finished(self, handles: Sequence[Ref], timeout_seconds: float) -> Sequence[Ref]:
        """Return those that have a reply; see `Machines`."""
        done: list[Ref]
        try:
            done, _ = ray.wait(list(handles), timeout=timeout_seconds)
        except SystemError as err:
            # So Ray passes on what a signal raised while it waited.
            raise err.__cause__ or err from None
        return done

    def reply(self, handle: Ref) -> Reply:
        """Return the reply of a run; see `Machines`."""
        reply: Reply = _result(handle)
        return reply

    def news(self) -> Sequence[News]:
        """Return what was heard; see `Machines`."""
        news: Sequence[News] = _result(self._desk.take.remote())
        return news

    def has_room(self, device: str) -> bool:
        """Return whether a machine is large enough; see `Machines`."""
        cpus, gpus = self._request(device)
        found = (node["Resources"] for node in _nodes())
        return any(room.get("CPU", 0) >= cpus and room.get("GPU", 0) >= gpus for room in found)

    def wanted(self, device: str) -> str:
        """Return what a run asks for, in words; see `Machines`."""
        cpus, gpus = self._request(device)
        return f"{cpus} CPUs" + f" and {gpus} GPU" * (gpus > 0)

    def name_of(self, node: str) -> str:
        """Return what to call a machine; see `Machines`."""
        addresses = {known["NodeID"]: known["NodeManagerAddress"] for known in _known_nodes()}
        return f"node {node[:8]} at {addresses.get(node, 'an unknown address')}"

    def stop(self) -> None:
        """Tell all runs to stop; see `Machines`."""
        with suppress(RayError):
            ray.get(self._desk.stop.remote(), timeout=dispatch.GRACE_SECONDS)

    def end(self, handles: Iterable[Ref]) -> None:
        """End runs at once; see `Machines`."""
        for handle in handles:
            with suppress(RayError):
                ray.cancel(handle, force=True)

    def _request(self, device: str) -> tuple[int, int]:
        """Return the CPUs and GPUs that a run on a device asks for."""
        return self._resources.threads, 1 if device == "cuda" else 0

    def _ask(self, device: str, function: Callable[..., T], *args: object) -> T:
        """Return what a function returns on a machine; wait for one that is large enough only for so long."""
        handle = self._submit(function, device, *args)
        if not self.finished([handle], dispatch.MAX_WITHOUT_ROOM_SECONDS):
            self.end([handle])
            raise BackendError(
                f"no machine with {self.wanted(device)} answered within {dispatch.MAX_WITHOUT_ROOM_SECONDS:.0f} s; ray status "
                "says what the cluster has"
            )
        try:
            answer: T = _result(handle)
        except Lost as err:
            raise BackendError(f"a worker of the Ray cluster was lost ({err}); run the same command again") from err
        return answer

    def _submit(
        self, function: Callable[..., object], device: str, *args: object, name: str = "", avoid: Sequence[str] = ()
    ) -> Ref:
        cpus, gpus = self._request(device)
        # Ray hands a process with the same variables to the next task, so that a backend is imported once, and alone.
        variables = dict.fromkeys(THREAD_VARIABLES, str(self._resources.threads))
        variables["CLRBENCH_BACKEND"] = self._resources.backend
        options: dict[str, Any] = {
            "num_cpus": cpus,
            "runtime_env": {"env_vars": variables},
            "name": name or function.__name__,
            "max_retries": 0,
        }
        if avoid:
            nodes = ", ".join(avoid)
            options["label_selector"] = {_NODE_LABEL: f"!in({nodes})"}
            options["fallback_strategy"] = [{"label_selector": {_NODE_LABEL: f"in({nodes})"}}]
        # A process that has once used a GPU stays with it, so it makes one run.
        remote = ray.remote(num_gpus=gpus, max_calls=1)(function) if gpus else ray.remote(function)
        return remote.options(**options).remote(*args)

    def _data_of(self, task: Task) -> list[Ref]:
        """Return the data set of a run, which is sent once; nothing where every worker is on this machine."""
        if _CONNECTION.is_own:
            return []
        data = task.run.data
        key = f"{data.dataset}\n{task.run.reading().words()}"
        if key not in self._sent:
            dataset = in_memory(task.library.load(data.dataset, how=task.run.reading()))
            try:
                self._sent[key] = ray.put(dataset)
            except RayError as err:
                raise BackendError(
                    f"{data.dataset}: does not fit into Ray's object store on this machine ({_first_line(err)}); start its "
                    "node with a larger one (ray start --object-store-memory)"
                ) from err
        # In a list, Ray brings it only to a machine that asks for it.
        return [self._sent[key]]


class _Connection:
    """This process's place in a Ray cluster, which all open executors share; it ends with the last of them."""

    def __init__(self) -> None:
        self._users = 0
        self._end = ExitStack()
        self.is_own = False
        """Whether the cluster is this machine alone, started for this process."""

    def join(self, resources: Resources) -> None:
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
        self._users -= 1
        if self._users == 0:
            self.is_own = False
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
        if {node["NodeManagerAddress"] for node in _nodes()} != {LOOPBACK}:
            raise BackendError(
                f"this version of Ray ({ray.__version__}) does not stay on {LOOPBACK}, so it is not started; start one yourself "
                "and name it with --ray-address, or use another version"
            )


_CONNECTION = _Connection()


def _join(address: str) -> None:
    """Join a cluster."""
    if address == "auto":
        address = _address_here()
    host, _, port = address.rpartition(":")
    place = (host.strip("[]"), int(port))
    if not answers(place):
        raise BackendError(
            f"--ray-address {address}: nothing answers there; ray start --head, on the head node, prints its address, and ray "
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
            f"Ray at auto cannot be joined: {_first_line(err)} This machine must be a node of the cluster (ray start --address "
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
    """Start or join a cluster, and leave SIGTERM to whom it belonged to."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=False, **options)
    except Exception as err:  # Ray raises ConnectionError, RuntimeError, ValueError and plain Exception
        where = options["address"]
        raise BackendError(
            f"Ray at {where} cannot be {'started' if where == 'local' else 'joined'}: {_first_line(err)}; this machine must be a "
            "node of the cluster, with the same versions of Python and Ray; ray status says what it has"
        ) from err
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)


def _nodes() -> list[dict[str, Any]]:
    """Return the machines that are there, as Ray describes them."""
    return [node for node in _known_nodes() if node["Alive"]]


def _known_nodes() -> list[dict[str, Any]]:
    """Return the same with those that have died."""
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call, unused-ignore]
    return found


def _result(handle: Ref) -> Any:
    """Return what a task returned; raise Lost or BackendError where it returned nothing."""
    try:
        return ray.get(handle)
    except _LOST as err:
        raise Lost(type(err).__name__) from err
    except RayTaskError as err:
        cause = err.cause or err
        raise BackendError(
            f"a run failed: {type(cause).__name__}: {_first_line(cause)}; finished runs are kept"
        ) from err
    except RayError as err:
        raise BackendError(
            f"the Ray cluster failed ({type(err).__name__}: {_first_line(err)}); is clrbench installed on every node? finished "
            "runs are kept"
        ) from err


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no reason given"


def _fulfil(order: Order, desk: Any, data: list[Ref]) -> Reply:
    """Make a run, in a worker.

    Ray takes a task whose main thread waits for something to need no CPU, and would start another one; so another thread waits.
    """
    node = ray.get_runtime_context().get_node_id()
    with ThreadPoolExecutor(1) as aside:

        def tell(news: News) -> bool:
            return cast(bool, aside.submit(lambda: ray.get(desk.tell.remote(news))).result())

        def fetch() -> Dataset:
            return cast(Dataset, aside.submit(lambda: ray.get(data)[0]).result())

        return fulfil(order, node, tell, fetch if data else None)


def _find_device(resources: Resources, wanted: str = "auto") -> str:
    return load_backend(resources.backend, resources.threads).find_device(wanted)


def _call(resources: Resources, function: Callable[[], T]) -> T:
    load_backend(resources.backend, resources.threads)
    return function()
