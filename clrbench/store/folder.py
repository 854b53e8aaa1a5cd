"""The layout of a results folder.

Every write goes to a temporary name first, is flushed to the disk, and then takes its place in one step, so every file is
complete. Whatever writes raises a ResultsError where the disk refuses, and whatever reads where a file is missing or is
not what was written.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pandas as pd

from clrbench.errors import ResultsError, SpecError
from clrbench.files import checksum
from clrbench.planning.plan import PROTOCOL
from clrbench.rates import Rates
from clrbench.records import Json, RunLog
from clrbench.spec import BackendName, Spec, load_spec
from clrbench.store import files
from clrbench.store.bounds import BOUNDS_FILE, bounds_to_json, read_bounds
from clrbench.store.checkpoints import Checkpoints
from clrbench.store.index import INDEX_FILE, SPEC_FILE, Index, read_index, recorded_spec_folder
from clrbench.store.look import Look
from clrbench.store.run import (
    RunId,
    RunKey,
    RunRecord,
    StoredRun,
    is_run,
    read_run,
    renamed_files,
    run_files,
    to_csv,
)
from clrbench.store.scripts import ScriptFolder

NAME_COLUMNS = ("arm", "candidate", "baseline")


@dataclass(frozen=True)
class ResultsFolder:
    """The folder of an experiment, of one of its range tests or of its search."""

    root: Path

    def range_test(self, arm: str | None) -> "ResultsFolder":
        """Return the folder of the range test that all arms share (None), or of one arm's own."""
        return ResultsFolder(self._path("range-test" if arm is None else f"range-test/{arm}"))

    def search(self) -> "ResultsFolder":
        """Return the folder of the runs that tune arms: at the rates tried, and at the rates given."""
        return ResultsFolder(self._path("search"))

    def create(self) -> None:
        """Make the folder, unless it exists."""
        files.make_folder(self.root)

    def check_exists(self) -> None:
        """Raise ResultsError if the folder was removed."""
        if not self.root.is_dir():
            raise ResultsError(f"{self.root}: {files.GONE}")

    def has_runs(self) -> bool:
        """Return whether the folder of runs exists."""
        return (self.root / "runs").is_dir()

    def check_has_runs(self) -> None:
        """Raise ResultsError unless there is a folder of runs."""
        if not self.has_runs():
            advice = "run clrbench compare first, or name the folder of an experiment"
            raise ResultsError(f"{self.root}: there is no folder runs/; {advice}")

    def find_run(self, run_id: str) -> StoredRun | None:
        """Return a finished run, or None where there is none."""
        folder = self._path(f"runs/{run_id}")
        return read_run(folder) if folder.exists() else None

    def is_finished(self, run_id: str, evaluation_steps: tuple[int, ...] = ()) -> bool:
        """Return whether a run is stored intact, with evaluations after all of these numbers of updates."""
        try:
            run = self.find_run(run_id)
        except ResultsError:
            return False
        return run is not None and run.has_evaluations(evaluation_steps)

    def indexed_runs(self) -> list[StoredRun]:
        """Return the finished runs of the experiment as it was last asked for, in the order of its spec."""
        self.check_has_runs()
        run_ids = [run_id for run_ids in self.index().runs.values() for run_id in run_ids] or self._all_run_ids()
        return [run for run in map(self._wait_for_run, run_ids) if run is not None]

    def counted_runs(self) -> list[StoredRun]:
        """Return the same runs with only the evaluations that the spec asks for; a run may have more."""
        points = self.index().evaluation_steps
        return [
            run.evaluated_at(tuple(points.get(run.key.arm, run.spec.evaluation_steps))) for run in self.indexed_runs()
        ]

    def write_run(self, record: RunRecord, log: RunLog) -> None:
        """Write a finished run, `run.json` last, in place of the one before; the caller holds its lock."""
        self.check_exists()
        files.write_folder(self._path(f"runs/{record.run_id}"), run_files(record, log))

    def adopt_run(self, twin: StoredRun, run_id: str, arm: str) -> bool:
        """Store a copy of a run under another name; the caller holds the lock of that name.

        Returns:
            Whether it is stored; the run itself may have been damaged or replaced since it was read.
        """
        self.check_exists()
        try:
            contents = renamed_files(twin, run_id, arm)
        except ResultsError:
            return False
        files.write_folder(self._path(f"runs/{run_id}"), contents)
        return True

    @contextmanager
    def run_lock(self, run_id: str, give_up: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Hold the lock of a run, once what a dead process left of the run is cleared up; see `files.lock`."""
        with self._lock(run_id, give_up) as held:
            if held:
                files.recover_folder(self._path(f"runs/{run_id}"), is_run)
            yield held

    @contextmanager
    def tables_lock(self) -> Iterator[None]:
        """Hold the lock of all tables and figures."""
        with self._lock("tables"):
            yield

    def checkpoints(self, run_id: str, belongs_to: Mapping[str, Json]) -> Checkpoints:
        """Return the checkpoints of a run; see `Checkpoints` for the arguments."""
        return Checkpoints(self._path(".checkpoints"), run_id, belongs_to)

    def script_folder(self, run_id: str) -> ScriptFolder:
        """Return where the script of a run works; the caller holds the lock of the run."""
        return ScriptFolder(self._path(f".scripts/{run_id}"))

    def clear_script(self, run_id: str) -> None:
        """Remove where the script of a finished run worked, and what is left of runs that it stands for now."""
        place = self.script_folder(run_id)
        place.remove()
        # This process may hold the lock of another run itself, and cannot ask for it again.
        for other in (name for name in place.others() if not self._lock_path(name).exists()):
            with self.run_lock(other, lambda: True) as held:
                if held:
                    self.script_folder(other).remove()

    def has_checkpoint(self, run_id: str) -> bool:
        """Return whether a run has a checkpoint."""
        return any((self.root / ".checkpoints").glob(f"{run_id}.*.json"))

    def needs_cleanup(self, run_id: str) -> bool:
        """Return whether a process is making a run, or died before it removed all that a finished one has no use for."""
        left = self._lock_path(run_id).exists() or self.script_folder(run_id).path.exists()
        return left or self.has_checkpoint(run_id)

    def index(self) -> Index:
        """Return the content of `experiment.json`."""
        return read_index(self.root)

    @property
    def spec_folder(self) -> Path | None:
        """The folder that relative paths in the spec start from; None where it is not recorded."""
        return recorded_spec_folder(self.root)

    def begin(
        self, spec: str, warnings: list[str], *, without_paths: str | None = None, beside: Path | None = None
    ) -> None:
        """Record the resolved spec, as YAML, and the warnings about it.

        `without_paths` is the same spec without where its data lies, by which it is known again (None: the same text), and
        `beside` the folder that its relative paths start from (None: it has none).
        """
        where = None if beside is None else os.path.relpath(beside.resolve(), self.root.resolve())
        known_by = _digest(spec if without_paths is None else without_paths)
        with self._lock("index"):
            self.write_bytes(SPEC_FILE, spec.encode())
            index = replace(self.index(), protocol=PROTOCOL, warnings=warnings, spec=known_by, spec_folder=where)
            self._write_index(index)

    def is_of_another(self, spec: str) -> bool:
        """Return whether the last spec that was begun here, without paths, is another one."""
        return self.index().spec not in {None, _digest(spec)}

    def add_runs(
        self, spec: str, backend: str, run_ids: list[str], evaluation_steps: Mapping[str, tuple[int, ...]]
    ) -> None:
        """Record which runs of a backend belong to the experiment; see `Index.with_runs`."""
        points = {arm: list(steps) for arm, steps in evaluation_steps.items()}
        self._update_index(lambda index: index.with_runs(_digest(spec), backend, run_ids, points))

    def settle_threads(self, threads: int) -> int:
        """Record the threads of each run, unless another process has; return what is now recorded."""
        return self._update_index(lambda index: replace(index, threads=index.threads or threads)).threads or threads

    def settle_device(self, backend: str, device: str) -> str:
        """Record the device of a backend, unless another process has; return what is now recorded."""
        index = self._update_index(
            lambda index: replace(index, devices={**index.devices, backend: index.devices.get(backend, device)})
        )
        return index.devices[backend]

    def record_looks(self, change: Callable[[tuple[Look, ...]], tuple[Look, ...]]) -> tuple[Look, ...]:
        """Change the looks that are recorded while no other process does; return what is now recorded."""
        return self._update_index(lambda index: replace(index, looks=change(index.looks))).looks

    def stored_keys(self) -> frozenset[RunKey]:
        """Return the keys of all finished runs, by the names of their folders, whatever spec asked for them."""
        found = (RunId.parse(path.name) for path in (self.root / "runs").glob("[!.]*"))
        return frozenset(run_id.key for run_id in found if run_id is not None)

    def bounds(self) -> dict[str, Rates]:
        """Return the rates in `bounds.json` of a range test, by backend; empty where there is no such file."""
        return read_bounds(self.root / BOUNDS_FILE)

    def write_bounds(self, bounds: Mapping[BackendName, Rates]) -> None:
        """Write `bounds.json` of a range test; the same rates leave the file, and what was drawn of it, as they are.

        The caller holds the lock of the tables.
        """
        content, path = bounds_to_json(bounds), self.root / BOUNDS_FILE
        with suppress(OSError):
            if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
                return
        self.write_bytes(BOUNDS_FILE, content)

    def read_spec(self) -> Spec:
        """Return the spec that was last begun here."""
        path = self.root / SPEC_FILE
        if not path.is_file():
            raise ResultsError(
                f"{self.root}: there is no {SPEC_FILE}; name the folder of an experiment, such as results/demo, or run "
                "clrbench compare first"
            )
        try:
            return load_spec(path).spec
        except SpecError as err:
            raise ResultsError(f"damaged: {err}") from err

    def read_table(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """Return a table from a CSV file of the results folder, which must have these columns."""
        path, advice = self.root / name, f"run clrbench report {self.root} to write it anew"
        content = files.read_file(path, advice)
        with files.read_errors(path, advice):
            header = pd.read_csv(io.BytesIO(content), nrows=0)
            # An arm may be called 007 or nan; what is missing can only be a number.
            missing = {str(column): ["nan"] for column in header if column not in NAME_COLUMNS}
            types = dict.fromkeys(NAME_COLUMNS, str)
            table = pd.read_csv(io.BytesIO(content), dtype=types, na_values=missing, keep_default_na=False)
        if absent := [column for column in columns if column not in table]:
            raise ResultsError(f"{path}: got no column {', '.join(absent)}; {advice}")
        return table

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as a CSV file of the results folder."""
        self.write_bytes(name, to_csv(table))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file of the results folder in one step."""
        self.check_exists()
        target = self.root / name
        files.refuse_symlinks(self.root, target.parent)
        files.write_file(target, content)

    def remove(self, name: str) -> None:
        """Remove a file of the results folder, if it is there."""
        files.remove(self.root / name)

    def _wait_for_run(self, run_id: str) -> StoredRun | None:
        """Return a run, or None; where another process is just replacing it, or died while doing so, the new one."""
        if not files.is_being_replaced(self._path(f"runs/{run_id}")):
            return self.find_run(run_id)
        with self.run_lock(run_id):
            return self.find_run(run_id)

    def _all_run_ids(self) -> list[str]:
        """Return the ids of all runs, for want of an index that says which of them count."""
        run_ids = sorted(path.name for path in (self.root / "runs").glob("[!.]*"))
        names = [parsed.name for parsed in map(RunId.parse, run_ids) if parsed is not None]
        if twice := [name for name, following in pairwise(names) if name == following]:
            raise ResultsError(
                f"{self.root}: {INDEX_FILE} does not say which of several runs {twice[0]} counts; run clrbench compare on "
                "the spec again, which trains nothing that is finished"
            )
        return run_ids

    def _update_index(self, change: Callable[[Index], Index]) -> Index:
        """Change `experiment.json` while no other process does; return its new content."""
        with self._lock("index"):
            index = change(self.index())
            self._write_index(index)
        return index

    def _write_index(self, index: Index) -> None:
        if index != self.index():
            self.write_bytes(INDEX_FILE, index.to_json())

    @contextmanager
    def _lock(self, name: str, give_up: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        self.check_exists()
        with files.lock(self._lock_path(name), give_up) as held:
            yield held

    def _lock_path(self, name: str) -> Path:
        return self._path(f".locks/{name}.lease")

    def _path(self, name: str) -> Path:
        path = self.root / name
        files.refuse_symlinks(self.root, path)
        return path


def _digest(spec: str) -> str:
    return checksum(spec.encode())
