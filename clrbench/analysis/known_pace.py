"""How fast scripts and networks of the user's own were in the finished runs: what a dry run goes by, as it makes none."""

from contextlib import suppress
from dataclasses import dataclass

from clrbench.errors import ResultsError
from clrbench.spec import BackendName, OwnModel, RunSpec, Spec
from clrbench.store import ResultsFolder, StoredRun


@dataclass(frozen=True)
class KnownPace:
    """What finished runs of a network took.

    Attributes:
        train_seconds: Seconds that each row of an update took.
        evaluation_seconds: Seconds that each evaluated row took.
        num_parameters: Number of its trainable parameters.
    """

    train_seconds: float
    evaluation_seconds: float
    num_parameters: int

    def seconds(self, run: RunSpec, rows: dict[str, int]) -> float:
        """Return about what a run takes, with so many rows in each split."""
        evaluated = len(run.evaluation_steps) * sum(rows[name] for name in run.evaluated_splits)
        return self.train_seconds * run.num_steps * run.batch_size + self.evaluation_seconds * evaluated


def known_paces(folder: ResultsFolder, spec: Spec) -> dict[BackendName, KnownPace]:
    """Return by backend what the finished runs in a folder took whose network is that of the spec."""
    runs = _finished_runs(folder, spec)
    found: dict[BackendName, KnownPace] = {}
    for backend in dict.fromkeys(run.spec.backend for run in runs):
        alike = [run for run in runs if run.spec.backend == backend and _is_same(run.spec.model, spec.model)]
        if alike:
            found[backend] = _pace(alike)
    return found


def seconds_a_step(folder: ResultsFolder, spec: Spec) -> float | None:
    """Return what an update of a script took, start and evaluations included, in its finished runs; None without any."""
    runs = _finished_runs(folder, spec)
    steps = sum(run.updates_made for run in runs)
    return sum(run.timing.train_seconds for run in runs) / steps if steps else None


def _finished_runs(folder: ResultsFolder, spec: Spec) -> list[StoredRun]:
    """Return the runs of the arms, of their search and of every range test; those that cannot be read tell nothing."""
    runs: list[StoredRun] = []
    for one in (folder, folder.search(), *(folder.range_test(arm) for arm in (None, *spec.arms))):
        with suppress(ResultsError):
            runs += one.indexed_runs() if one.has_runs() else []
    return runs


def _is_same(model: object, other: object) -> bool:
    return isinstance(model, OwnModel) and isinstance(other, OwnModel) and model.without_path() == other.without_path()


def _pace(runs: list[StoredRun]) -> KnownPace:
    trained = sum(run.updates_made * run.spec.batch_size for run in runs)
    evaluated = sum(len(run.spec.evaluation_steps) * _evaluated_rows(run) for run in runs)
    networks = [run.provenance.network for run in runs if run.provenance.network is not None]
    return KnownPace(
        train_seconds=sum(run.timing.train_seconds for run in runs) / max(1, trained),
        evaluation_seconds=sum(run.timing.evaluation_seconds for run in runs) / max(1, evaluated),
        num_parameters=max((network.num_parameters for network in networks), default=0),
    )


def _evaluated_rows(run: StoredRun) -> int:
    rows = run.provenance.rows
    return sum({"validation": rows.validation, "test": rows.test}[name] for name in run.spec.evaluated_splits)
