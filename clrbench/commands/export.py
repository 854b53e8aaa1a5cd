"""`clrbench export`: the schedule of an arm as code for a script of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clrbench.analysis.comparison import COMPARISON_COLUMNS, Comparison, read_rows
from clrbench.analysis.winner import rows_on, winner
from clrbench.answer import Answer, ExitCode
from clrbench.commands.opening import open_spec
from clrbench.commands.schedule import known_bounds
from clrbench.data import Library
from clrbench.errors import ResultsError, SpecError
from clrbench.planning.experiment import Experiment
from clrbench.planning.runs import arm_clock, lr_table, split_sizes, with_bounds
from clrbench.planning.tuning import labelled_arm
from clrbench.progress import Display
from clrbench.report.export import Exported, Format, export_source
from clrbench.report.export.script import CSV_ADVICE
from clrbench.report.words import capital, comparison_words, level_words, plain, samples_words, valued_runs
from clrbench.spec import BackendName, Clock, Ramp, Schedule, Spec
from clrbench.spec.messages import nearest
from clrbench.spec.train import SCRIPT
from clrbench.store import ResultsFolder, StoredRun
from clrbench.store.files import write_file

RESULTS = Path("results")
"""Where the range test of a spec is looked for."""
NO_VERDICT = "none yet"


@dataclass(frozen=True)
class Wanted:
    """What to export.

    Attributes:
        arm: None for the one that won.
        backend: Whose rates; None for torch's, or Keras' where the file is for Keras, if the experiment was trained on it.
    """

    arm: str | None
    to: Format
    backend: BackendName | None = None


def export(path: Path, wanted: Wanted, out: Path | None, library: Library, display: Display) -> Answer:
    """Return the schedule of an arm, in a results folder or a spec, as the content of a file, or write that file.

    Args:
        path: The results folder of an experiment, or a spec.
        wanted: Which arm, whose rates, and in which form.
        out: The file to write; None to return its content.
        library: Where data sets lie, by whose sizes a spec is planned.
        display: Where a warning about a table of rates goes.

    Raises:
        ResultsError: If the folder holds no finished run of the arm, or a table that cannot be read.
        SpecError: If the spec, the arm or the backend is not allowed, or the rates are still to be found.
    """
    exported = (
        _from_results(ResultsFolder(path), wanted)
        if path.is_dir()
        else _from_spec(open_spec(path, RESULTS, library), wanted)
    )
    if isinstance(exported, Answer):
        return exported
    source = export_source(exported, wanted.to)
    data = {
        "experiment": exported.experiment,
        "arm": exported.arm,
        "backend": exported.backend,
        "to": wanted.to,
        "num_steps": exported.clock.num_steps,
        "steps_per_epoch": exported.clock.steps_per_epoch,
        "batch_size": None if exported.backend == SCRIPT else exported.batch_size,
        "verdict": exported.verdict,
    }
    if wanted.to == "csv":
        display.warn(CSV_ADVICE)  # the other files bear their advice themselves
    if out is None:
        return Answer(source.rstrip("\n"), {**data, "source": source})
    write_file(out, source.encode())
    return Answer(f"The schedule of arm {exported.arm} is written to {out}.", {**data, "out": str(out)})


def _from_results(folder: ResultsFolder, wanted: Wanted) -> Exported | Answer:
    spec = folder.read_spec()
    if not spec.arms:
        raise ResultsError(f"{folder.root}: the experiment has no arms, so there is no schedule to export")
    chosen = _backend(_trained_on(spec), wanted)
    rows = rows_on(_comparisons(folder), spec.verdict.metric, chosen)
    arm, why = (wanted.arm, "") if wanted.arm is not None else winner(rows)
    if arm is None:
        return _nobody(spec, why)
    arm = labelled_arm(spec, arm)
    _check_arm(spec, arm)
    run = _run(folder, arm, chosen)
    return Exported(
        experiment=spec.name,
        arm=arm,
        backend=chosen,
        schedule=_schedule(run),
        clock=Clock(run.spec.steps_per_epoch, run.spec.num_steps),
        duration=spec.resolved_arm(arm).duration,
        batch_size=run.spec.batch_size,
        optimizer=run.spec.optimizer,
        verdict=_verdict_words(folder, spec, rows, arm),
    )


def _from_spec(experiment: Experiment, wanted: Wanted) -> Exported | Answer:
    spec = experiment.spec
    experiment.check_has_arms()
    if wanted.arm is None and len(spec.arms) > 1:
        return _nobody(spec, "a spec has no winner; its results folder may")
    name = wanted.arm or next(iter(spec.arms))
    _check_arm(spec, name)
    chosen = _backend(experiment.backends, wanted)
    resolved = spec.resolved_arm(name)
    with experiment.locating():
        clock = arm_clock(spec, name, split_sizes(spec, experiment.sizes).train)
        schedule = resolved.schedule
        if schedule.needs_range_test:
            found = known_bounds(experiment, name, chosen)
            if found is None:
                key = ("arms", name, "schedule")
                raise SpecError(
                    "takes its rates from a range test that has not been run yet; run clrbench range-test first", key
                )
            schedule = with_bounds(schedule, found)
        lr_table(replace(resolved, schedule=schedule), clock)
    return Exported(
        experiment=spec.name,
        arm=name,
        backend=chosen,
        schedule=schedule,
        clock=clock,
        duration=resolved.duration,
        batch_size=resolved.batch_size,
        optimizer=resolved.optimizer,
        verdict=f"{NO_VERDICT}; exported from the spec, not from results",
    )


def _comparisons(folder: ResultsFolder) -> list[Comparison]:
    if not (folder.root / "comparison.csv").exists():
        return []
    return read_rows(Comparison, folder.read_table("comparison.csv", COMPARISON_COLUMNS))


def _verdict_words(folder: ResultsFolder, spec: Spec, rows: Sequence[Comparison], arm: str) -> str:
    """Return what is known of an arm, as candidate or as baseline."""
    shown = [row for row in rows if arm in {row.candidate, labelled_arm(spec, row.baseline)}]
    if not shown:
        return NO_VERDICT
    evidence = folder.read_table("evidence.csv", ("backend", "candidate", "baseline", "alpha")).to_dict("records")
    behind = {(row["backend"], row["candidate"], row["baseline"]): row for row in evidence}
    if any((row.backend, row.candidate, row.baseline) not in behind for row in shown):
        raise ResultsError(
            f"{folder.root / 'evidence.csv'}: lacks comparisons that comparison.csv has; run clrbench report {folder.root} to "
            "write both anew"
        )
    unadjusted = "unadjusted " if len(rows) > 1 else ""
    sentences = []
    for row in shown:
        said, found = comparison_words(row), behind[row.backend, row.candidate, row.baseline]
        numbers = (
            f"{plain(row.metric)} {said.difference}",
            f"{level_words(found['alpha'])} CI {said.ends}",
            f"{unadjusted}{said.p_value}",
            said.pairs if found.get("paired", True) else _samples_words(folder, row),
        )
        sentences.append(f"{row.candidate} against {row.baseline}: {row.verdict} ({', '.join(numbers)})")
    return "; ".join(sentences)


def _samples_words(folder: ResultsFolder, row: Comparison) -> str:
    """Return how many runs candidate and baseline have."""
    runs: dict[tuple[str, str], int] = {}
    for name in ("given.csv", "summary.csv"):
        runs |= valued_runs(folder.read_table(name, ("backend", "arm", "runs", "diverged")))
    return samples_words(runs[row.backend, row.candidate], runs[row.backend, row.baseline])


def _nobody(spec: Spec, why: str) -> Answer:
    text = f"{capital(why)}: name an arm with --arm ({', '.join(spec.arms)})."
    return Answer(text, {"arm": None, "reason": why, "arms": list(spec.arms)}, ExitCode.NO_ANSWER)


def _backend(there: Sequence[BackendName], wanted: Wanted) -> BackendName:
    """Return whose rates to export: those asked for, else those of the framework exported to, else the only other."""
    if wanted.backend is not None and wanted.backend not in there:
        raise SpecError(
            f"--backend: got {wanted.backend}; allowed: {', '.join(there)}, which the experiment is trained on"
        )
    own: BackendName = "keras" if wanted.to == "keras" else "torch"
    return wanted.backend or (own if own in there else there[0])


def _check_arm(spec: Spec, arm: str) -> None:
    if arm not in spec.arms:
        raise SpecError(f"--arm: got {arm!r}; allowed: {', '.join(spec.arms)}{nearest(arm, spec.arms)}")


def _trained_on(spec: Spec) -> tuple[BackendName, ...]:
    """Return the backends of a resolved spec, which names them."""
    return () if isinstance(spec.backends, str) else spec.backends


def _schedule(run: StoredRun) -> Schedule:
    schedule = run.spec.schedule
    if isinstance(schedule, Ramp):
        raise ResultsError(f"run {run.key} is a range test; its rates are no schedule of an arm")
    return schedule


def _run(folder: ResultsFolder, arm: str, backend: str) -> StoredRun:
    """Return a finished run of an arm; all of them have its rates."""
    runs = folder.counted_runs()
    found = next((run for run in runs if run.key.arm == arm and run.key.backend == backend), None)
    if found is None:
        raise ResultsError(f"{folder.root}: no run of arm {arm} on {backend} is finished; run clrbench compare again")
    return found
