"""What the design allows is read as it is meant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from specs import read_spec

from clrbench.errors import SpecError
from clrbench.spec import Length, Share, Spec, load_spec, to_yaml
from clrbench.spec.model import Adaptive, ResolvedArm, Sgd
from clrbench.spec.network import Cnn, Mlp
from clrbench.spec.schedules import Constant, Triangular

EXAMPLE = """\
name: mnist-mlp                 # results go to results/<name>/
data:
  dataset: mnist
  validation: 5000 rows
  train_rows: 10000
model:
  name: mlp
  hidden: [100, 50]
  activation: relu
optimizer: {name: sgd, momentum: 0.9}
batch_size: 100
duration: 12 epochs
seeds: 10
backends: [torch, keras]
baseline: constant
arms:
  constant: {schedule: {name: constant, lr: 0.03}}
  clr:      {schedule: {name: triangular, base_lr: 0.01, max_lr: 0.1, cycles: 3}}     # or step_size: 2 epochs
targets: {test_accuracy: [0.95, 0.97]}
verdict: {metric: test_accuracy, at: end, margin: 0.001, alpha: 0.05}
range_test: {start_lr: 1e-3, end_lr: 1.0, ramp: linear, duration: 5 epochs, seeds: 3}
"""

SHORTEST = """\
name: shortest
data: {dataset: mnist}
model: {name: cnn}
batch_size: 8
duration: 1 epoch
arms: {only: {schedule: {name: constant, lr: 0.1}}}
"""


def load(folder: Path, text: str) -> Spec:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path).spec


def changed(folder: Path, **changes: Any) -> Spec:
    return read_spec(folder, **changes).spec


OWN_SEEDS = (1_000_000, 1_000_001, 1_000_002)


def test_the_example_of_the_design(tmp_path: Path) -> None:
    spec = load(tmp_path, EXAMPLE)
    assert (spec.name, spec.data.dataset, spec.data.train_rows, spec.data.test_rows) == (
        "mnist-mlp",
        "mnist",
        10_000,
        None,
    )
    assert spec.data.validation == Share(5000, "rows")
    assert spec.model == Mlp(name="mlp", hidden=(100, 50), activation="relu", dropout=0.0, batch_norm=False)
    assert spec.optimizer == Sgd(name="sgd", momentum=0.9, nesterov=False, weight_decay=0.0, update_rule="native")
    assert (spec.batch_size, spec.duration) == (100, Length(12, "epochs"))
    assert (spec.seeds, spec.backends, spec.baseline) == (tuple(range(10)), ("torch", "keras"), "constant")
    assert [arm.schedule for arm in spec.arms.values()] == [
        Constant(name="constant", lr=0.03),
        Triangular(name="triangular", base_lr=0.01, max_lr=0.1, cycles=3),
    ]
    assert spec.targets == {"test_accuracy": (0.95, 0.97)}
    assert spec.verdict.model_dump() == {"metric": "test_accuracy", "at": "end", "margin": 0.001, "alpha": 0.05}
    test = spec.range_test
    assert (test.start_lr, test.end_lr, test.ramp, test.duration, test.seeds) == (
        0.001,
        1.0,
        "linear",
        Length(5, "epochs"),
        OWN_SEEDS,
    )


@pytest.mark.parametrize(
    ("verdict", "margin", "written"),
    [
        ("{metric: test_accuracy}", 0.001, "0.001"),
        ("{metric: train_accuracy, alpha: 0.1}", 0.001, "0.001"),
        ("{margin: 0}", 0, "0.0"),
        ("{metric: test_loss}", None, "null"),
        ("{metric: validation_loss, margin: null}", None, "null"),
        ("{metric: train_loss, margin: }", None, "null"),
        ("{metric: test_loss, margin: 0.01}", 0.01, "0.01"),
    ],
)
def test_an_accuracy_has_a_default_margin_and_a_loss_has_none(
    tmp_path: Path, verdict: str, margin: float | None, written: str
) -> None:
    spec = load(tmp_path, f"{SHORTEST}verdict: {verdict}\n")
    assert spec.verdict.margin == margin
    text = to_yaml(spec)
    assert f"\n  margin: {written}\n  alpha: " in text
    assert load(tmp_path, text) == spec


def test_defaults(tmp_path: Path) -> None:
    spec = load(tmp_path, SHORTEST)
    assert spec.data.validation == Share(10, "%")
    assert spec.model == Cnn(name="cnn", activation="relu", dropout=0.0, batch_norm=False)
    assert spec.optimizer == Sgd(name="sgd", momentum=0.0, nesterov=False, weight_decay=0.0, update_rule="native")
    assert (spec.seeds, spec.backends, spec.baseline, spec.targets) == (tuple(range(10)), "installed", None, {})
    assert spec.verdict.model_dump() == {"metric": "test_accuracy", "at": "end", "margin": 0.001, "alpha": 0.05}
    test = spec.range_test
    assert (test.start_lr, test.end_lr, test.ramp, str(test.duration), test.seeds, test.confirm) == (
        None,
        None,
        "linear",
        "5 epochs",
        OWN_SEEDS,
        True,
    )


@pytest.mark.parametrize(
    ("seeds", "range_test", "expected"),
    [
        (10, {"seeds": 2}, (1_000_000, 1_000_001)),
        (10, {"seeds": "2"}, (1_000_000, 1_000_001)),
        (10, {}, OWN_SEEDS),
        (10, None, OWN_SEEDS),
        ([1_000_001, 5], {"seeds": 3}, (1_000_000, 1_000_002, 1_000_003)),
        ([1_000_000, 1_000_001], {}, (1_000_002, 1_000_003, 1_000_004)),
        ([1_000_000], None, (1_000_001, 1_000_002, 1_000_003)),
        ([1_000_000], {"seeds": [1_000_000]}, (1_000_000,)),
        (10, {"seeds": [0, 4]}, (0, 4)),
        (10, {"seeds": [3]}, (3,)),
    ],
)
def test_a_number_of_seeds_of_a_range_test_stands_for_some_that_the_spec_does_not_name(
    tmp_path: Path, seeds: object, range_test: object, expected: tuple[int, ...]
) -> None:
    spec = read_spec(tmp_path, seeds=seeds, range_test=range_test).spec
    assert spec.range_test.seeds == expected
    (tmp_path / "resolved.yaml").write_text(to_yaml(spec))
    assert load_spec(tmp_path / "resolved.yaml").spec == spec


@pytest.mark.parametrize("seeds", [0, -1, 2.5, 10_001, True, "many", [1, 1], [], {}])
def test_seeds_of_a_range_test_that_are_none_are_named(tmp_path: Path, seeds: object) -> None:
    with pytest.raises(SpecError, match=r"spec\.yaml:\d+: range_test\.seeds: got"):
        read_spec(tmp_path, range_test={"seeds": seeds})


@pytest.mark.parametrize(
    ("written", "expected"),
    [("1e-3", 0.001), ("1e-05", 1e-5), ("5", 5.0), ("0.1", 0.1), (".5", 0.5), ("1_0", 10.0), ("'0.2'", 0.2)],
)
def test_rate_in_any_notation(written: str, expected: float, tmp_path: Path) -> None:
    schedule = load(tmp_path, SHORTEST.replace("lr: 0.1", f"lr: {written}")).arms["only"].schedule
    assert schedule == Constant(name="constant", lr=expected)


@pytest.mark.parametrize(("written", "expected"), [("1e3", 1000), ("1e+2", 100), ("64.0", 64), ("0x10", 16)])
def test_whole_number_in_any_notation(written: str, expected: int, tmp_path: Path) -> None:
    size = load(tmp_path, SHORTEST.replace("batch_size: 8", f"batch_size: {written}")).batch_size
    assert (size, type(size)) == (expected, int)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (1, (0,)),
        (3, (0, 1, 2)),
        ("1e1", tuple(range(10))),
        (4.0, (0, 1, 2, 3)),
        ([7], (7,)),
        ([9, 3.0, "1e2"], (9, 3, 100)),
    ],
)
def test_seeds_as_a_count_or_a_list(written: object, expected: tuple[int, ...], tmp_path: Path) -> None:
    assert changed(tmp_path, seeds=written).seeds == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1 epoch", Length(1, "epochs")),
        ("1 step", Length(1, "steps")),
        ("2.5 epochs", Length(2.5, "epochs")),
        ("1e3 steps", Length(1000, "steps")),
        ("  4  epochs ", Length(4, "epochs")),
        ("4epochs", Length(4, "epochs")),
        (".5epoch", Length(0.5, "epochs")),
    ],
)
def test_length_with_its_unit(written: str, expected: Length, tmp_path: Path) -> None:
    assert changed(tmp_path, duration=written).duration == expected


def test_duration_in_cycles_with_a_step_size(tmp_path: Path) -> None:
    arm = {"schedule": {"name": "triangular", "base_lr": 0.1, "max_lr": 1, "step_size": "2 epochs"}}
    assert changed(tmp_path, duration="3 cycles", arms={"clr": arm}).duration == Length(3, "cycles")
    spec = changed(
        tmp_path, arms={"a": {"schedule": {"name": "constant", "lr": 1}}, "b": arm | {"duration": "1 cycle"}}
    )
    assert spec.resolved_arm("b").duration == Length(1, "cycles")


def test_rates_from_the_range_test(tmp_path: Path) -> None:
    arms = {
        "clr": {"schedule": {"name": "triangular2", "bounds": "range_test", "cycles": 4}},
        "constant": {"schedule": {"name": "constant", "lr": "range_test"}},
        "fixed": {"schedule": {"name": "constant", "lr": 0.1}},
    }
    spec = changed(tmp_path, arms=arms)
    assert [arm.schedule.needs_range_test for arm in spec.arms.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("schedule", "key"),
    [
        ({"name": "constant"}, "lr"),
        ({"name": "cosine"}, "lr"),
        ({"name": "one_cycle"}, "max_lr"),
        ({"name": "triangular", "base_lr": 1e-6, "cycles": 2}, "max_lr"),
    ],
)
def test_a_list_of_rates_is_what_an_arm_is_tuned_by(schedule: dict[str, Any], key: str, tmp_path: Path) -> None:
    listed = {"schedule": schedule | {key: ["1e-5", 0.3, 0.1]}, "tune": {"seeds": 2}}
    apart = {"schedule": schedule | {key: 1e-5}, "tune": {"rates": [1e-5, 0.3, 0.1], "seeds": 2}}
    spec = changed(tmp_path, arms={"tuned": listed, "plain": {"schedule": {"name": "constant", "lr": 0.1}}})
    assert spec.tuned_arms == ["tuned"]
    arm = spec.arms["tuned"]
    assert arm.schedule.rate == 1e-5
    assert arm.tune is not None
    assert (arm.tune.rates, arm.tune.from_, arm.tune.points, arm.tune.seeds) == ((1e-5, 0.3, 0.1), None, None, 2)
    assert not arm.needs_range_test
    assert arm == changed(tmp_path, arms={"tuned": apart}).arms["tuned"]
    assert changed(tmp_path, arms={"tuned": {"schedule": listed["schedule"]}}).arms["tuned"].tune != arm.tune


def test_rates_between_the_bounds_of_the_range_test(tmp_path: Path) -> None:
    spec = changed(tmp_path, arms={"a": {"schedule": {"name": "constant", "lr": 1}, "tune": {"from": "range_test"}}})
    tune = spec.arms["a"].tune
    assert tune is not None
    assert (tune.rates, tune.from_, tune.points, tune.seeds) == (None, "range_test", 5, 3)
    assert spec.arms["a"].needs_range_test
    assert "from: range_test" in to_yaml(spec)


def test_range_test_alone_needs_no_arms_and_no_duration(tmp_path: Path) -> None:
    spec = changed(tmp_path, arms=None, duration=None, range_test={"end_lr": 3})
    assert (spec.arms, spec.range_test.end_lr) == ({}, 3)


def test_arm_takes_what_it_does_not_override_from_the_spec(tmp_path: Path) -> None:
    schedule = {"name": "constant", "lr": 1}
    spec = changed(
        tmp_path,
        batch_size=8,
        duration="1 epoch",
        arms={
            "plain": {"schedule": schedule},
            "other": {"schedule": schedule, "batch_size": 4, "optimizer": {"name": "adam"}, "duration": "9 steps"},
            "last": {"schedule": schedule, "baseline": "other"},
        },
    )
    constant = Constant(name="constant", lr=1)
    sgd, adam = Sgd(name="sgd"), Adaptive(name="adam")
    plain, other, last = (spec.resolved_arm(name) for name in spec.arms)
    assert plain == ResolvedArm("plain", constant, 8, sgd, Length(1, "epochs"), baseline=None)
    assert other == ResolvedArm("other", constant, 4, adam, Length(9, "steps"), baseline="plain")
    assert last == ResolvedArm("last", constant, 8, sgd, Length(1, "epochs"), baseline="other")


def test_named_baseline_replaces_the_first_arm(tmp_path: Path) -> None:
    schedule = {"schedule": {"name": "constant", "lr": 1}}
    spec = changed(tmp_path, baseline="b", arms={"a": schedule, "b": schedule, "c": schedule})
    assert [spec.resolved_arm(name).baseline for name in spec.arms] == ["b", None, "b"]


def test_dataset_path_is_kept_as_the_spec_says_it(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    spec = load(folder, SHORTEST.replace("mnist", "../data/own.npz"))
    assert spec.data.dataset == "../data/own.npz"
    absolute = load(folder, SHORTEST.replace("mnist", "/data/own.npz"))
    assert absolute.data.dataset == "/data/own.npz"


def test_dataset_path_that_leads_in_a_circle_is_refused_or_left_for_later(tmp_path: Path) -> None:
    loop = tmp_path / "loop.npz"
    loop.symlink_to(loop)
    try:
        spec = load(tmp_path, SHORTEST.replace("mnist", "loop.npz"))
    except SpecError as err:
        assert "spec.yaml:2: data.dataset: got 'loop.npz'; allowed: a path that can be followed" in str(err)  # noqa: PT017
    else:
        assert spec.data.dataset == "loop.npz"


def test_names_of_one_path_component(tmp_path: Path) -> None:
    arms = {name: {"schedule": {"name": "constant", "lr": 1}} for name in ("a", "1cycle", "-x", "_y", "a.b", "n" * 100)}
    spec = changed(tmp_path, arms=arms, name="v1.2_final-3")
    assert (spec.name, list(spec.arms)) == ("v1.2_final-3", list(arms))
    assert all(os.sep not in name for name in spec.arms)


def test_resolved_spec_is_written_with_every_default(tmp_path: Path) -> None:
    text = to_yaml(load(tmp_path, SHORTEST))
    assert yaml.safe_load(text) == {
        "name": "shortest",
        "data": {"dataset": "mnist", "validation": "10 %", "preprocessing": "scale", "pipeline": "resident"},
        "model": {"name": "cnn", "activation": "relu", "dropout": 0.0, "batch_norm": False},
        "optimizer": {
            "name": "sgd",
            "weight_decay": 0.0,
            "update_rule": "native",
            "momentum": 0.0,
            "nesterov": False,
        },
        "batch_size": 8,
        "duration": "1 epochs",
        "seeds": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        "backends": "installed",
        "arms": {"only": {"schedule": {"name": "constant", "lr": 0.1}, "published": {}}},
        "targets": {},
        "verdict": {"metric": "test_accuracy", "at": "end", "margin": 0.001, "alpha": 0.05},
        "range_test": {
            "ramp": "linear",
            "duration": "5 epochs",
            "seeds": list(OWN_SEEDS),
            "confirm": True,
        },
    }


def test_automatic_targets_stay_a_word_until_the_report(tmp_path: Path) -> None:
    alone = changed(tmp_path, targets="auto", verdict={"metric": "test_loss"})
    assert (alone.targets, alone.targets_by_metric) == ("auto", {"test_loss": "auto"})
    assert "\ntargets: auto\n" in to_yaml(alone)
    by_metric = changed(tmp_path, targets={"test_accuracy": "auto", "test_loss": [0.1]})
    assert by_metric.targets == by_metric.targets_by_metric == {"test_accuracy": "auto", "test_loss": (0.1,)}
    assert "\n  test_accuracy: auto\n" in to_yaml(by_metric)


def test_arm_names_that_range_test_folders_hold_are_reserved(tmp_path: Path) -> None:
    schedule = {"schedule": {"name": "constant", "lr": 1}}
    with pytest.raises(SpecError, match=r"arms\.runs: got .* allowed: any name but runs, "):
        changed(tmp_path, arms={"runs": schedule})


@pytest.mark.parametrize("name", ["linear_decay", "cosine"])
def test_the_end_of_a_decay_is_filled_in(tmp_path: Path, name: str) -> None:
    spec = changed(tmp_path, arms={"a": {"schedule": {"name": name, "lr": 0.5}}})
    assert "end_lr: 0.0005" in to_yaml(spec)
