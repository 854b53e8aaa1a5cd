"""A broken spec is refused with one line that names file, line, key, what was got and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from clrbench.errors import SpecError
from clrbench.spec import SpecFile, load_spec
from clrbench.spec.messages import nearest

GOOD = """\
name: mnist-mlp
data:
  dataset: mnist
  validation: 5000 rows
model: {name: mlp, hidden: [100, 50], activation: relu}
optimizer: {name: sgd, momentum: 0.9}
batch_size: 100
duration: 12 epochs
seeds: 10
backends: [torch, keras]
baseline: constant
arms:
  constant: {schedule: {name: constant, lr: 0.03}}
  clr:
    schedule: {name: triangular, base_lr: 0.01, max_lr: 0.1, cycles: 3}
targets: {test_accuracy: [0.95, 0.97]}
verdict: {metric: test_accuracy, at: end, margin: 0.001, alpha: 0.05}
range_test: {start_lr: 1e-3, end_lr: 1.0, ramp: linear, duration: 5 epochs, seeds: 3}
"""

INTERNALS = ("function-", "[key]", "tagged", "union", "literal[", "Input should", "Value error", "None", "Length(")
"""What pydantic or Python call things, and no user does."""

SCHEDULES = (
    "constant, piecewise, table, triangular, triangular2, exp_range, exp_range_paper, one_cycle, linear_decay, cosine, "
    "step_decay, exponential_decay, cosine_restarts, polynomial, wsd"
)
METRICS = (
    "test_accuracy, test_balanced_accuracy, test_loss, validation_accuracy, validation_loss, train_accuracy, train_loss"
)
LR = "arms.constant.schedule.lr"
MILESTONES = "arms.constant.schedule.milestones"
TUNE = "arms.constant.tune"
RATES = "2 to 50 different rates greater than 0, such as [0.01, 0.03, 0.1]"
CLR = "arms.clr.schedule"
BOUNDS = "base_lr: 0.01, max_lr: 0.1"
FOUND = "range_test, or bounds found elsewhere, such as {base_lr: 0.01, max_lr: 0.1, steps: 8250}"
SEEDS = "how many seeds (1 to 10000), or a list of them such as [0, 1, 2]"
LENGTH = "a length greater than 0 and at most 1e+08, steps in whole numbers"
UNITS = "a length with a unit (epochs, steps, cycles), such as '2 epochs'"
SPAN_UNITS = "a length with a unit (epochs, steps), such as '2 epochs'"
NAME = "a name of at most 100 letters, digits, '.', '_' and '-', not starting with '.'"


class Broken(NamedTuple):
    old: str
    new: str
    line: int
    key: str
    got: str
    allowed: str


BROKEN = [
    # Numbers.
    Broken("batch_size: 100", "batch_size: ten", 7, "batch_size", "'ten'", "a whole number"),
    Broken("batch_size: 100", "batch_size: true", 7, "batch_size", "true", "a whole number"),
    Broken("batch_size: 100", "batch_size: 1.5", 7, "batch_size", "1.5", "a whole number"),
    Broken("batch_size: 100", "batch_size: 0", 7, "batch_size", "0", "a number of at least 1"),
    Broken("batch_size: 100", "batch_size: -8", 7, "batch_size", "-8", "a number of at least 1"),
    Broken("batch_size: 100", "batch_size: 1e9", 7, "batch_size", "'1e9'", "a number of at most 10000000"),
    Broken("batch_size: 100", "batch_size: .inf", 7, "batch_size", "inf", "a finite number"),
    Broken("batch_size: 100", "batch_size: [100]", 7, "batch_size", "[100]", "a whole number"),
    Broken("batch_size: 100", "batch_size:", 7, "batch_size", "nothing", "a whole number"),
    Broken("5000 rows", "5000 rows\n  train_rows: 0", 5, "data.train_rows", "0", "a number of at least 1"),
    Broken("5000 rows", "5000 rows\n  test_rows: 9 rows", 5, "data.test_rows", "'9 rows'", "a whole number"),
    Broken("margin: 0.001", "margin: -1", 17, "verdict.margin", "-1", "a number of at least 0"),
    Broken("margin: 0.001", "margin:", 17, "verdict.margin", "nothing", "a number of at least 0"),
    Broken("margin: 0.001", "margin: null", 17, "verdict.margin", "nothing", "a number of at least 0"),
    Broken("margin: 0.001", "margin: none", 17, "verdict.margin", "'none'", "a number"),
    Broken("margin: 0.001", "margin: .inf", 17, "verdict.margin", "inf", "a finite number"),
    Broken("margin: 0.001", "margin: [0.1]", 17, "verdict.margin", "[0.1]", "a number"),
    Broken("margin: 0.001", "margin: 1 row", 17, "verdict.margin", "'1 row'", "a number"),
    Broken("alpha: 0.05", "alpha: 0", 17, "verdict.alpha", "0", "a number greater than 0"),
    Broken("alpha: 0.05", "alpha: 1.0", 17, "verdict.alpha", "1.0", "a number less than 1"),
    Broken("momentum: 0.9", "momentum: 1", 6, "optimizer.momentum", "1", "a number less than 1"),
    Broken("momentum: 0.9", "momentum: yes", 6, "optimizer.momentum", "true", "a number"),
    Broken("momentum: 0.9", "weight_decay: -1", 6, "optimizer.weight_decay", "-1", "a number of at least 0"),
    Broken("[100, 50]", "[100, 0]", 5, "model.hidden[1]", "0", "a number of at least 1"),
    Broken("[100, 50]", "100", 5, "model.hidden", "100", "a list"),
    Broken("activation: relu", "dropout: 1", 5, "model.dropout", "1", "a number less than 1"),
    Broken("activation: relu", "batch_norm: 1", 5, "model.batch_norm", "1", "true or false"),
    # Rates.
    Broken("lr: 0.03", "lr: 0", 13, LR, "0", "a number greater than 0, or range_test"),
    Broken("lr: 0.03", "lr: -0.1", 13, LR, "-0.1", "a number greater than 0, or range_test"),
    Broken("lr: 0.03", "lr: .nan", 13, LR, "nan", "a number greater than 0, or range_test"),
    Broken("lr: 0.03", "lr: .inf", 13, LR, "inf", "a learning rate from 1e-30 to 1e+30, which float32 can hold"),
    Broken("lr: 0.03", "lr: 1e-40", 13, LR, "'1e-40'", "a learning rate from 1e-30 to 1e+30, which float32 can hold"),
    Broken("lr: 0.03", "lr: true", 13, LR, "true", "a number greater than 0, or range_test"),
    # Lists of rates, from which a rate is tuned.
    Broken("lr: 0.03", "lr: [0.1]", 13, LR, "[0.1]", f"one rate, or {RATES}"),
    Broken("lr: 0.03", "lr: []", 13, LR, "[]", f"one rate, or {RATES}"),
    Broken("lr: 0.03", "lr: [0.1, 0.2, 0.1]", 13, LR, "[0.1, 0.2, 0.1]", f"one rate, or {RATES}"),
    Broken("lr: 0.03", "lr: [0.1, 0.10000000001]", 13, LR, "[0.1, 0.10000000001]", f"one rate, or {RATES}"),
    Broken("lr: 0.03", "lr: [0.1, 0]", 13, LR, "[0.1, 0]", f"one rate, or {RATES}"),
    Broken("lr: 0.03", "lr: [0.1, range_test]", 13, LR, "[0.1, 'range_test']", f"one rate, or {RATES}"),
    Broken(
        "max_lr: 0.1", "max_lr: [0.1, 0.005]", 15, f"{CLR}.max_lr", "[0.1, 0.005]", "at least base_lr, which is 0.01"
    ),
    Broken(
        "max_lr: 0.1", "max_lr: [0.005, 0.1]", 15, f"{CLR}.max_lr", "[0.005, 0.1]", "at least base_lr, which is 0.01"
    ),
    Broken(
        "base_lr: 0.01",
        "base_lr: [0.01, 0.02]",
        15,
        f"{CLR}.base_lr",
        "[0.01, 0.02]",
        "one rate; a schedule triangular may list several for max_lr only",
    ),
    Broken(
        "base_lr: 0.01, max_lr: 0.1",
        "base_lr: [0.01, 0.02], max_lr: [0.1, 0.2]",
        15,
        f"{CLR}.base_lr",
        "[0.01, 0.02]",
        "one rate; a schedule triangular may list several for max_lr only",
    ),
    Broken(
        "base_lr: 0.01, max_lr: 0.1", "bounds: range_test, max_lr: [0.1, 0.2]", 15, f"{CLR}.max_lr", "[0.1, 0.2]", "no"
    ),
    Broken("lr: 0.03}", "lr: 0.03}, tune: 3", 13, TUNE, "3", "a mapping of keys to values"),
    Broken(
        "lr: 0.03}", "lr: 0.03}, tune: {}", 13, f"{TUNE}.rates", "nothing", "either rates (a list of those to try) or"
    ),
    Broken("lr: 0.03}", "lr: 0.03}, tune: {rates: [1]}", 13, f"{TUNE}.rates", "[1]", RATES),
    Broken("lr: 0.03}", "lr: 0.03}, tune: {rates: [1, 1]}", 13, f"{TUNE}.rates", "[1, 1]", RATES),
    Broken("lr: 0.03}", "lr: 0.03}, tune: {rates: [1, 0]}", 13, f"{TUNE}.rates[1]", "0", "a number greater than 0"),
    Broken("lr: 0.03}", "lr: 0.03}, tune: {from: grid}", 13, f"{TUNE}.from", "'grid'", "range_test"),
    Broken(
        "lr: 0.03}",
        "lr: 0.03}, tune: {from: range_test, rates: [1, 2]}",
        13,
        f"{TUNE}.rates",
        "[1, 2]",
        "either rates (a list of those to try) or from: range_test, exactly one of them",
    ),
    Broken(
        "lr: 0.03}",
        "lr: [1, 2]}, tune: {from: range_test}",
        13,
        f"{TUNE}.from",
        "'range_test'",
        "no such key beside the list",
    ),
    Broken(
        "lr: 0.03}", "lr: [1, 2]}, tune: {rates: [1, 2]}", 13, f"{TUNE}.rates", "[1, 2]", "no such key beside the list"
    ),
    Broken("lr: 0.03}", "lr: [1, 2]}, tune: {points: 4}", 13, f"{TUNE}.points", "4", "no such key beside rates"),
    Broken(
        "lr: 0.03}",
        "lr: 0.03}, tune: {from: range_test, points: 1}",
        13,
        f"{TUNE}.points",
        "1",
        "a number of at least 2",
    ),
    Broken("lr: 0.03}", "lr: [1, 2]}, tune: {seeds: 0}", 13, f"{TUNE}.seeds", "0", "a number of at least 1"),
    Broken(
        "cycles: 3}",
        "cycles: 3}\n    tune: {from: range_test}",
        16,
        "arms.clr.tune.from",
        "'range_test'",
        "a list of rates, as this schedule has a base_lr of its own",
    ),
    Broken(
        "base_lr: 0.01, max_lr: 0.1, cycles: 3}",
        "bounds: range_test, cycles: 3}\n    tune: {rates: [0.1, 0.2]}",
        15,
        f"{CLR}.bounds",
        "'range_test'",
        "base_lr and max_lr in an arm that is tuned",
    ),
    Broken("base_lr: 0.01", "base_lr: .nan", 15, f"{CLR}.base_lr", "nan", "a finite number"),
    Broken("base_lr: 0.01", "base_lr: -1", 15, f"{CLR}.base_lr", "-1", "a number greater than 0"),
    Broken("base_lr: 0.01", "base_lr: 0.5", 15, f"{CLR}.max_lr", "0.1", "a rate of at least base_lr, which is 0.5"),
    Broken("base_lr: 0.01, ", "", 15, f"{CLR}.base_lr", "nothing", "both base_lr and max_lr, or bounds: range_test"),
    Broken("cycles: 3", "cycles: 3, bounds: range_test", 15, f"{CLR}.base_lr", "0.01", "no such key beside bounds"),
    Broken("start_lr: 1e-3", "start_lr: 1", 18, "range_test.start_lr", "1", "a rate below end_lr, which is 1"),
    # Rates found elsewhere, with the updates that found them.
    Broken("lr: 0.03", "lr: {value: 0.03, steps: 0}", 13, f"{LR}.steps", "0", "a number of at least 1"),
    Broken("lr: 0.03", "lr: {value: 0.03, steps: -40000}", 13, f"{LR}.steps", "-40000", "a number of at least 1"),
    Broken("lr: 0.03", "lr: {value: 0.03, steps: 1.5}", 13, f"{LR}.steps", "1.5", "a whole number"),
    Broken("lr: 0.03", "lr: {value: 0.03, steps: 9 epochs}", 13, f"{LR}.steps", "'9 epochs'", "a whole number"),
    Broken("lr: 0.03", "lr: {value: 0.03, steps: 1e13}", 13, f"{LR}.steps", "'1e13'", "a number of at most 1e+12"),
    Broken("lr: 0.03", "lr: {value: 0.03, steps: true}", 13, f"{LR}.steps", "true", "a whole number"),
    Broken("lr: 0.03", "lr: {value: 0, steps: 9}", 13, f"{LR}.value", "0", "a number greater than 0"),
    Broken("lr: 0.03", "lr: {value: range_test, steps: 9}", 13, f"{LR}.value", "'range_test'", "a number"),
    Broken("lr: 0.03", "lr: {value: [0.1, 0.2], steps: 9}", 13, f"{LR}.value", "[0.1, 0.2]", "a number"),
    Broken(
        "lr: 0.03",
        "lr: [{value: 0.1, steps: 9}, 0.2]",
        13,
        LR,
        "[{'value': 0.1, 'steps': 9}, 0.2]",
        f"one rate, or {RATES}",
    ),
    Broken(
        f"{BOUNDS}", "bounds: rangetest", 15, f"{CLR}.bounds", "'rangetest'", f"{FOUND}; did you mean 'range_test'?"
    ),
    Broken(f"{BOUNDS}", "bounds: 0.1", 15, f"{CLR}.bounds", "0.1", FOUND),
    Broken(f"{BOUNDS}", "bounds: [0.01, 0.1]", 15, f"{CLR}.bounds", "[0.01, 0.1]", FOUND),
    Broken(
        f"{BOUNDS}",
        "bounds: {base_lr: 0.1, max_lr: 0.01, steps: 9}",
        15,
        f"{CLR}.bounds.max_lr",
        "0.01",
        "a rate of at least base_lr, which is 0.1",
    ),
    Broken(f"{BOUNDS}", "bounds: {base_lr: 0.1, max_lr: [1, 2]}", 15, f"{CLR}.bounds.max_lr", "[1, 2]", "a number"),
    Broken(f"{BOUNDS}", "bounds: {base_lr: 0.1, max_lr: 1, steps: 0}", 15, f"{CLR}.bounds.steps", "0", "at least 1"),
    Broken(
        f"{BOUNDS}", f"{BOUNDS}, bounds: {{base_lr: 1, max_lr: 2}}", 15, f"{CLR}.base_lr", "0.01", "no such key beside"
    ),
    Broken(
        "max_lr: 0.1",
        "max_lr: {value: 0.1, steps: 9}",
        15,
        f"{CLR}.max_lr",
        "the keys 'value', 'steps'",
        "a number, or both",
    ),
    Broken(
        f"{BOUNDS}, cycles: 3}}",
        "bounds: {base_lr: 0.1, max_lr: 1, steps: 9}, cycles: 3}\n    tune: {rates: [0.05, 0.5]}",
        15,
        f"{CLR}.max_lr",
        "nothing",
        "rates to try of at least base_lr, which is 0.1",
    ),
    # Lengths.
    Broken("duration: 12 epochs", "duration: 12", 8, "duration", "12", UNITS),
    Broken("duration: 12 epochs", "duration: 12 minutes", 8, "duration", "'12 minutes'", UNITS),
    Broken("duration: 12 epochs", "duration: twelve", 8, "duration", "'twelve'", UNITS),
    Broken("duration: 12 epochs", "duration: nan epochs", 8, "duration", "'nan epochs'", UNITS),
    Broken("duration: 12 epochs", "duration: 0 epochs", 8, "duration", "'0 epochs'", LENGTH),
    Broken("duration: 12 epochs", "duration: -2 epochs", 8, "duration", "'-2 epochs'", LENGTH),
    Broken("duration: 12 epochs", "duration: 2.5 steps", 8, "duration", "'2.5 steps'", LENGTH),
    Broken("duration: 12 epochs", "duration: 1e999 steps", 8, "duration", "'1e999 steps'", LENGTH),
    Broken("duration: 12 epochs\n", "", 1, "duration", "nothing", "a length with a unit"),
    Broken("12 epochs", "12 cycles", 8, "duration", "'12 cycles'", "cycles only where the schedule has a step_size"),
    Broken("duration: 5 epochs", "duration: 5 cycles", 18, "range_test.duration", "'5 cycles'", SPAN_UNITS),
    Broken("cycles: 3", "step_size: 2", 15, f"{CLR}.step_size", "2", SPAN_UNITS),
    Broken("cycles: 3", "cycles: 3, warmup: 1 cycle", 15, f"{CLR}.warmup", "'1 cycle'", SPAN_UNITS),
    Broken(
        "cycles: 3", "cycles: 3, step_size_down: 1 epoch", 15, f"{CLR}.step_size_down", "'1 epoch'", "beside cycles"
    ),
    Broken(
        "cycles: 3", "step_size: 1 epoch, step_size_down: 2", 15, f"{CLR}.step_size_down", "2", "a length with a unit"
    ),
    *(
        Broken(
            "name: constant, lr: 0.03",
            f"name: piecewise, lr: 0.1, milestones: {text}",
            13,
            f"{MILESTONES}{key}",
            got,
            allowed,
        )
        for text, key, got, allowed in (
            ("{}", "", "no keys", "1 to 100 lengths and factors"),
            ("[6, 9]", "", "[6, 9]", "1 to 100 lengths and factors"),
            ("{6 cycles: 0.1}", "['6 cycles']", "0.1", "a length with a unit (epochs, steps)"),
            ("{'6': 0.1}", ".6", "0.1", "a length with a unit (epochs, steps)"),
            ("{6 epochs: 0}", "['6 epochs']", "0", "a factor of lr greater than 0"),
            ("{6 epochs: fast}", "['6 epochs']", "'fast'", "a factor of lr greater than 0"),
            ("{6 epochs: .nan}", "['6 epochs']", "nan", "a factor of lr greater than 0"),
            (
                "{9 epochs: 0.1, 6 epochs: 0.01}",
                "['6 epochs']",
                "0.01",
                "grow from each to the next; 6 epochs comes after 9",
            ),
            ("{6 epochs: 0.1, 6.0 epochs: 0.01}", "['6.0 epochs']", "0.01", "grow from each to the next"),
            ("{6 epochs: 0.1, 900 steps: 0.01}", "['900 steps']", "0.01", "lengths in one unit"),
        )
    ),
    *(
        Broken("name: constant, lr: 0.03", f"name: wsd, lr: 0.1, {text}", 13, f"{LR[:-3]}.{key}", got, allowed)
        for text, key, got, allowed in (
            ("decay: 20", "decay", "20", "a percentage greater than 0 and at most 100, such as '20 %'"),
            ("decay: 0 %", "decay", "'0 %'", "a percentage greater than 0"),
            ("decay: 101 %", "decay", "'101 %'", "a percentage greater than 0"),
            ("decay: 2 epochs", "decay", "'2 epochs'", "a percentage greater than 0"),
            ("shape: exp", "shape", "'exp'", "linear, cosine, sqrt"),
            ("end_lr: 0.2", "end_lr", "0.2", "a rate of at most lr, which is 0.1"),
        )
    ),
    Broken(
        "name: constant, lr: 0.03", "name: polynomial, lr: 0.1, power: 0", 13, f"{LR[:-3]}.power", "0", "greater than 0"
    ),
    Broken("cycles: 3", "cycles: 3, step_size: 1 epoch", 15, f"{CLR}.step_size", "'1 epoch'", "exactly one of them"),
    Broken(", cycles: 3", "", 15, f"{CLR}.step_size", "nothing", "either step_size"),
    Broken("cycles: 3", "cycles: 0", 15, f"{CLR}.cycles", "0", "a number greater than 0"),
    Broken("5000 rows", "5000", 4, "data.validation", "5000", "a number of rows or a percentage, such as '5000 rows'"),
    Broken("5000 rows", "100 %", 4, "data.validation", "'100 %'", "a percentage from 0 to below 100"),
    Broken("5000 rows", "-1 rows", 4, "data.validation", "'-1 rows'", "a whole number of rows, 0 or more"),
    Broken("5000 rows", "0.5 rows", 4, "data.validation", "'0.5 rows'", "a whole number of rows, 0 or more"),
    # Choices.
    Broken("name: triangular", "name: ramp", 15, f"{CLR}.name", "'ramp'", SCHEDULES),
    Broken("name: triangular", "name: 3", 15, f"{CLR}.name", "3", SCHEDULES),
    Broken("name: triangular", "name:", 15, f"{CLR}.name", "nothing", SCHEDULES),
    Broken("name: mlp", "name: vgg", 5, "model.name", "'vgg'", "mlp, cnn, lenet5, resnet8"),
    Broken("name: sgd, momentum: 0.9", "name: lion", 6, "optimizer.name", "'lion'", "sgd, adam, adamw, rmsprop"),
    Broken(
        "dataset: mnist",
        "dataset: data.rar",
        3,
        "data.dataset",
        "'data.rar'",
        "mnist, fashion_mnist, svhn, cifar10, street_digits",
    ),
    Broken("dataset: mnist", r'dataset: "a\0.npz"', 3, "data.dataset", r"'a\x00.npz'", "the path of an .npz file"),
    Broken("metric: test_accuracy", "metric: f1", 17, "verdict.metric", "'f1'", METRICS),
    Broken("at: end", "at: best", 17, "verdict.at", "'best'", "end"),
    Broken("ramp: linear", "ramp: cosine", 18, "range_test.ramp", "'cosine'", "linear, exponential"),
    Broken("[torch, keras]", "[jax]", 10, "backends", "['jax']", "a list of torch, keras, or installed"),
    Broken("[torch, keras]", "torch", 10, "backends", "'torch'", "a list such as [torch, keras], or installed"),
    Broken("[torch, keras]", "", 10, "backends", "nothing", "a list such as [torch, keras], or installed"),
    Broken("optimizer: {name: sgd, momentum: 0.9}", "optimizer: sgd", 6, "optimizer", "'sgd'", "a mapping of keys"),
    Broken("momentum: 0.9", "nesterov: true", 6, "optimizer.nesterov", "true", "true only with a momentum greater"),
    Broken("0.9}", "0.9, nesterov: 'yes'}", 6, "optimizer.nesterov", "'yes'", "true or false"),
    # Lists.
    Broken("seeds: 10", "seeds: 0", 9, "seeds", "0", SEEDS),
    Broken("seeds: 10", "seeds: true", 9, "seeds", "true", SEEDS),
    Broken("seeds: 10", "seeds: 1.5", 9, "seeds", "1.5", SEEDS),
    Broken("seeds: 10", "seeds: few", 9, "seeds", "'few'", SEEDS),
    Broken("seeds: 10", "seeds: []", 9, "seeds", "[]", "a list of at least one entry"),
    Broken("seeds: 10", "seeds: [4, 5, 4]", 9, "seeds", "[4, 5, 4]", "a list without duplicates (4 stands there 2"),
    Broken("seeds: 10", "seeds: [4, -1]", 9, "seeds[1]", "-1", "a number of at least 0"),
    Broken("seeds: 10", "seeds:\n- 4\n- true", 11, "seeds[1]", "true", "a whole number"),
    Broken("seeds: 3}", "seeds: [3, 3]}", 18, "range_test.seeds", "[3, 3]", "a list without duplicates"),
    Broken("[torch, keras]", "[]", 10, "backends", "[]", "a list of at least one entry"),
    Broken("[torch, keras]", "[keras, keras]", 10, "backends", "['keras', 'keras']", "a list without duplicates"),
    Broken("[0.95, 0.97]", "0.95", 16, "targets.test_accuracy", "0.95", "a list"),
    Broken(
        "[0.95, 0.97]", "{auto: 1}", 16, "targets.test_accuracy", "the keys 'auto'", "a list such as [0.95, 0.97], or"
    ),
    Broken("[0.95, 0.97]", "[0.9, auto]", 16, "targets.test_accuracy[1]", "'auto'", "a number"),
    Broken("{test_accuracy: [0.95, 0.97]}", "[auto]", 16, "targets", "['auto']", "targets by metric such as {test_acc"),
    Broken("{test_accuracy: [0.95, 0.97]}", "{auto: auto}", 16, "targets.auto", "'auto'", METRICS),
    Broken("[0.95, 0.97]", "[]", 16, "targets.test_accuracy", "[]", "a list of at least one entry"),
    Broken("[0.95, 0.97]", "[0.9, 0.9]", 16, "targets.test_accuracy", "[0.9, 0.9]", "a list without duplicates"),
    Broken("[0.95, 0.97]", "[95]", 16, "targets.test_accuracy", "[95]", "fractions from 0 to 1, such as 0.95 for 95 %"),
    Broken("[0.95, 0.97]", "[.nan]", 16, "targets.test_accuracy[0]", "nan", "a finite number"),
    # Names and arms.
    Broken("name: mnist-mlp", "name: a/b", 1, "name", "'a/b'", NAME),
    Broken("name: mnist-mlp", "name: .hidden", 1, "name", "'.hidden'", NAME),
    Broken("name: mnist-mlp", r'name: "a\n"', 1, "name", r"'a\n'", NAME),
    Broken("name: mnist-mlp", f"name: {'n' * 101}", 1, "name", f"'{'n' * 79}...", NAME),
    Broken("name: mnist-mlp", "name: 2024", 1, "name", "2024", "text, in quotes if need be"),
    Broken("name: mnist-mlp", "name: 2024-05-06", 1, "name", "2024-05-06", "text, in quotes if need be"),
    Broken("  clr:", "  ../clr:", 14, "arms['../clr']", "'../clr'", NAME),
    Broken("  clr:", r'  "a\e[0m":', 14, r"arms['a\x1b[0m']", r"'a\x1b[0m'", NAME),
    Broken("  clr:", "  Constant:", 14, "arms.Constant", "'Constant'", "a name that differs from 'constant' in more"),
    Broken("  clr:", "  clr:\n    baseline: clr", 15, "arms.clr.baseline", "'clr'", "another arm than itself"),
    Broken("  clr:", "  clr:\n    baseline: x", 15, "arms.clr.baseline", "'x'", "the name of an arm: constant, clr"),
    Broken("  clr:", "  clr:\n    batch_size: 0", 15, "arms.clr.batch_size", "0", "a number of at least 1"),
    Broken("  clr:", "  clr:\n    optimizer: {name: a}", 15, "arms.clr.optimizer.name", "'a'", "sgd, adam, adamw"),
    Broken(
        "  clr:", "  clr:\n    duration: 3 cycles", 15, "arms.clr.duration", "'3 cycles'", "that of arm clr has none"
    ),
    Broken(
        "  clr:", "  clr:\n    published: {test_accuracy: 97.5}", 15, "arms.clr.published.test_accuracy", "97.5", "f"
    ),
    Broken(GOOD[GOOD.index("arms:") : GOOD.index("targets")], "arms: []\n", 12, "arms", "[]", "a mapping of keys"),
    Broken(
        "constant: {schedule: {name: constant, lr: 0.03}}", "constant:", 13, "arms.constant", "nothing", "a mapping"
    ),
]


class Misspelt(NamedTuple):
    old: str
    new: str
    line: int
    key: str
    text: str
    near: str


MISSPELT_KEYS = [
    Misspelt("batch_size: 100", "batchsize: 100", 7, "batchsize", "unknown key", "batch_size"),
    Misspelt("dataset: mnist", "dataste: mnist", 3, "data.dataste", "unknown key", "dataset"),
    Misspelt("hidden: [100, 50]", "hiden: [9]", 5, "model.hiden", "unknown key of mlp", "hidden"),
    Misspelt("momentum: 0.9", "momentun: 0.9", 6, "optimizer.momentun", "unknown key of sgd", "momentum"),
    Misspelt(
        "{schedule: {name: constant",
        "{shedule: {name: constant",
        13,
        "arms.constant.shedule",
        "unknown key",
        "schedule",
    ),
    Misspelt("base_lr: 0.01", "base_rl: 0.01", 15, f"{CLR}.base_rl", "unknown key of triangular", "base_lr"),
    Misspelt("margin: 0.001", "margn: 0.001", 17, "verdict.margn", "unknown key", "margin"),
    Misspelt("start_lr: 1e-3", "star_lr: 1e-3", 18, "range_test.star_lr", "unknown key", "start_lr"),
    Misspelt("optimizer: {", "Optimizer: {", 6, "Optimizer", "unknown key", "optimizer"),
]

MISPLACED_KEYS = [
    (
        "lr: 0.03}",
        "lr: 0.03}, tune: {from_: range_test}",
        13,
        f"{TUNE}.from_",
        "unknown key; allowed: rates, from, points",
    ),
    (
        "name: sgd",
        "name: adam",
        6,
        "optimizer.momentum",
        "unknown key of adam; allowed: name, weight_decay, update_rule",
    ),
    ("name: mlp", "name: resnet8", 5, "model.hidden", "unknown key of resnet8; allowed: name"),
    ("lr: 0.03", "lr: 0.03, cycles: 3", 13, "arms.constant.schedule.cycles", "unknown key of constant; allowed: name"),
    # Names of union members, which pydantic puts into its paths.
    ("lr: 0.03", "constant: 0.03", 13, "arms.constant.schedule.constant", "unknown key of constant; allowed: name"),
    ("momentum: 0.9", "sgd: 0.9", 6, "optimizer.sgd", "unknown key of sgd; allowed: name"),
    ("  clr:", "  optimizer:\n    lr: 3", 15, "arms.optimizer.lr", "unknown key; allowed: schedule, batch_size"),
    (
        "mnist\n",
        r"mnist" + '\n  "a\\nb": 1\n',
        4,
        r"data['a\nb']",
        "unknown key; allowed: dataset, test, resize, validation",
    ),
]

NEAREST_VALUES = [
    ("name: triangular", "name: trianguler", 15, f"{CLR}.name", "triangular"),
    ("name: triangular", "name: exp-range", 15, f"{CLR}.name", "exp_range"),
    ("name: sgd, momentum: 0.9", "name: ADAM", 6, "optimizer.name", "adam"),
    ("name: mlp", "name: resnet", 5, "model.name", "resnet8"),
    ("dataset: mnist", "dataset: minst", 3, "data.dataset", "mnist"),
    ("[torch, keras]", "[torch, kears]", 10, "backends", "keras"),
    ("[torch, keras]", "instaled", 10, "backends", "installed"),
    ("metric: test_accuracy", "metric: test_acc", 17, "verdict.metric", "test_accuracy"),
    ("targets: {test_accuracy", "targets: {test_acuracy", 16, "targets.test_acuracy", "test_accuracy"),
    ("targets: {test_accuracy: [0.95, 0.97]}", "targets: atuo", 16, "targets", "auto"),
    ("[0.95, 0.97]", "Auto", 16, "targets.test_accuracy", "auto"),
    ("baseline: constant", "baseline: constnat", 11, "baseline", "constant"),
    ("activation: relu", "activation: Relu", 5, "model.activation", "relu"),
    ("lr: 0.03", "lr: range-test", 13, LR, "range_test"),
    ("12 epochs", "12 epocs", 8, "duration", "epochs"),
    ("5000 rows", "5000 rwos", 4, "data.validation", "rows"),
]

MISSING_KEYS = [
    ("batch_size: 100\n", "", 1, "batch_size"),
    ("name: mnist-mlp\n", "", 1, "name"),
    ("  dataset: mnist\n", "", 2, "data.dataset"),
    ("name: mlp, ", "", 5, "model.name"),
    ("name: triangular, ", "", 15, f"{CLR}.name"),
    ("lr: 0.03", "", 13, LR),
    ("schedule: {name: constant, lr: 0.03}", "batch_size: 5", 13, "arms.constant.schedule"),
    ("name: triangular", "name: exp_range", 15, f"{CLR}.gamma"),
]


def edited(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1, f"{old!r} is not in the good spec"
    return GOOD.replace(old, new, 1)


def load(folder: Path, text: str) -> SpecFile:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path)


def refusal(folder: Path, text: str) -> str:
    """Return the one line with which a spec is refused, without the folder."""
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert message.isprintable()
    assert not [word for word in INTERNALS if word in message], message
    return message.removeprefix(f"{folder}/")


def test_the_good_spec_is_good(tmp_path: Path) -> None:
    assert list(load(tmp_path, GOOD).spec.arms) == ["constant", "clr"]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.key}: {case.got}"[:60])
def test_broken_value_is_located_shown_and_corrected(case: Broken, tmp_path: Path) -> None:
    message = refusal(tmp_path, edited(case.old, case.new))
    start = f"spec.yaml:{case.line}: {case.key}: got {case.got}; allowed: "
    assert message[: len(start)] == start
    assert case.allowed in message[len(start) :]


@pytest.mark.parametrize("case", MISSPELT_KEYS, ids=lambda case: case.key)
def test_misspelt_key_is_corrected(case: Misspelt, tmp_path: Path) -> None:
    message = refusal(tmp_path, edited(case.old, case.new))
    assert message.startswith(f"spec.yaml:{case.line}: {case.key}: {case.text}; allowed: ")
    assert message.endswith(f"; did you mean {case.near!r}?")


@pytest.mark.parametrize(("old", "new", "line", "key", "text"), MISPLACED_KEYS)
def test_misplaced_key_is_named_with_its_owner(
    old: str, new: str, line: int, key: str, text: str, tmp_path: Path
) -> None:
    assert refusal(tmp_path, edited(old, new)).startswith(f"spec.yaml:{line}: {key}: {text}")


@pytest.mark.parametrize(("old", "new", "line", "key", "near"), NEAREST_VALUES)
def test_misspelt_value_is_corrected(old: str, new: str, line: int, key: str, near: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, edited(old, new))
    assert message.startswith(f"spec.yaml:{line}: {key}: got ")
    assert message.endswith(f"; did you mean {near!r}?")


@pytest.mark.parametrize(("old", "new", "line", "key"), MISSING_KEYS)
def test_missing_key_is_named_on_the_line_that_should_hold_it(
    old: str, new: str, line: int, key: str, tmp_path: Path
) -> None:
    assert refusal(tmp_path, edited(old, new)) == f"spec.yaml:{line}: {key}: is missing; add it"


NO_VALIDATION = [
    Broken("metric: test_accuracy", "metric: validation_loss", 17, "verdict.metric", "'validation_loss'", "0 rows"),
    Broken("{test_accuracy", "{validation_accuracy", 16, "targets.validation_accuracy", "[0.95, 0.97]", "0 %"),
    Broken(
        "{test_accuracy: [0.95, 0.97]",
        "{validation_loss: auto",
        16,
        "targets.validation_loss",
        "'auto'",
        "0 rows",
    ),
    Broken(
        "  clr:",
        "  clr:\n    published: {validation_loss: 1}",
        15,
        "arms.clr.published.validation_loss",
        "1",
        "0 rows",
    ),
]


@pytest.mark.parametrize("case", NO_VALIDATION, ids=lambda case: case.key)
def test_validation_metric_needs_validation_rows(case: Broken, tmp_path: Path) -> None:
    message = refusal(tmp_path, edited(case.old, case.new).replace("5000 rows", case.allowed))
    expected = f"no validation metric while data.validation is '{case.allowed}'"
    assert message == f"spec.yaml:{case.line}: {case.key}: got {case.got}; allowed: {expected}"


@pytest.mark.parametrize("new", ["lr: [0.1, 0.2]", "lr: 0.1}, tune: {from: range_test"], ids=["list", "range test"])
@pytest.mark.parametrize("validation", ["0 rows", "0 %"])
def test_tuning_needs_validation_rows(new: str, validation: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, edited("lr: 0.03", new).replace("5000 rows", validation))
    expected = "validation rows, on which arm constant is tuned"
    assert message == f"spec.yaml:4: data.validation: got '{validation}'; allowed: {expected}"


def test_spec_without_arms_and_range_test_is_refused(tmp_path: Path) -> None:
    text = "name: x\ndata: {dataset: mnist}\nmodel: {name: cnn}\nbatch_size: 8\n"
    assert refusal(tmp_path, text).startswith("spec.yaml:1: arms: got nothing; allowed: at least one arm, such as {")


def test_every_fault_has_its_own_line(tmp_path: Path) -> None:
    text = GOOD.replace("0.03", "-3").replace("alpha: 0.05", "alpha: 2").replace("batch_size: 100", "batch_size: 0")
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    path = tmp_path / "spec.yaml"
    assert str(caught.value).splitlines() == [
        f"{path}:7: batch_size: got 0; allowed: a number of at least 1",
        f"{path}:13: {LR}: got -3; allowed: a number greater than 0, or range_test, range_test mean, range_test max_lr",
        f"{path}:17: verdict.alpha: got 2; allowed: a number less than 1",
    ]


def test_long_keys_and_values_are_cut(tmp_path: Path) -> None:
    long = "x" * 50_000
    assert len(refusal(tmp_path, edited("batch_size: 100", f"batch_size: {long}"))) < 200
    assert len(refusal(tmp_path, edited("batch_size: 100", f"{long}: 100"))) < 400
    assert len(refusal(tmp_path, edited("lr: 0.03", f"lr: [{'1, ' * 9_000}]"))) < 250


def test_an_error_found_later_is_located_by_its_key(tmp_path: Path) -> None:
    file = load(tmp_path, GOOD)
    with pytest.raises(SpecError) as caught, file.locating():
        raise SpecError("got 100; allowed: less", key=("arms", "clr", "batch_size"))
    assert str(caught.value) == f"{file.path}:14: arms.clr.batch_size: got 100; allowed: less"


def test_an_error_without_a_key_is_left_as_it_is(tmp_path: Path) -> None:
    file = load(tmp_path, GOOD)
    with pytest.raises(SpecError, match=r"\Aplain\Z"), file.locating():
        raise SpecError("plain")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("sdg", "; did you mean 'sgd'?"),
        ("SGD", "; did you mean 'sgd'?"),
        ("resnet", ""),
        (None, ""),
        (3, ""),
        (["sgd"], ""),
    ],
)
def test_nearest_name(value: object, expected: str) -> None:
    assert nearest(value, ["sgd", "adam"]) == expected
