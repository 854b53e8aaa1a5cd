"""The bench of rates: its stacked trainings are those of a `Trainer`, and it runs on one toy setting."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clrbench import backends
from clrbench.planning.plan import make_plan
from clrbench.records import Split

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("rates", "rate_trials", "settings", "stacked", "one_by_one"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import rates

    return rates


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "sgd"},
        {"name": "sgd", "momentum": 0.9},
        {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        {"name": "adam"},
        {"name": "adamw", "weight_decay": 0.1},
        {"name": "rmsprop"},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.usefixtures("bench")
@pytest.mark.acceptance
def test_a_stack_trains_as_the_torch_backend_does(optimizer, batch_norm):
    import stacked
    from settings import TOY

    model = (("name", "mlp"), ("hidden", (8, 8)), ("batch_norm", batch_norm), ("activation", "tanh"))
    setting = replace(TOY, model=model, optimizer=tuple(optimizer.items()), num_steps=12)
    dataset = setting.dataset()
    plans = [
        replace(make_plan(setting.run(seed), dataset), lr=np.linspace(0.001, top, 12, dtype=np.float32))
        for seed, top in ((0, 0.01), (1, 0.05))
    ]
    # The bias before a batch norm has no gradient but rounding, which these optimizers scale up to a full step.
    loose = batch_norm and optimizer["name"] != "sgd"
    made = stacked.train(plans, dataset, [6, 12], [12], 1e3)
    for plan, outcome in zip(plans, made, strict=True):
        trainer = backends.load("torch").make_trainer(plan, dataset, "cpu")
        log = trainer.train(plan.batches, plan.lr)
        validation, test = trainer.evaluate(Split.VALIDATION), trainer.evaluate(Split.TEST)
        np.testing.assert_allclose(outcome.train_loss, log.loss, rtol=5e-3 if loose else 1e-4)
        assert outcome.validation_loss[-1] == pytest.approx(validation.loss, rel=5e-3 if loose else 1e-4)
        # Losses that differ so little still put a few of the rows, near 0.4 of which are right, on the other side.
        assert outcome.validation_accuracy[-1] == pytest.approx(validation.accuracy, abs=0.05 if loose else 0.021)
        assert outcome.test_accuracy[-1] == pytest.approx(test.accuracy, abs=0.03 if loose else 0.01)


@pytest.mark.usefixtures("bench")
def test_one_by_one_trains_as_a_stack_does_and_takes_convolutions():
    import one_by_one
    import stacked
    from settings import CNN, SOFTMAX_UNITS, TOY

    setting = replace(TOY, model=SOFTMAX_UNITS, num_steps=12)
    dataset = setting.dataset()
    plans = [replace(make_plan(setting.run(seed), dataset), lr=np.full(12, 0.1, np.float32)) for seed in (0, 1)]
    for one, other in zip(
        one_by_one.train(plans, dataset, [6, 12], [12], 1e3),
        stacked.train(plans, dataset, [6, 12], [12], 1e3),
        strict=True,
    ):
        for name, values in vars(one).items():
            np.testing.assert_allclose(values, getattr(other, name), rtol=1e-3, atol=0.011, err_msg=name)
    images = replace(setting, model=CNN, data="three unequal", num_steps=4)
    plan = make_plan(images.run(0), images.dataset())
    (made,) = one_by_one.train([plan], images.dataset(), [4], [4], 1e3)
    assert np.isfinite(made.train_loss).all()
    assert 0 <= made.test_balanced[0] <= 1


@pytest.mark.acceptance
def test_the_bench_scores_a_toy_setting_and_keeps_its_trainings(bench, tmp_path):
    from settings import TOY

    rows = bench.score(TOY, tmp_path, sweeps=False)
    assert [row["way"] for row in rows] == list(bench.WAYS)
    assert all(row["cost"] <= 3 for row in rows)
    (kept,) = tmp_path.iterdir()
    before = kept.read_bytes()
    again = bench.score(TOY, tmp_path, sweeps=False)
    assert kept.read_bytes() == before
    pd.testing.assert_frame_equal(pd.DataFrame(rows), pd.DataFrame(again))
    assert "| all | 4 of 4 |" in bench.summary(pd.DataFrame(rows))
