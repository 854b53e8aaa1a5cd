"""What an experiment will cost, and what it can show, before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from clrbench.analysis.known_pace import KnownPace, known_paces, seconds_a_step
from clrbench.answer import Answer
from clrbench.counted import counted
from clrbench.execution.runner import Options
from clrbench.layers import Layer
from clrbench.models import build_layers, forward_multiply_adds, num_parameters
from clrbench.planning.experiment import Experiment
from clrbench.planning.plan import different_trainings
from clrbench.planning.runs import (
    RangeTestGroup,
    all_range_tests,
    needed_range_tests,
    split_sizes,
    training_runs,
)
from clrbench.planning.trials import range_test_problem, range_test_runs
from clrbench.planning.tuning import first_rates, given_runs, search_runs
from clrbench.rates import Rates
from clrbench.rates.records import BUDGET
from clrbench.spec import BackendName, OwnModel, RunSpec
from clrbench.spec.network import BuiltIn
from clrbench.stats import pairs_needed, smallest_detectable_difference
from clrbench.store import ResultsFolder

STEP_SECONDS = {"torch": 0.3e-3, "keras": 0.25e-3}
"""Rough cost of an update beside its arithmetic, in seconds, by backend."""

MULTIPLY_ADDS_PER_SECOND = 2e10
"""Rough speed of one thread of a present-day processor in float32; a backward pass counts as two forward ones."""

ASSUMED_CLASSES = 10
"""How many classes there are is known only once the labels are read; few of the weights of a network depend on it."""

FRAMEWORK_BYTES = {"torch": 3e8, "keras": 6e8}
WORKER_START_SECONDS = 5.0

ANY_BOUNDS = Rates(base_lr=0.0101234, max_lr=0.101234, constant_lr=0.0301234, triangle_base_lr=0.0101234)
"""Stands in for the rates that a range test has yet to find, which do not change the cost; no arm is given just these."""


@dataclass(frozen=True)
class Cost:
    """What an experiment will cost, roughly.

    Attributes:
        num_tries: Runs, among `num_runs`, that try rates of tuned arms, without the one rate that a search may add.
        range_test_steps: Updates, among `num_steps`, that all range tests together may make at most; of their runs only
            those of the plain sweep are counted.
        workers: Runs made at a time; None where a cluster, or the devices of a machine, set the limit.
        one_worker_minutes: With a single worker; None where it is not known: a script or a network of the user's own of which
            no run is finished.
        one_worker_gigabytes: Memory of each worker, in 1e9 bytes; None of a script.
        minutes: With these workers; None where either is not known.
        memory_gigabytes: Likewise of all workers together.
    """

    num_runs: int
    num_tries: int
    num_steps: int
    range_test_steps: int
    workers: int | None
    one_worker_minutes: float | None
    one_worker_gigabytes: float | None
    minutes: float | None
    memory_gigabytes: float | None


def estimate(experiment: Experiment, options: Options, *, range_test_only: bool = False) -> Cost:
    """Return what an experiment will cost at most where none of its runs is stored yet; `range_test_only`: without arms."""
    spec = experiment.spec
    groups = all_range_tests(spec) if range_test_only else needed_range_tests(spec)
    tries: list[RunSpec] = []
    with experiment.locating():
        sweeps = {group: range_test_runs(spec, group, experiment.sizes, experiment.backends) for group in groups}
        runs = [run for of_group in sweeps.values() for run in of_group]
        times = {group: _times_the_plain_sweep(experiment, group) for group in groups}
        if not range_test_only:
            experiment.check_has_arms()
            tries, others = _tries_and_other_runs(experiment)
            tries = different_trainings(tries)
            runs += different_trainings(tries + others)
    workers = options.known_workers(ResultsFolder(experiment.root).index().threads or options.threads or 1)
    workers = None if workers is None else min(workers, len(runs))
    more = [(run, times[group] - 1) for group, of_group in sweeps.items() for run in of_group]
    known = _known_paces(experiment)
    seconds = _total_seconds(experiment, [(run, 1.0) for run in runs] + more, known)
    range_test_steps = round(sum((factor + 1) * run.num_steps for run, factor in more))
    scripted = spec.train is not None
    starts = 0.0 if scripted else WORKER_START_SECONDS * len(experiment.backends)
    gigabytes = None if scripted else _bytes_by_worker(experiment, runs, known) / 1e9
    return Cost(
        num_runs=len(runs),
        num_tries=len(tries),
        num_steps=range_test_steps + sum(run.num_steps for run in runs) - sum(run.num_steps for run, _ in more),
        range_test_steps=range_test_steps,
        workers=workers,
        one_worker_minutes=None if seconds is None else (seconds + starts) / 60,
        one_worker_gigabytes=gigabytes,
        minutes=None if seconds is None or workers is None else (seconds / workers + starts) / 60,
        memory_gigabytes=None if gigabytes is None or workers is None else workers * gigabytes,
    )


def dry_run_answer(experiment: Experiment, cost: Cost) -> Answer:
    """Return what an experiment will cost, what it can show, and its warnings."""
    spec, detectable_sds = experiment.spec, _detectable_sds(experiment)
    lines = [
        f"{spec.name}: {counted(cost.num_runs, 'run')}, {counted(cost.num_steps, 'step')} in all, on "
        f"{', '.join(experiment.backends)}",
        _time_words(experiment, cost),
    ]
    if cost.num_tries:
        lines.append(
            f"{cost.num_tries} of them try the rates of tuned arms; one more rate is tried where the best lies at an edge"
        )
    if cost.range_test_steps:
        lines.append(
            f"at most {cost.range_test_steps} of these steps are those of range tests, which confirm their rates in further runs"
        )
    lines.append(_detectable_words(experiment, detectable_sds))
    lines += [f"Warning: {warning}" for warning in experiment.warnings]
    data = {**asdict(cost), "detectable_sds": detectable_sds, "warnings": experiment.warnings}
    return Answer("\n".join(lines), {"experiment": spec.name, **data})


def demo_line(experiment: Experiment, cost: Cost) -> str:
    """Return the line that says what a command without a spec is about to do."""
    most = f"about {_whole(cost.one_worker_minutes)} min at most"
    time = most if cost.minutes is None else f"about {_whole(cost.minutes)} min"
    return (
        f"No spec given, so this is the packaged demo: {counted(cost.num_runs, 'run')} of a small network on MNIST, on "
        f"{' and '.join(experiment.backends)}, {time}; clrbench init writes a spec of your own."
    )


def _tries_and_other_runs(experiment: Experiment) -> tuple[list[RunSpec], list[RunSpec]]:
    """Return the tries of tuned arms; and the runs of all arms, and those at the rates given, as if none were chosen."""
    spec, sizes, backends = experiment.spec, experiment.sizes, experiment.backends
    bounds = {(name, group.arm): ANY_BOUNDS for name in backends for group in needed_range_tests(spec)}
    rates = first_rates(spec, backends, bounds)
    given = given_runs(spec, sizes, bounds, dict.fromkeys(rates, ()))
    return search_runs(spec, sizes, bounds, rates), given + training_runs(spec, sizes, backends, bounds)


def _times_the_plain_sweep(experiment: Experiment, group: RangeTestGroup) -> float:
    """Return how many times the updates of its plain sweep a range test may make: with trainings at rates, or one more sweep."""
    spec = experiment.spec
    # How many rows each class has changes nothing here.
    problem = range_test_problem(spec, group, split_sizes(spec, experiment.sizes), (0, 0))
    return BUDGET if problem.confirm or spec.range_test.finds_limits else 2


def _known_paces(experiment: Experiment) -> Mapping[BackendName, KnownPace]:
    """Return what finished runs of a network of the user's own took, which is built for no dry run."""
    if not isinstance(experiment.spec.model, OwnModel):
        return {}
    return known_paces(ResultsFolder(experiment.root), experiment.spec)


def _seconds(experiment: Experiment, run: RunSpec, known: Mapping[BackendName, KnownPace]) -> float | None:
    splits = split_sizes(experiment.spec, experiment.sizes)
    rows = {"validation": splits.validation, "test": splits.test}
    if isinstance(run.model, OwnModel):
        return known[run.backend].seconds(run, rows) if run.backend in known else None
    layers = _layers(run.model, experiment)
    forward = forward_multiply_adds(layers, experiment.sizes.image_shape)
    evaluated = len(run.evaluation_steps) * sum(rows[name] for name in run.evaluated_splits)
    trained = run.num_steps * run.batch_size
    arithmetic = (3 * trained + evaluated) * forward / MULTIPLY_ADDS_PER_SECOND
    return arithmetic + run.num_steps * STEP_SECONDS[run.backend]


def _layers(model: BuiltIn, experiment: Experiment) -> tuple[Layer, ...]:
    return build_layers(model.settings(), experiment.sizes.image_shape, ASSUMED_CLASSES)


def _total_seconds(
    experiment: Experiment, work: Sequence[tuple[RunSpec, float]], known: Mapping[BackendName, KnownPace]
) -> float | None:
    """Return the seconds of all runs, each as many times as its factor; None where one is not known."""
    if experiment.spec.train is not None:
        a_step = seconds_a_step(ResultsFolder(experiment.root), experiment.spec)
        return None if a_step is None else a_step * sum(factor * run.num_steps for run, factor in work)
    total = 0.0
    for run, factor in work:
        seconds = _seconds(experiment, run, known)
        if seconds is None:
            return None
        total += factor * seconds
    return total


def _bytes(experiment: Experiment, run: RunSpec, known: Mapping[BackendName, KnownPace]) -> float:
    sizes = experiment.sizes
    resident = run.data.pipeline == "resident"
    images = resident * sizes.num_bytes
    if isinstance(run.model, OwnModel):
        parameters = known[run.backend].num_parameters if run.backend in known else 0
    else:
        parameters = num_parameters(_layers(run.model, experiment), sizes.image_shape)
    return FRAMEWORK_BYTES[run.backend] + 2.0 * images + 16.0 * parameters + 4.0 * run.num_steps * (run.batch_size + 12)


def _time_words(experiment: Experiment, cost: Cost) -> str:
    if cost.one_worker_minutes is None and experiment.spec.train is not None:
        return (
            f"time not known with {_workers_words(cost)}: no run of the script is finished, and a dry run never runs it"
        )
    if cost.one_worker_minutes is None:
        return (
            f"how long it takes is not known before a first run of {experiment.spec.model.name}, which a dry run does not "
            f"build; {_workers_words(cost)}, at least {_memory_words(cost)}"
        )
    known = ", going by the finished runs" if isinstance(experiment.spec.model, OwnModel) else ""
    return ", ".join(filter(None, [f"{_duration_words(cost)}{known}", _memory_words(cost)]))


def _duration_words(cost: Cost) -> str:
    if cost.minutes is None:
        return (
            f"about {_whole(cost.one_worker_minutes)} min with 1 worker; with more it depends on how many the cluster or the "
            "devices allow"
        )
    return f"about {_whole(cost.minutes)} min with {_workers_words(cost)}"


def _workers_words(cost: Cost) -> str:
    if cost.workers is None:
        return "as many workers as the cluster or the devices allow"
    return counted(cost.workers, "worker")


def _memory_words(cost: Cost) -> str:
    if cost.memory_gigabytes is not None:
        return f"{cost.memory_gigabytes:.1f} GB of memory"
    return "" if cost.one_worker_gigabytes is None else f"{cost.one_worker_gigabytes:.1f} GB of memory each"


def _bytes_by_worker(experiment: Experiment, runs: Sequence[RunSpec], known: Mapping[BackendName, KnownPace]) -> float:
    """Return what a worker of each backend takes together: those of one stay while the other's runs are made."""
    return sum(
        max(_bytes(experiment, run, known) for run in runs if run.backend == name) for name in experiment.backends
    )


def _detectable_sds(experiment: Experiment) -> float | None:
    """Return the minimum detectable effect of as many pairs as there are seeds, at 80 % power.

    It is in standard deviations of the paired differences; None where no difference can be shown.
    """
    alpha = experiment.spec.verdict.alpha / max(1, len(experiment.comparisons))
    found = smallest_detectable_difference(1.0, len(experiment.spec.seeds), alpha=alpha)
    return found if np.isfinite(found) else None


def _detectable_words(experiment: Experiment, detectable_sds: float | None) -> str:
    pairs, alpha = len(experiment.spec.seeds), experiment.spec.verdict.alpha
    if detectable_sds is None:
        needed = pairs_needed(alpha, max(1, len(experiment.comparisons)))
        return f"{counted(pairs, 'pair')} cannot show any difference at alpha {alpha:g}; at least {needed} are needed"
    return (
        f"minimum detectable effect of {counted(pairs, 'pair')}: {detectable_sds:.2g} standard deviations of the paired "
        "differences, at 80 % power"
    )


def _whole(minutes: float | None) -> int:
    return max(1, round(minutes or 0))
