"""Tuned arms of a script with a metric of its own: chosen by that metric on validation rows, where the script writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from runs_on_disk import run_record, run_spec

from clrbench.analysis.search import Search, read_search, score_metric
from clrbench.planning.script import metrics_needed, validation_metric
from clrbench.records import Evaluation, RunLog, Split, StepLog, Timing
from clrbench.spec import Spec, load_spec
from clrbench.store import ResultsFolder

SEED = 1_000_000
NAN = float("nan")


def make_spec(folder: Path, metric: str, direction: str = "higher") -> Spec:
    content = {
        "name": "own",
        "train": {"command": "sh train.sh", "steps_per_epoch": 4},
        "duration": "1 epochs",
        "seeds": 2,
        "metrics": {metric: direction},
        "verdict": {"metric": metric},
        "arms": {"constant": {"schedule": {"name": "constant", "lr": [0.01, 0.03, 0.1]}, "tune": {"seeds": 1}}},
    }
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_spec(path).spec


def search(folder: Path, spec: Spec, name: str, values: dict[float, float | None]) -> Search:
    """Return the search of a script that wrote a metric, by rate; None stands for a try that diverged.

    The validation loss rises with the rate.
    """
    results = ResultsFolder(folder / "results")
    tries = results.search()
    tries.create()
    run_ids = []
    for rate, value in values.items():
        label = f"constant@{rate:g}"
        train = spec.train
        assert train is not None
        changes: dict[str, Any] = {"num_steps": 4, "evaluation_steps": (4,), "evaluated_splits": ("validation",)}
        run = run_spec(label, SEED, "script", schedule={"name": "constant", "lr": rate}, train=train, **changes)
        steps = np.array([rate] * (1 if value is None else 4) + [np.nan] * (3 if value is None else 0), np.float32)
        log = RunLog(
            StepLog(steps, steps, steps),
            np.array([4], np.int32),
            {Split.VALIDATION: (Evaluation(rate, NAN),)},
            "diverged" if value is None else "finished",
            None,
            Timing(1.0, 0.0, 0.0, 0.0, 0),
            own={name: np.array([NAN if value is None else value])},
        )
        record = run_record(run)
        tries.write_run(record, log)
        run_ids.append(record.run_id)
    tries.add_runs("spec", "script", run_ids, {})
    return read_search(results, spec.model_copy(update={"backends": ("script",)}), [], {})


@pytest.mark.parametrize(
    ("metric", "direction", "values", "best"),
    [
        ("test_f1", "higher", {0.01: 0.1, 0.03: 0.5, 0.1: 0.3}, 0.03),
        ("perplexity", "lower", {0.01: 30.0, 0.03: 20.0, 0.1: 15.0}, 0.1),
        ("validation_f1", "higher", {0.01: 0.1, 0.03: 0.2, 0.1: 0.3}, 0.1),
        ("test_top5_accuracy", "higher", {0.01: 0.1, 0.03: 0.5, 0.1: 0.3}, 0.03),
        ("test_hinge_loss", "lower", {0.01: 3.0, 0.03: 1.0, 0.1: 2.0}, 0.03),
        ("test_f1", "higher", {0.01: 0.1, 0.03: 0.2, 0.1: None}, 0.03),
        ("perplexity", "lower", {0.01: 30.0, 0.03: None, 0.1: 15.0}, 0.1),
        # Where it is not written in every try, the validation loss decides.
        ("test_f1", "higher", {0.01: 0.1, 0.03: NAN, 0.1: 0.3}, 0.01),
    ],
)
def test_the_metric_of_the_verdict_chooses(
    tmp_path: Path, metric: str, direction: str, values: dict[float, float | None], best: float
) -> None:
    spec = make_spec(tmp_path, metric, direction)
    name = validation_metric(spec)
    assert name is not None
    found = search(tmp_path, spec, name, values)
    assert found.chosen["lr"].tolist() == pytest.approx([best])
    assert list(found.tries)[-1] == name
    known = [value for value in values.values() if value is not None and not np.isnan(value)]
    assert sorted(found.tries[name][np.isfinite(found.tries[name])]) == sorted(known)
    is_whole = not any(value is not None and np.isnan(value) for value in values.values())
    assert score_metric(spec, found.tries) == (name if is_whole else None)


@pytest.mark.parametrize(
    ("metric", "name"),
    [("test_f1", "validation_f1"), ("perplexity", "validation_perplexity"), ("validation_f1", "validation_f1")],
)
def test_a_try_may_do_with_it_alone(tmp_path: Path, metric: str, name: str) -> None:
    spec = make_spec(tmp_path, metric)
    assert validation_metric(spec) == name
    run = run_spec("constant@0.01", SEED, "script", train=spec.train, evaluated_splits=("validation",))
    assert metrics_needed(spec, run, "search") == ("validation_loss", "validation_accuracy", name)
