"""All runs of an experiment that are not there yet, made on worker processes."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from clrbench.commands.opening import Experiment, check_installed, open_experiment
from clrbench.errors import ResultsError, SpecError
from clrbench.execution.local import LocalWorkers, Progress, available_cpus, local_workers
from clrbench.execution.task import Task
from clrbench.planning.plan import PROTOCOL, run_identity
from clrbench.progress import Display
from clrbench.records import Dataset
from clrbench.spec import RunSpec, to_yaml
from clrbench.store import ResultsFolder


@dataclass(frozen=True)
class Options:
    """How runs are made, as the command line says.

    Attributes:
        workers: Worker processes; None for as many as the processors allow.
        threads: Threads of each run; None for what the experiment was started with, or 1.
        device: auto, cpu, cuda or mps.
        redo: Whether finished runs are made again.
        shard: Which part of the runs to make, and of how many, (1, n) to (n, n); None for all of them.
    """

    workers: int | None = None
    threads: int | None = None
    device: str = "auto"
    redo: bool = False
    shard: tuple[int, int] | None = None


@dataclass
class Fleet:
    """Makes runs of one experiment, on the devices and with the threads it was first started with.

    Attributes:
        experiment: The experiment.
        options: How to make the runs.
        display: Shows how far they are.
    """

    experiment: Experiment
    options: Options
    display: Display

    @cached_property
    def folder(self) -> ResultsFolder:
        """Where the results of the experiment go."""
        return ResultsFolder(self.experiment.root)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, fetched or made where need be, read and checked once."""
        with self.experiment.locating():
            return self.experiment.library.load(self.experiment.spec.data.dataset, self.display.counting)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the experiment was first started with: threads, and the device of each backend."""
        found = self.folder.index()
        settings = {"threads": self.options.threads or 1, "devices": {}}
        settings.update((key, found[key]) for key in settings if key in found)
        self._check_unchanged("threads", settings["threads"], self.options.threads)
        return settings

    def prepare(self) -> None:
        """Check that backends and data are there; data that is not is fetched or made.

        Raises:
            BackendError: If a backend is not installed.
            DataError: If the data cannot be had.
            SpecError: If the data, once it is there, does not fit the spec.
        """
        check_installed(self.experiment.backends)
        found, library = self.experiment, self.experiment.library
        if self.dataset and library.measure(found.spec.data.dataset) != found.sizes:
            self.experiment = open_experiment(found.file.path, found.root.parent, library)

    def begin(self) -> None:
        """Prepare, and write down what is about to be done; raises what `prepare` does."""
        self.prepare()
        wanted = {"threads": self.settings["threads"]}
        self._note_what_lies_there()
        self.folder.create()
        self.folder.begin(self._spec_text, {"protocol": PROTOCOL, "warnings": self.experiment.warnings})
        self.settings.update(self.folder.settle(wanted))
        self._check_unchanged("threads", self.settings["threads"], self.options.threads)

    def check_ours(self) -> None:
        """Raise ResultsError if another process has begun a different spec in the same folder meanwhile."""
        if self.folder.is_of_another(self._spec_text):
            raise ResultsError(
                f"{self.folder.root}: another process began a different spec of this name here meanwhile; the runs made "
                "are kept; run the same command again, with --out for a folder of its own"
            )

    def make(self, folder: ResultsFolder, runs: list[RunSpec], what: str, *, only_shard: bool = False) -> None:
        """Make the runs that are not in a folder yet.

        Args:
            folder: Where they go: the experiment's, or that of a range test.
            runs: Those of a backend next to each other.
            what: What they are called while they are made.
            only_shard: Whether to make those of this shard alone.

        Raises:
            ClrbenchError: If a run fails; those that are done stay in the folder.
        """
        self.folder.check_there()
        folder.create()
        mine = set(part(runs, self.options.shard)) if only_shard else set(runs)
        with self.display.showing(what, len(mine), sum(_work(run) * run.num_steps for run in mine)):
            for backend, group in groupby(runs, key=lambda run: run.backend):
                self._make_on(backend, folder, list(group), mine)

    @property
    def _spec_text(self) -> str:
        return to_yaml(self.experiment.spec)

    @cached_property
    def _made(self) -> set[tuple[ResultsFolder, str]]:
        """The runs that this fleet has made, which are not made again where more are asked for beside them."""
        return set()

    def _make_on(self, backend: str, folder: ResultsFolder, runs: list[RunSpec], mine: set[RunSpec]) -> None:
        threads = self.settings["threads"]
        num_workers = min(self.options.workers or max(1, available_cpus() // threads), len(runs))
        tasks: list[Task] = []
        with self._counting(folder, tasks), local_workers(backend, num_workers, threads) as workers:
            device = self._device(backend, workers)
            tasks += [self._task(folder, run, device) for run in runs]
            self._remember(folder, backend, tasks)
            asked_for = [task for task in tasks if task.run in mine]
            pending = [task for task in asked_for if self._is_to_be_made(folder, task)]
            work = {task.run_id: _work(task.run) for task in pending}
            for task in asked_for:
                if task.run_id not in work:
                    self.display.skip(_work(task.run) * task.run.num_steps)

            def show(news: Progress) -> None:
                if news.warning is not None:
                    self.display.warn(news.warning)
                elif news.finished:
                    self.display.finish(news.run_id)
                else:
                    self.display.advance(work[news.run_id] * news.steps)

            workers.run(pending, show)
            self._made.update((folder, task.run_id) for task in tasks)

    @contextmanager
    def _counting(self, folder: ResultsFolder, tasks: list[Task]) -> Iterator[None]:
        """Where runs fail or are stopped, say with the error how many are done, and how many stand at a checkpoint."""
        try:
            yield
        except BaseException as err:
            kept = sum(folder.has_checkpoint(task.run_id) for task in tasks)
            err.add_note(f"{self.display.count} are finished, {kept} stand at a checkpoint")
            raise

    def _is_to_be_made(self, folder: ResultsFolder, task: Task) -> bool:
        try:
            run = folder.find_run(task.run_id)
        except ResultsError as err:
            self.display.warn(str(err))
            return True
        finished = run is not None and run.has_evaluations(task.run.evaluation_steps)
        return task.redo or not finished or folder.is_left_untidy(task.run_id)

    def _device(self, backend: str, workers: LocalWorkers) -> str:
        fixed: str | None = self.settings["devices"].get(backend)
        if fixed is None:
            found = workers.find_device(self.options.device)
            fixed = self.folder.settle({"devices": {backend: found}})["devices"][backend]
            self.settings["devices"][backend] = fixed
        self._check_unchanged("device", fixed, None if self.options.device == "auto" else self.options.device)
        return fixed

    def _check_unchanged(self, name: str, fixed: object, wanted: object) -> None:
        if wanted not in {None, fixed}:
            raise SpecError(
                f"--{name}: got {wanted}, but {self.experiment.root} was started with {name} {fixed}, and another value "
                f"can change the last digits; leave --{name} out, or name another folder with --out"
            )

    def _note_what_lies_there(self) -> None:
        found = self.folder.index().get("protocol", PROTOCOL)
        if found < PROTOCOL:
            self.display.warn(
                f"{self.folder.root} was made by an older clrbench, by protocol {found}: its runs are kept, but all are made "
                f"anew by protocol {PROTOCOL}, and only these count"
            )
        elif self.folder.is_of_another(self._spec_text):
            self.display.warn(f"{self.folder.root} was last made from another spec: only runs that both ask for count")

    def _task(self, folder: ResultsFolder, run: RunSpec, device: str) -> Task:
        threads = self.settings["threads"]
        identity = run_identity(run, self.dataset, device, threads)
        run_id = f"{run.backend}-{run.arm}-s{run.seed}-{identity[:8]}"
        return Task(
            run_id=run_id,
            identity=identity,
            run=run,
            library=self.experiment.library,
            root=folder.root,
            device=device,
            threads=threads,
            data_checksum=self.dataset.checksum,
            executor=LocalWorkers.name,
            git_commit=self._git_commit,
            redo=self.options.redo and (folder, run_id) not in self._made,
        )

    def _remember(self, folder: ResultsFolder, backend: str, tasks: list[Task]) -> None:
        """Keep what later commands need: which runs belong to the experiment."""
        points = {task.run.arm: task.run.evaluation_steps for task in tasks}
        folder.remember(self._spec_text, {backend: [task.run_id for task in tasks]}, points)

    @cached_property
    def _git_commit(self) -> str | None:
        """The commit that the folder of the spec is at, or None."""
        folder = self.experiment.file.path.resolve().parent
        try:
            found = subprocess.run(
                ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return found.stdout.strip() or None


def part(runs: list[RunSpec], shard: tuple[int, int] | None) -> list[RunSpec]:
    """Return the runs of a shard: neighbours, so that most pairs are made on one machine; all of them where it is None."""
    if shard is None:
        return runs
    index, count = shard
    return runs[(index - 1) * len(runs) // count : index * len(runs) // count]


def _work(run: RunSpec) -> float:
    """Return about how much longer than others an update of a run takes: a fixed part, and one for each image."""
    return 200 + run.batch_size
