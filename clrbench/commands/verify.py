"""`clrbench verify`: finished runs of an experiment made once more, elsewhere, and set beside what lies on disk."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import get_args

from rich.console import Console

from clrbench.analysis.reruns import Likeness, Outcome, Parting, RunTables, compare
from clrbench.answer import Answer, ExitCode
from clrbench.backends import installed
from clrbench.commands.setup import Setup
from clrbench.counted import counted
from clrbench.data import Library
from clrbench.errors import BackendError, DataError, ResultsError, SpecError
from clrbench.execution.executor import Resources, num_workers
from clrbench.execution.provenance import Circumstances, changes
from clrbench.execution.runner import step_work
from clrbench.execution.task import Task, make_task
from clrbench.planning.experiment import check_installed
from clrbench.planning.script import Purpose, check_files, check_program, stand_in
from clrbench.progress import Display
from clrbench.records import Dataset, Json, json_value
from clrbench.report.console import WordTable, print_line, print_list, print_table, rendered
from clrbench.spec import BackendName, OwnModel
from clrbench.spec.messages import nearest
from clrbench.store import ResultsFolder, StoredRun

MAX_SHOWN_NAMES = 10
MAX_SHOWN_RUNS = 20
MAX_EXPLAINED_RUNS = 3
_RUN_HEADINGS = ("run", "outcome", "status", "updates", "evaluations", "parts at update")
_PARTING_HEADINGS = ("column", "differ", "largest, at update", "relative, at update", "tolerance")
_SIGNS = {Outcome.BIT_EQUAL: "+", Outcome.WITHIN_TOLERANCE: "~", Outcome.DIFFERENT: "-"}
_SEVERITY = {Outcome.BIT_EQUAL: 0, Outcome.WITHIN_TOLERANCE: 1, Outcome.DIFFERENT: 2}


@dataclass(frozen=True)
class Wanted:
    """Which runs are to be made again: the one that is named, `every` one, or the one that takes the least training.

    Attributes:
        data: Where their data set lies now; None for where the spec says, seen from where its file lay back then.
    """

    run_id: str | None = None
    every: bool = False
    data: Path | None = None


def verify(root: Path, wanted: Wanted, *, library: Library, display: Display, setup: Setup) -> Answer:
    """Make runs of an experiment once more, in a temporary folder, and say whether they come out the same.

    Device and threads are those of then. Nothing is written into the folder of the experiment.
    """
    if wanted.run_id is not None and wanted.every:
        raise SpecError("--run and --all exclude each other; leave one of them out")
    chosen = _choose(root, wanted.run_id, every=wanted.every)
    check_installed(dict.fromkeys(run.spec.backend for run in chosen), installed())
    library = library.beside(ResultsFolder(root).spec_folder or Path().resolve())
    if wanted.data is not None:
        chosen = [_on_data(run, wanted.data) for run in chosen]
    datasets = _load_datasets(chosen, library, display)
    with tempfile.TemporaryDirectory(prefix="clrbench-verify-") as place:
        tasks = []
        # A folder for each, as a run at the rate given may have the name of a try.
        for number, run in enumerate(chosen):
            folder = Path(place, str(number))
            folder.mkdir()
            dataset = datasets[_data_name(run)]
            task = make_task(run.spec, dataset, _circumstances(run), library, folder, setup.pace)
            tasks.append(replace(task, purpose=_purpose(ResultsFolder(root), run)))
        _make(tasks, display, setup)
        made = [run for task in tasks for run in ResultsFolder(task.root).indexed_runs()]
    return _answer(root, [_Rerun(before, after) for before, after in zip(chosen, made, strict=True)])


def _choose(root: Path, run_id: str | None, *, every: bool) -> list[StoredRun]:
    groups = [folder.indexed_runs() for folder in _folders(root) if folder.has_runs()]
    stored = [run for group in groups for run in group]
    if not stored:
        raise ResultsError(f"{root}: there are no finished runs; run clrbench compare or clrbench range-test first")
    if every:
        return stored
    if run_id is None:
        return [min(next(filter(None, groups)), key=lambda run: run.spec.num_steps * run.spec.batch_size)]
    found = [run for run in stored if run.folder.name == run_id]
    if not found:
        names = list(dict.fromkeys(run.folder.name for run in stored))
        more = f" and {len(names) - MAX_SHOWN_NAMES} more" if len(names) > MAX_SHOWN_NAMES else ""
        allowed = ", ".join(names[:MAX_SHOWN_NAMES]) + more
        raise SpecError(f"--run: got {run_id!r}; allowed: a run of {root}: {allowed}{nearest(run_id, names)}")
    return found


def _folders(root: Path) -> Iterator[ResultsFolder]:
    """Yield every folder of an experiment that may hold runs, that of the arms first."""
    folder = ResultsFolder(root)
    yield folder
    yield folder.search()
    for arm in (None, *folder.read_spec().arms):
        yield folder.range_test(arm)


def _circumstances(run: StoredRun) -> Circumstances:
    then = run.provenance
    return Circumstances(run.spec.backend, then.device, then.threads, then.executor, None, then.data_checksum)


def _purpose(folder: ResultsFolder, run: StoredRun) -> Purpose:
    """Return what a run of an experiment was made for, by where it is stored."""
    purposes: dict[Path, Purpose] = {folder.root: "runs", folder.search().root: "search"}
    return purposes.get(run.folder.parents[1], "range test")


def _on_data(run: StoredRun, place: Path) -> StoredRun:
    """Return a run with its data at another place, which is no part of its identity."""
    data = run.spec.data.model_copy(update={"dataset": str(place.resolve())})
    return replace(run, record=replace(run.record, spec=run.spec.model_copy(update={"data": data})))


def _load_datasets(runs: Sequence[StoredRun], library: Library, display: Display) -> dict[str, Dataset]:
    """Return the data set of every run, by its name in the spec, once it is known to be the one of then."""
    found: dict[str, Dataset] = {}
    advice = (
        "put the data that it was trained on back into its place, or say where it lies with --data, and verify again"
    )
    for run in runs:
        name, wanted = _data_name(run), run.provenance.data_checksum
        if name not in found:
            try:
                found[name] = _load_dataset(run, library, display)
            except SpecError as err:
                raise DataError(f"{run.folder.name}: its data set is not here: {err}; {advice}") from err
        if found[name].checksum != wanted:
            raise DataError(
                f"{run.folder.name}: was trained on {name} with checksum {wanted}, but here it has "
                f"{found[name].checksum}; {advice}"
            )
    return found


def _data_name(run: StoredRun) -> str:
    """Return what the data of a run is called: that in its spec, or the command of a script."""
    return run.spec.data.dataset if run.spec.train is None else run.spec.train.command


def _load_dataset(run: StoredRun, library: Library, display: Display) -> Dataset:
    if run.spec.train is None:
        return library.load(run.spec.data.dataset, display.counting, run.spec.reading())
    folder = library.base or Path()
    check_files(run.spec.train, folder)
    check_program(run.spec.train, folder)
    return stand_in(run.spec.train, folder)


def _make(tasks: Sequence[Task], display: Display, setup: Setup) -> None:
    def workers_key(task: Task) -> tuple[int, int]:
        return get_args(BackendName).index(task.run.backend), task.circumstances.threads

    with display.showing("reruns", len(tasks), sum(step_work(task.run) * task.run.num_steps for task in tasks)):
        for _, group in groupby(sorted(tasks, key=workers_key), workers_key):
            _make_alike(list(group), display, setup)


def _make_alike(tasks: list[Task], display: Display, setup: Setup) -> None:
    """Make runs of one backend with the same number of threads."""
    backend, threads = tasks[0].run.backend, tasks[0].circumstances.threads
    with setup.open_executor(Resources(backend, num_workers(None, threads, len(tasks)), threads)) as executor:
        for device in dict.fromkeys(task.circumstances.device for task in tasks):
            try:
                executor.find_device(device)
            except BackendError as err:
                raise BackendError(
                    f"runs on {backend} were made on {device}, which cannot be used here ({err}); verify them where it can"
                ) from err
        executor.run(tasks, display.watch({task.run_id: step_work(task.run) for task in tasks}))


@dataclass(frozen=True)
class _Rerun:
    """A stored run beside the same run, made once more."""

    before: StoredRun
    after: StoredRun

    @cached_property
    def likeness(self) -> Likeness:
        runs = (self.before, self.after)
        return compare(*(RunTables(run.steps, run.evaluations, run.test_hits) for run in runs))

    @cached_property
    def changes(self) -> dict[str, tuple[Json, Json]]:
        return changes(self.before.provenance, self.after.provenance)

    @property
    def new_identity(self) -> str | None:
        now = self.after.record.identity
        return None if now == self.before.record.identity else now

    def data(self, root: Path) -> dict[str, object]:
        likeness = self.likeness
        return {
            "run_id": self.before.folder.name,
            "folder": self.before.folder.relative_to(root).as_posix(),
            "outcome": str(likeness.outcome),
            "status": self.before.status,
            "status_now": self.after.status,
            "first_update_apart": likeness.first_update and likeness.first_update.first_step,
            "begins_as_rounding": likeness.begins_as_rounding,
            "first_evaluation_apart": likeness.first_evaluation and likeness.first_evaluation.first_step,
            "updates": {parting.column: _plain(parting) for parting in likeness.updates},
            "evaluations": {parting.column: _plain(parting) for parting in likeness.evaluations},
            "test_rows_apart": likeness.hits_apart,
            "last_evaluation": {
                column: {"before": json_value(before), "now": json_value(now)}
                for column, (before, now) in likeness.last_evaluation.items()
            },
            "provenance_changes": [
                {"entry": entry, "before": before, "now": now} for entry, (before, now) in self.changes.items()
            ],
            "new_identity": self.new_identity,
        }

    @property
    def row(self) -> tuple[str, ...]:
        """The outcome, and where the two part."""
        likeness = self.likeness
        updates, evaluations = (str(group[0].num_rows) for group in (likeness.updates, likeness.evaluations))
        outcome = f"{_SIGNS[likeness.outcome]} {likeness.outcome}"
        first = likeness.first_update
        where = "-" if first is None else f"{first.first_step} ({first.column})"
        return (self.before.folder.name, outcome, self.before.status, updates, evaluations, where)

    @property
    def table(self) -> WordTable:
        """Each column of which something differs; without rows where nothing does."""
        partings = (*self.likeness.updates, *self.likeness.evaluations)
        return WordTable("", _PARTING_HEADINGS, [_parting_row(parting) for parting in partings if parting.num_apart])

    def remarks(self) -> Iterator[str]:
        """Yield what there is to know beside the numbers."""
        if self.new_identity is not None:
            why = "this version counts other entries of a spec, or draws other weights"
            if isinstance(self.before.spec.model, OwnModel):
                why = "the files of its network, or the version of its framework, have changed since"
            then, now = self.before.provenance.protocol, self.after.provenance.protocol
            if then != now:
                why = f"it was made by protocol {then}, and this version follows {now}, which gives other numbers"
            yield f"clrbench compare would train it again, as its identity has changed: {why}"
        if self.likeness.outcome is not Outcome.BIT_EQUAL:
            yield from (*_parting_lines(self.likeness), *self._other_lines())

    def _other_lines(self) -> Iterator[str]:
        if self.before.status != self.after.status:
            yield f"{self.before.status} then, {self.after.status} now"
        if last := self.likeness.last_evaluation:
            values = (f"{key} {then:.9g} then, {now:.9g} now" for key, (then, now) in last.items())
            yield f"last evaluation: {'; '.join(values)}"
        shown = {
            entry: ["not set" if value is None else value for value in both] for entry, both in self.changes.items()
        }
        others = (f"{entry} {then} then, {now} now" for entry, (then, now) in shown.items())
        if shown:
            yield f"provenance differs: {'; '.join(others)}"
        else:
            yield "the recorded provenance is the same"


def _answer(root: Path, reruns: list[_Rerun]) -> Answer:
    counts = Counter(rerun.likeness.outcome for rerun in reruns)
    data = {
        "results": str(root),
        "outcomes": {str(outcome): counts[outcome] for outcome in Outcome},
        "runs": [rerun.data(root) for rerun in reruns],
    }

    def text(width: int) -> str:
        return rendered(lambda console: _write(console, root, reruns, counts), width)

    return Answer(text, data, ExitCode.FAILED if counts[Outcome.DIFFERENT] else ExitCode.DONE)


def _write(console: Console, root: Path, reruns: Sequence[_Rerun], counts: Mapping[Outcome, int]) -> None:
    """Print how many runs came out how, a row for each, and what there is to say of the first that did not come out the same."""
    found = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    print_line(console, "Verdict", f"{root}: {counted(len(reruns), 'run')} repeated, {found}")
    ordered = sorted(reruns, key=lambda rerun: -_SEVERITY[rerun.likeness.outcome])
    print_table(console, WordTable("", _RUN_HEADINGS, [rerun.row for rerun in ordered[:MAX_SHOWN_RUNS]]), wrapping={0})
    if len(ordered) > MAX_SHOWN_RUNS:
        print_line(console, "", f"and {counted(len(ordered) - MAX_SHOWN_RUNS, 'more run')}: --json")
    explained = [rerun for rerun in ordered if any(rerun.remarks())]
    for rerun in explained[:MAX_EXPLAINED_RUNS]:
        console.print()
        print_line(console, "", f"{rerun.before.folder.name}:")
        print_list(console, "Notes", rerun.remarks())
        print_table(console, rerun.table, wrapping={0})
    if len(explained) > MAX_EXPLAINED_RUNS:
        console.print()
        print_line(
            console, "", f"Where {counted(len(explained) - MAX_EXPLAINED_RUNS, 'more run')} first differ: --json"
        )


def _parting_lines(likeness: Likeness) -> Iterator[str]:
    update, evaluation = likeness.first_update, likeness.first_evaluation
    if not likeness.same_rows:
        yield "the two have different updates or evaluations; only those that both have are compared"
    places = {"at update": update, "at the evaluation after update": evaluation}
    if update or evaluation:
        parts = (f"{what} {parting.first_step} ({parting.column})" for what, parting in places.items() if parting)
        yield f"they first differ {', and '.join(parts)}"
    if update:
        how = "more than rounding explains; data, weights, rates or the update rule differ"
        if likeness.begins_as_rounding:
            how = "no more than rounding explains, which training then amplifies"
        yield f"the relative difference at the first update that differs is {update.first_relative:.2g}: {how}"
    if likeness.hits_apart:
        which = "1 test row is" if likeness.hits_apart == 1 else f"{counted(likeness.hits_apart, 'test row')} are"
        yield f"{which} classified correctly at the end by only one of the two"


def _parting_row(parting: Parting) -> tuple[str, ...]:
    differ = f"{parting.num_apart} of {parting.num_rows}"
    if not isfinite(parting.largest_absolute):
        broken = f"nan or infinite at {parting.largest_absolute_step}"
        return (parting.column, differ, broken, "-", "- beyond")
    return (
        parting.column,
        differ,
        f"{parting.largest_absolute:.3g} at {parting.largest_absolute_step}",
        f"{parting.largest_relative:.3g} at {parting.largest_relative_step}",
        "+ within" if parting.within else "- beyond",
    )


def _plain(parting: Parting) -> dict[str, object]:
    return {key: json_value(value) for key, value in asdict(parting).items() if key != "column"}
