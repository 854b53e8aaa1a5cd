"""Validation rows of a data set's own on each backend, from memory and as a stream, against numpy."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import MLP, SEED, shared, triangular
from jobs import train

from clrbench.records import Split


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
@pytest.mark.parametrize("name", ["torch", pytest.param("keras", marks=pytest.mark.acceptance)])
def test_scores_are_those_of_the_own_rows(ask, make_plan, dataset, name, pipeline):
    rng = np.random.default_rng([SEED, 8])
    rows = rng.permutation(len(dataset.x_test))[:333]
    # Turned upside down, so that no other rows give the same numbers.
    own = replace(dataset, x_validation=dataset.x_test[rows, ::-1].copy(), y_validation=dataset.y_test[rows])
    plan = make_plan(MLP, shared("sgd", momentum=0.9), triangular(20), dataset=own)
    plan = replace(plan, pipeline=pipeline, rows=replace(plan.rows, validation=np.arange(333, dtype=np.int32)))
    outcome = ask(name, train, plan, own, splits=[Split.VALIDATION, Split.TEST])
    weights = {weight: outcome.state[weight] for weight in plan.weights}
    for split, images, labels in (
        (Split.VALIDATION, own.x_validation, own.y_validation),
        (Split.TEST, own.x_test[:450], own.y_test[:450]),
    ):
        loss, hits = reference.evaluate(weights, images, labels)
        assert outcome.evaluations[split].loss == pytest.approx(loss, rel=1e-4)
        assert len(outcome.evaluations[split].hits) == len(hits)
        # A row whose two best classes are as good as equal may go either way.
        assert np.sum(outcome.evaluations[split].hits != hits) <= 1
    without = ask(name, train, replace(plan, rows=replace(plan.rows, validation=plan.rows.validation[:0])), own)
    assert without.log.loss.tobytes() == outcome.log.loss.tobytes()
