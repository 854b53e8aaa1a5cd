"""A few steps of training on torch, for tests that ask whether unusual data trains at all; runs in a process of its own."""

from pathlib import Path

from clrbench import backends
from clrbench.data import Library
from clrbench.planning.plan import make_plan
from clrbench.planning.runs import training_runs
from clrbench.records import Split
from clrbench.spec import load_spec


def train(path: Path) -> tuple[list[float], list[float]]:
    """Return the losses of every step of the first run of a spec, and those on the splits that it is evaluated on."""
    spec, library = load_spec(path).spec, Library(path.parent / "data")
    run = training_runs(spec, library.measure(spec.data.dataset), ("torch",), {})[0]
    dataset = library.load(spec.data.dataset)
    plan = make_plan(run, dataset)
    backend = backends.load("torch")
    backend.set_threads(1)
    trainer = backend.make_trainer(plan, dataset, "cpu")
    log = trainer.train(plan.batches, plan.lr)
    return log.loss.tolist(), [trainer.evaluate(Split(name)).loss for name in run.evaluated_splits]
