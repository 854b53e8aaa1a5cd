"""A broken spec is refused with one line that names file, line, key, what was got and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from broken_specs import (
    CLR,
    GOOD,
    LR,
    TUNE,
    Broken,
    edited,
    load,
    refusal,
)

from clrbench.errors import SpecError
from clrbench.spec.messages import nearest


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


def test_the_good_spec_is_good(tmp_path: Path) -> None:
    assert list(load(tmp_path, GOOD).spec.arms) == ["constant", "clr"]


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
