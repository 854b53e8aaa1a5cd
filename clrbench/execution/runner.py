"""Makes the runs of an experiment that are not stored yet."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

from clrbench.errors import ResultsError, SpecError
from clrbench.execution.executor import Executor, OpenExecutor, Resources, Watch, check_installed, num_workers
from clrbench.execution.placement import Devices, check_choice
from clrbench.execution.provenance import Circumstances, git_commit
from clrbench.execution.session import Pace
from clrbench.execution.task import Task, adopt, make_task
from clrbench.execution.workers import EndWatch, KeptWorkers
from clrbench.planning.experiment import Experiment
from clrbench.planning.plan import PROTOCOL
from clrbench.planning.script import Purpose, metrics_needed
from clrbench.progress import Display
from clrbench.records import Dataset
from clrbench.spec import BackendName, RunSpec, to_yaml, without_paths
from clrbench.spec.train import SCRIPT
from clrbench.store import ResultsFolder
from clrbench.store.twins import RunFolders, run_folders

MAX_WORKERS = 1_000_000
"""Runs made at a time where devices or a cluster set the limit."""


@dataclass(frozen=True)
class Options:
    """How runs are made, as the command line says.

    Attributes:
        workers: Runs made at a time; None for as many as the processors allow.
        threads: CPU threads of each run; None for those that the experiment was started with, or 1.
        device: auto, cpu, cuda or mps.
        shard: Which part of the runs to make, (1, n) to (n, n); None for all of them.
        executor: A name in `EXECUTORS`.
        ray_address: Of the Ray cluster to use; None for a Ray of this machine's own.
        devices: Accelerators of this machine that have a worker each; None to pin no worker.
    """

    workers: int | None = None
    threads: int | None = None
    device: str = "auto"
    redo: bool = False
    shard: tuple[int, int] | None = None
    executor: str = "local"
    ray_address: str | None = None
    devices: Devices | None = None

    def check(self) -> None:
        """Raise SpecError where they contradict each other, and BackendError where the executor is not installed."""
        check_choice(self.executor, self.ray_address, self.devices, self.device, self.workers)
        check_installed(self.executor)

    def resources(self, backend: BackendName, threads: int, num_runs: int) -> Resources:
        """Return what an executor may use to make so many runs of a backend, with so many threads each."""
        workers = min(self.most_workers(threads), num_runs)
        gpu = backend == SCRIPT and self.device == "cuda"
        return Resources(backend, workers, threads, self.devices, self.ray_address, gpu)

    def most_workers(self, threads: int) -> int:
        """Return how many runs of any number to make at a time."""
        return self.known_workers(threads) or MAX_WORKERS

    def known_workers(self, threads: int) -> int | None:
        """Return the same; None for as many as there are devices, or as a cluster has room for, which the executor finds out."""
        if self.devices is None and self.ray_address is None:
            return num_workers(self.workers, threads)
        return self.workers or (len(self.devices) if isinstance(self.devices, tuple) else None)


@dataclass(frozen=True)
class Runner:
    """Makes runs of one experiment, on the devices and with the threads that it was first started with.

    Attributes:
        kept: The workers that stay until the command ends; None where each `make` starts its own.
    """

    experiment: Experiment
    dataset: Dataset
    options: Options
    display: Display
    open_executor: OpenExecutor
    pace: Pace
    kept: KeptWorkers | None = None

    @property
    def folder(self) -> ResultsFolder:
        """The results folder of the experiment."""
        return ResultsFolder(self.experiment.root)

    @property
    def threads(self) -> int:
        """CPU threads of each run: those that the experiment was started with, if it was, else those asked for, or 1."""
        found = self.folder.index().threads or self.options.threads or 1
        self._check_unchanged("threads", found, self.options.threads)
        return found

    @contextmanager
    def keeping_workers(self) -> Iterator["Runner"]:
        """Yield a runner like this one whose workers stay from one `make` to the next, as starting them takes seconds."""
        if self.kept is not None:
            yield self
            return
        with ExitStack() as stack:
            kept = KeptWorkers(self.open_executor, stack, self.options.most_workers(self.threads))
            yield replace(self, open_executor=kept.open, kept=kept)

    def begin(self) -> None:
        """Write down what is about to be done; raise SpecError if the experiment was started with other threads."""
        threads = self.threads
        self._warn_of_other_runs()
        self.folder.create()
        self.folder.begin(
            to_yaml(self.experiment.spec),
            self.experiment.warnings,
            without_paths=self._spec_text,
            beside=self.experiment.library.base,
        )
        self._check_unchanged("threads", self.folder.settle_threads(threads), self.options.threads)

    def check_spec_unchanged(self) -> None:
        """Raise ResultsError if another process has begun a different spec in the same folder meanwhile."""
        if self.folder.is_of_another(self._spec_text):
            raise ResultsError(
                f"{self.folder.root}: another process began a different spec of this name here meanwhile; the finished "
                "runs are kept; do the same again in a results folder of its own (out)"
            )

    def make(
        self,
        folder: ResultsFolder,
        runs: list[RunSpec],
        purpose: Purpose,
        *,
        wanted: Collection[RunSpec] | None = None,
        made: Collection[RunSpec] = (),
        then: BackendName | None = None,
    ) -> None:
        """Make the runs that are not stored in a folder yet; where one fails, finished ones stay on disk.

        Args:
            folder: The folder of the experiment, of its search or of a range test.
            runs: All runs that belong there, those of a backend next to each other.
            purpose: What they are made for, which the progress display calls them by.
            wanted: The part of them to make; None for all.
            made: Those that this command has made already, which `redo` does not make again.
            then: The backend that is needed next, whose workers start while the last runs finish.
        """
        self.folder.check_exists()
        folder.create()
        mine = set(runs if wanted is None else wanted)
        with self.display.showing(purpose, len(mine), sum(step_work(run) * run.num_steps for run in mine)):
            groups = [(backend, list(group)) for backend, group in groupby(runs, key=lambda run: run.backend)]
            following = [*(backend for backend, _ in groups[1:]), then]
            for (_, group), after in zip(groups, following, strict=True):
                self._make_on(folder, group, purpose, mine, made, after)

    def _make_on(
        self,
        folder: ResultsFolder,
        runs: list[RunSpec],
        purpose: Purpose,
        mine: Collection[RunSpec],
        made: Collection[RunSpec],
        then: BackendName | None,
    ) -> None:
        """Make runs of one backend."""
        backend, threads = runs[0].backend, self.threads
        resources = self.options.resources(backend, threads, len(runs))
        tasks: list[Task] = []
        with self._noting_progress(folder, tasks), self.open_executor(resources) as executor:
            how = self._circumstances(resources, executor)
            for run in runs:
                task = make_task(run, self.dataset, how, self.experiment.library, folder.root, self.pace)
                redo = self.options.redo and run not in made
                needs = metrics_needed(self.experiment.spec, run, purpose)
                tasks.append(replace(task, redo=redo, experiment=self.folder.root, needs=needs, purpose=purpose))
            points = {task.run.arm: task.run.evaluation_steps for task in tasks}
            folder.add_runs(self._spec_text, backend, [task.run_id for task in tasks], points)
            pending = self._pending(folder, [task for task in tasks if task.run in mine])
            watch: Watch = self.display.watch({task.run_id: step_work(task.run) for task in pending})
            if then is not None:
                after = replace(resources, backend=then)
                watch = EndWatch(watch, len(pending), resources.workers, lambda: self._warm_up(after))
            first, equals = _without_equals(pending)
            executor.run(first, watch)
            if equals:
                executor.run(self._pending(folder, equals), watch)

    @contextmanager
    def _noting_progress(self, folder: ResultsFolder, tasks: list[Task]) -> Iterator[None]:
        """Add to an error, or to a Ctrl-C, how many runs are finished and how many have a checkpoint."""
        try:
            yield
        except BaseException as err:
            kept = sum(folder.has_checkpoint(task.run_id) for task in tasks)
            err.add_note(f"{self.display.count} are finished, {kept} stand at a checkpoint")
            raise

    def _pending(self, folder: ResultsFolder, tasks: list[Task]) -> list[Task]:
        """Return the tasks that are left to be done; what the others ask for is stored, if need be as a copy."""
        stored = cache(lambda: run_folders(self.folder.root))
        pending = [task for task in tasks if self._is_pending(folder, task, stored)]
        left = {task.run_id for task in pending}
        for task in tasks:
            if task.run_id not in left:
                self.display.skip(step_work(task.run) * task.run.num_steps)
        return pending

    def _is_pending(self, folder: ResultsFolder, task: Task, stored: Callable[[], RunFolders]) -> bool:
        run, problems = None, []
        try:
            run = folder.find_run(task.run_id)
        except ResultsError as err:
            problems.append(str(err))
        finished = run is not None and run.has_evaluations(task.run.evaluation_steps)
        pending = task.redo or (finished and folder.needs_cleanup(task.run_id))
        if not finished and not task.redo:
            adopted, damaged = adopt(task, stored())
            pending = not adopted
            problems += damaged
        for problem in dict.fromkeys(problems):
            self.display.warn(problem)
        return pending

    def _circumstances(self, resources: Resources, executor: Executor) -> Circumstances:
        return Circumstances(
            backend=resources.backend,
            device=self._device(resources, executor),
            threads=resources.threads,
            executor=executor.name,
            git_commit=git_commit(self.experiment.file.path.resolve().parent),
            data_checksum=self.dataset.checksum,
        )

    def _device(self, resources: Resources, executor: Executor) -> str:
        backend = resources.backend
        # That of a script is its own, and a GPU that it is given is no other one.
        asked = "auto" if backend == SCRIPT else self.options.device
        device = self.folder.index().devices.get(backend)
        if device is None:
            # One worker is about to start; the others need not wait for its answer.
            self._warm_up(replace(resources, workers=resources.workers - 1))
            device = self.folder.settle_device(backend, executor.find_device(asked))
        self._check_unchanged("device", device, None if asked == "auto" else asked)
        if device == "cpu" and self.options.devices is not None:
            raise SpecError(
                f"--devices names accelerators, but {self.experiment.root} was started with device cpu; leave --devices "
                "out, or use another results folder (out)"
            )
        return device

    def _warm_up(self, resources: Resources) -> None:
        if self.kept is not None and self.options.executor == "local":
            self.kept.warm_up(resources, self.options.device)

    def _check_unchanged(self, name: str, fixed: object, wanted: object) -> None:
        if wanted not in {None, fixed}:
            raise SpecError(
                f"{name}: got {wanted}, but {self.experiment.root} was started with {name} {fixed}, and another value "
                f"can change the last digits; leave {name} out, or use another results folder (out)"
            )

    def _warn_of_other_runs(self) -> None:
        found = self.folder.index().protocol or PROTOCOL
        if found < PROTOCOL:
            self.display.warn(
                f"{self.folder.root} was made by an older clrbench, which followed protocol {found}; its runs are kept, but "
                f"all are rerun with protocol {PROTOCOL}, and only these count"
            )
        elif self.folder.is_of_another(self._spec_text):
            self.display.warn(
                f"{self.folder.root} was last made from another spec: only runs that both ask for are kept in its tables"
            )

    @property
    def _spec_text(self) -> str:
        """The spec without where its data lies: what moves together stays the same experiment."""
        return to_yaml(without_paths(self.experiment.spec))


def _without_equals(tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    """Return the tasks without those that a copy of another one's run will do for, and these."""
    first: list[Task] = []
    equals: list[Task] = []
    seen: set[str] = set()
    for task in tasks:
        (equals if task.identity in seen and not task.redo else first).append(task)
        seen.add(task.identity)
    return first, equals


def part(runs: list[RunSpec], shard: tuple[int, int] | None) -> list[RunSpec]:
    """Return the runs of a shard; all of them for None.

    They are neighbours, so that one machine makes most of the runs that are compared with each other.
    """
    if shard is None:
        return runs
    index, count = shard
    return runs[(index - 1) * len(runs) // count : index * len(runs) // count]


def step_work(run: RunSpec) -> float:
    """Return about what an update of a run takes, in images: a fixed part, and its batch."""
    return 200 + run.batch_size
