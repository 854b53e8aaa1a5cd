"""A value that is not allowed is located, shown and corrected."""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_specs import (
    BOUNDS,
    CLR,
    FOUND,
    GOOD,
    LENGTH,
    LR,
    METRICS,
    MILESTONES,
    NAME,
    RATES,
    SCHEDULES,
    SEEDS,
    SPAN_UNITS,
    TUNE,
    UNITS,
    Broken,
    edited,
    refusal,
)

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
    Broken("seeds: 10", "seeds: [4, 5, 4]", 9, "seeds", "[4, 5, 4]", "a list without duplicates (4 appears 2"),
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


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.key}: {case.got}"[:60])
def test_broken_value_is_located_shown_and_corrected(case: Broken, tmp_path: Path) -> None:
    message = refusal(tmp_path, edited(case.old, case.new))
    start = f"spec.yaml:{case.line}: {case.key}: got {case.got}; allowed: "
    assert message[: len(start)] == start
    assert case.allowed in message[len(start) :]
