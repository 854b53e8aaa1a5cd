"""Exported files, run against the table of the schedule over every step, and after a resume."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_schedules import BOUNDS, EVERY_KIND, SCHEDULES, exported, run, table

from clrbench import schedules
from clrbench.report.export import export_source
from clrbench.spec import Clock, Length
from clrbench.spec.rate_file import read_rate_file

ROUNDING = 2.0**-23


def label(keys: dict[str, Any]) -> str:
    return "-".join(map(str, keys.values()))[:60]


every_kind = pytest.mark.parametrize("keys", EVERY_KIND, ids=label)


def equal(rates: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(rates, np.float64), expected, rtol=ROUNDING, atol=0)


def test_every_kind_is_exported_here() -> None:
    assert {keys["name"] for keys in SCHEDULES} == set(schedules.SCHEDULES)


@every_kind
def test_lr_is_the_table_over_every_step_and_stays_at_its_end(keys: dict[str, Any]) -> None:
    found = exported(keys)
    names = run(found, "torch")
    assert names["NUM_STEPS"] == 95
    equal([names["lr"](step) for step in range(95)], table(found))
    assert names["lr"](96) == names["lr"](10**6) == names["lr"](94)


def trained_with_torch(names: dict[str, Any], first: int, last: int, states: Any = None) -> tuple[list[float], Any]:
    """Return the rate of updates in a plain loop, resumed from states where there are any, and the states at its end."""
    import torch

    one, two = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [one]}, {"params": [two], "lr": 0.5}], lr=3.0, momentum=0.9)
    scheduler = names["make_scheduler"](optimizer)
    if states is not None:
        optimizer.load_state_dict(states[0])
        scheduler.load_state_dict(states[1])
    used = []
    for _ in range(first, last):
        rates = {group["lr"] for group in optimizer.param_groups}
        assert len(rates) == 1
        used.append(rates.pop())
        optimizer.step()
        scheduler.step()
    return used, (optimizer.state_dict(), scheduler.state_dict())


@every_kind
def test_torch_trains_at_the_table_also_after_a_resume(keys: dict[str, Any]) -> None:
    found = exported(keys)
    names = run(found, "torch")
    before, states = trained_with_torch(names, 0, 31)
    after, _ = trained_with_torch(names, 31, 95, states)
    equal(before + after, table(found))
    equal(trained_with_torch(names, 0, 95)[0], table(found))


@pytest.mark.parametrize(
    ("keys", "scheduler"),
    [
        ({"name": "triangular", **BOUNDS, "cycles": 3}, "CyclicLR"),
        ({"name": "exp_range", **BOUNDS, "cycles": 3, "gamma": 0.99}, "CyclicLR"),
        ({"name": "exp_range_paper", **BOUNDS, "cycles": 3, "gamma": 0.99}, "LambdaLR"),
        ({"name": "one_cycle", "max_lr": 0.6}, "OneCycleLR"),
        ({"name": "one_cycle", "max_lr": 0.6, "warmup": "3 steps"}, "LambdaLR"),
        ({"name": "cosine", "lr": 0.6}, "LambdaLR"),
    ],
)
def test_torch_uses_its_own_scheduler_where_that_is_the_same(keys: dict[str, Any], scheduler: str) -> None:
    import torch

    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    assert type(run(exported(keys), "torch")["make_scheduler"](optimizer)).__name__ == scheduler


@every_kind
def test_a_csv_file_has_a_row_an_update_and_is_a_schedule_again(keys: dict[str, Any], tmp_path: Path) -> None:
    found = exported(keys)
    source = export_source(found, "csv")
    rows = list(csv.DictReader(io.StringIO(source)))
    assert [int(row["step"]) for row in rows] == list(range(1, 96))
    np.testing.assert_array_equal([np.float32(row["lr"]) for row in rows], table(found))
    (tmp_path / "lr.csv").write_text(source, encoding="utf-8")
    np.testing.assert_array_equal(read_rate_file(tmp_path / "lr.csv").astype(np.float32), table(found))


@pytest.mark.acceptance
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of TensorFlow's variables under numpy 2
def test_keras_trains_at_the_table_and_keeps_the_schedule_in_a_saved_model(tmp_path: Path) -> None:
    import keras

    found = exported(SCHEDULES[3], backend="keras")
    schedule = run(found, "keras")["Schedule"]()
    equal(schedule(np.arange(95)), table(found))
    equal([float(schedule(step)) for step in (0, 41, 94, 95, 10**6)], table(found)[[0, 41, 94, 94, 94]])
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule), loss="mse")
    model.train_on_batch(np.ones((2, 1)), np.ones((2, 1)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations.numpy()) == 1
    equal(float(loaded.optimizer.learning_rate.numpy()), table(found)[1])
    assert json.loads(loaded.to_json())


@pytest.mark.acceptance
@every_kind
def test_keras_reads_the_table_of_every_kind(keys: dict[str, Any]) -> None:
    found = exported(keys, backend="keras")
    equal(run(found, "keras")["Schedule"]()(np.arange(95)), table(found))


def test_another_number_of_steps_an_epoch_is_one_line_to_change() -> None:
    keys = {"name": "piecewise", "lr": 0.1, "milestones": {"2 epochs": 0.5, "4 epochs": 0.1}, "warmup": "1 epoch"}
    source = export_source(exported(keys), "torch")
    assert source.count("STEPS_PER_EPOCH = 19\n") == 1
    names: dict[str, Any] = {}
    exec(source.replace("STEPS_PER_EPOCH = 19\n", "STEPS_PER_EPOCH = 40\n"), names)
    longer = exported(keys, Clock(steps_per_epoch=40, num_steps=200))
    equal([names["lr"](step) for step in range(names["NUM_STEPS"])], table(longer))


@pytest.mark.parametrize(
    ("duration", "written"), [(Length(95, "steps"), "NUM_STEPS = 95\n"), (Length(2.5, "cycles"), "NUM_STEPS = 95\n")]
)
def test_a_length_that_is_not_in_epochs_stays_a_number(duration: Length, written: str) -> None:
    assert written in export_source(exported({"name": "constant", "lr": 0.1}, duration=duration), "torch")


@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("name", ["linear_decay", "cosine", "polynomial", "wsd", "constant", "cosine_restarts"])
def test_the_shortest_runs(name: str, num_steps: int) -> None:
    period = {"period": "1 steps"} if name == "cosine_restarts" else {}
    found = exported({"name": name, "lr": 0.1, **period}, Clock(5, num_steps), Length(num_steps, "steps"))
    names = run(found, "torch")
    equal([names["lr"](step) for step in range(num_steps)], table(found))


def test_a_schedule_without_a_formula_is_a_tuple_of_its_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clrbench.report.export.formulas._formula", lambda _: None)
    found = exported({"name": "cosine", "lr": 0.1, "warmup": "1 epoch"})
    names = run(found, "torch")
    assert len(names["RATES"]) == 95
    equal([names["lr"](step) for step in range(95)], table(found))
    equal(trained_with_torch(names, 0, 95)[0], table(found))


def test_the_header_says_where_the_rates_come_from_and_what_they_belong_to() -> None:
    text = export_source(exported(SCHEDULES[3], verdict='nasty """ \\ verdict'), "torch")
    names: dict[str, Any] = {}
    exec(text, names)
    said = " ".join(names["__doc__"].split())
    for part in (
        "Learning rate of arm clr of experiment mnist-mlp, written by clrbench",
        "Verdict: nasty ''' \\ verdict",
        "Schedule: triangular: base_lr 0.001, max_lr 0.6, cycles 3.0; the rates of torch",
        "Trained with: batch size 50, 19 steps per epoch, 95 steps (5 epochs), sgd, momentum 0.9",
        "These rates belong to this batch size",
        "recomputed from it, not copied",
    ):
        assert part in said
