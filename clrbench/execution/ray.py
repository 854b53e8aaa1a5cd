"""The Ray executor: each run is a task of a Ray cluster, and this process alone writes what comes back; see `dispatch`."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import ray
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

from clrbench import backends
from clrbench.errors import BackendError
from clrbench.execution import dispatch
from clrbench.execution.dispatch import Dispatch, Lost, make_all
from clrbench.execution.executor import GRACE_SECONDS, THREAD_VARIABLES, Resources, Watch, load_backend
from clrbench.execution.ray_connection import CONNECTION, first_line, known_nodes, nodes
from clrbench.execution.remote import Desk, News, Order, Reply, fulfil, in_memory
from clrbench.execution.sent_code import SentCode, packed, source_of
from clrbench.execution.task import Task
from clrbench.own_code.parcel import Parcel
from clrbench.records import Dataset, Provenance
from clrbench.spec.train import SCRIPT

P = ParamSpec("P")
T = TypeVar("T")

_NODE_LABEL = "ray.io/node-id"
_LOST = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError, TaskCancelledError)

Ref: TypeAlias = Any
"""A `ray.ObjectRef`, which has no types of its own."""


@dataclass(frozen=True)
class _Code:
    """Code of the user's own in the object store."""

    told: SentCode
    parcel: Ref


@dataclass(frozen=True)
class _Sent:
    """What a run may fetch from the object store: each a list of one, as Ray would bring it to every machine otherwise."""

    data: list[Ref]
    code: list[Ref]


class RayWorkers:
    """Tasks of a Ray cluster, which ask for the CPUs and the GPU that a run needs.

    A worker process serves one backend alone, with its number of threads: two frameworks in a process fight over it.
    """

    name = "ray"

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._code: dict[str, _Code] = {}
        self._made_with: list[tuple[str, Provenance]] = []
        CONNECTION.join(resources)
        with ExitStack() as undo:
            undo.callback(CONNECTION.leave)
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            options = {"num_cpus": 0, "max_restarts": 3, "max_task_retries": 3, "scheduling_strategy": here}
            self._desk: Any = ray.remote(Desk).options(**options).remote()
            undo.pop_all()

    def find_device(self, wanted: str) -> str:
        """Return the device that `wanted` stands for; one that is named is found out to be missing by the runs."""
        if self._resources.backend == SCRIPT:
            return backends.load(SCRIPT).find_device(wanted)
        if wanted != "auto":
            return wanted
        # Where no machine is large enough, nobody could answer; `run` says so, and waits for one.
        return self._ask("cuda", _fastest_device, self._resources) if self.has_room("cuda") else "cpu"

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
        self._code.clear()
        CONNECTION.leave()

    def send(self, order: Order, avoid: Sequence[str]) -> Ref:
        """Ask for a run; see `Machines`."""
        task = order.task
        code = self._code_of(task)
        order = replace(order, code=code.told if code else None)
        sent = _Sent(self._data_of(task), [code.parcel] if code else [])
        return self._submit(_fulfil, task.circumstances.device, order, self._desk, sent, name=task.run_id, avoid=avoid)

    def finished(self, handles: Sequence[Ref], timeout_seconds: float) -> Sequence[Ref]:
        """Return those that have a reply; see `Machines`."""
        done: list[Ref]
        with _signals_as_they_are():
            done, _ = ray.wait(list(handles), timeout=timeout_seconds)
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
        found = (node["Resources"] for node in nodes())
        return any(room.get("CPU", 0) >= cpus and room.get("GPU", 0) >= gpus for room in found)

    def wanted(self, device: str) -> str:
        """Return what a run asks for, in words; see `Machines`."""
        cpus, gpus = self._request(device)
        return f"{cpus} CPUs" + f" and {gpus} GPU" * (gpus > 0)

    def name_of(self, node: str) -> str:
        """Return what to call a machine; see `Machines`."""
        addresses = {known["NodeID"]: known["NodeManagerAddress"] for known in known_nodes()}
        return f"node {node[:8]} at {addresses.get(node, 'an unknown address')}"

    def stop(self) -> None:
        """Tell all runs to stop; see `Machines`."""
        with suppress(RayError), _signals_as_they_are():
            ray.get(self._desk.stop.remote(), timeout=GRACE_SECONDS)

    def end(self, handles: Iterable[Ref]) -> None:
        """End runs at once; see `Machines`."""
        for handle in handles:
            with suppress(RayError):
                ray.cancel(handle, force=True)

    def _request(self, device: str) -> tuple[int, int]:
        """Return the CPUs and GPUs that a run on a device asks for."""
        return self._resources.threads, 1 if device == "cuda" or self._resources.gpu_for_script else 0

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
        """Return the data set of a run, which is sent once; nothing where every worker is on this machine, or a script trains."""
        if CONNECTION.is_own or task.run.train is not None:
            return []
        data = task.run.data
        key = f"{task.library.place}\n{data.dataset}\n{task.run.reading().words()}"
        if key not in CONNECTION.data:
            dataset = in_memory(task.library.load(data.dataset, how=task.run.reading()))
            CONNECTION.data[key] = _put(dataset, data.dataset)
        # In a list, Ray brings it only to a machine that asks for it.
        return [CONNECTION.data[key]]

    def _code_of(self, task: Task) -> "_Code | None":
        """Return the code of the user's own that a run needs, which is sent once, as it is then; None likewise."""
        key = f"{task.library.place}\n{task.run.model}\n{task.run.train}"
        if key not in self._code:
            source = None if CONNECTION.is_own else source_of(task)
            if source is None:
                return None
            parcel = packed(task)
            self._code[key] = _Code(SentCode(parcel.checksum, source), _put(parcel, str(task.library.place)))
        return self._code[key]


@contextmanager
def _signals_as_they_are() -> Iterator[None]:
    """Raise what a signal raised while Ray waited, which Ray passes on as the cause of a SystemError."""
    try:
        yield
    except SystemError as err:
        raise err.__cause__ or err from None


def _put(value: object, name: str) -> Ref:
    """Return what Ray's object store holds a value by."""
    try:
        return ray.put(value)
    except RayError as err:
        raise BackendError(
            f"{name}: does not fit into Ray's object store on this machine ({first_line(err)}); start its node with a larger "
            "one (ray start --object-store-memory)"
        ) from err


def _result(handle: Ref) -> Any:
    """Return what a task returned; raise Lost or BackendError where it returned nothing."""
    try:
        with _signals_as_they_are():
            return ray.get(handle)
    except _LOST as err:
        raise Lost(type(err).__name__) from err
    except RayTaskError as err:
        cause = err.cause or err
        raise BackendError(
            f"a run failed: {type(cause).__name__}: {first_line(cause)}; finished runs are kept"
        ) from err
    except RayError as err:
        raise BackendError(
            f"the Ray cluster failed ({type(err).__name__}: {first_line(err)}); is clrbench installed on every node? finished "
            "runs are kept"
        ) from err


def _fulfil(order: Order, desk: Any, sent: _Sent) -> Reply:
    """Make a run, in a worker.

    Ray takes a task whose main thread waits for something to need no CPU, and would start another one; so another thread waits.
    """
    node = ray.get_runtime_context().get_node_id()
    with ThreadPoolExecutor(1) as aside:

        def tell(news: News) -> bool:
            return cast(bool, aside.submit(lambda: ray.get(desk.tell.remote(news))).result())

        def fetch(found: list[Ref]) -> Any:
            return aside.submit(lambda: ray.get(found)[0]).result()

        fetch_data: Callable[[], Dataset] | None = partial(fetch, sent.data) if sent.data else None
        fetch_code: Callable[[], Parcel] | None = partial(fetch, sent.code) if sent.code else None
        return fulfil(order, node, tell, fetch_data, fetch_code)


def _fastest_device(resources: Resources) -> str:
    return load_backend(resources.backend, resources.threads).find_device("auto")


def _call(resources: Resources, function: Callable[[], T]) -> T:
    load_backend(resources.backend, resources.threads)
    return function()
