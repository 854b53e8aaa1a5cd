"""What a spec is warned about, before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
from specs import read_spec

from clrbench.data import DatasetSizes
from clrbench.errors import SpecError
from clrbench.planning.advice import comparisons, warnings
from clrbench.spec import Spec

SIZES = DatasetSizes(train_rows=60_000, test_rows=10_000, image_shape=(28, 28, 1))
CONSTANT = {"schedule": {"name": "constant", "lr": 0.1}}


def make_spec(folder: Path, arms: dict[str, Any], **changes: Any) -> Spec:
    own = {"data": {"dataset": "mnist", "validation": "0 rows"}, "duration": "12 epochs", "seeds": 10, "arms": arms}
    return read_spec(folder, **{**own, **changes}).spec


def triangular(**keys: Any) -> dict[str, Any]:
    return {"schedule": {"name": "triangular", "base_lr": 0.001, "max_lr": 0.006, **keys}}


def test_a_fair_comparison_has_no_warning(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"constant": CONSTANT, "clr": triangular(cycles=3)})
    assert warnings(spec, SIZES, ("torch", "keras")) == []


def test_a_stand_in_is_called_one(tmp_path: Path) -> None:
    data = {"dataset": "street_digits", "validation": "0 rows"}
    (found,) = warnings(make_spec(tmp_path, {"a": CONSTANT}, data=data), SIZES, ("torch",))
    assert found == ("data set street_digits is rendered, a stand-in for SVHN: what comes out is not a result on SVHN")


def test_the_published_article_is_warned_about_both_of_its_flaws(tmp_path: Path) -> None:
    clr = triangular(step_size="2000 steps") | {"batch_size": 2000}
    spec = make_spec(tmp_path, {"constant": CONSTANT, "clr": clr}, duration="15 epochs")
    found = "\n".join(warnings(spec, SIZES, ("keras",)))
    assert "max_lr is never reached: the step size is 2000 steps and the rate rises for 450 steps only, to 22%" in found
    assert "confounded with its baseline constant" in found
    assert "batch_size 2000 against 100" in found


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"step_size": "1 epochs"}, ["step size is 1 epochs"]),
        (
            {"step_size": "12 epochs"},
            ["max_lr is never", "step size is 12 epochs", "0.5 cycles", "mid-cycle, after 0.5"],
        ),
        ({"step_size": "2 epochs"}, []),
        ({"step_size": "2.5 epochs"}, ["2.4 cycles", "mid-cycle, after 2.4"]),
        ({"cycles": 2}, ["holds 2 cycles"]),
        ({"cycles": 2.5}, ["2.5 cycles", "mid-cycle"]),
        ({"step_size": "2 epochs", "warmup": "1 epochs"}, ["2.75 cycles", "mid-cycle, after 2.75"]),
    ],
)
def test_cycles(tmp_path: Path, keys: dict[str, Any], expected: list[str]) -> None:
    spec = make_spec(tmp_path, {"constant": CONSTANT, "clr": triangular(**keys)})
    found = warnings(spec, SIZES, ("torch",))
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert text.startswith("arm clr: ")
        assert part in text


@pytest.mark.parametrize(
    "override", [{"batch_size": 200}, {"duration": "13 epochs"}, {"optimizer": {"name": "sgd", "momentum": 0.5}}]
)
def test_an_arm_that_differs_in_more_than_its_schedule_is_confounded(tmp_path: Path, override: dict[str, Any]) -> None:
    spec = make_spec(tmp_path, {"a": CONSTANT, "b": CONSTANT | override})
    (found,) = warnings(spec, SIZES, ("torch",))
    assert next(iter(override)) in found
    assert "confounded" in found


def test_an_override_that_changes_nothing_is_not_confounded(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": CONSTANT, "b": CONSTANT | {"batch_size": 100}})
    assert warnings(spec, SIZES, ("torch",)) == []


@pytest.mark.parametrize(
    ("num_arms", "seeds", "warned"), [(2, 5, True), (2, 6, False), (3, 6, True), (4, 7, False), (1, 1, False)]
)
def test_too_few_seeds_for_the_family_of_comparisons(tmp_path: Path, num_arms: int, seeds: int, warned: bool) -> None:
    spec = make_spec(tmp_path, {f"arm{i}": CONSTANT for i in range(num_arms)}, seeds=seeds)
    found = warnings(spec, SIZES, ("torch",))
    assert [text.startswith("too few seeds") for text in found] == [True] * warned


def test_native_momentum_is_warned_about_with_two_backends_only(tmp_path: Path) -> None:
    arms = {"constant": CONSTANT, "clr": triangular(cycles=3)}
    native = make_spec(tmp_path, arms, optimizer={"name": "sgd", "momentum": 0.9})
    shared = make_spec(tmp_path, arms, optimizer={"name": "sgd", "momentum": 0.9, "update_rule": "shared"})
    (found,) = warnings(native, SIZES, ("torch", "keras"))
    assert "arm clr: torch and Keras apply momentum differently" in found
    assert warnings(native, SIZES, ("torch",)) == []
    assert warnings(shared, SIZES, ("torch", "keras")) == []


def test_a_schedule_that_does_not_fit_its_run_is_an_error_that_names_the_arm(tmp_path: Path) -> None:
    arms = {"a": CONSTANT, "b": {"schedule": {"name": "constant", "lr": 0.1, "warmup": "12 epochs"}}}
    with pytest.raises(SpecError) as caught:
        warnings(make_spec(tmp_path, arms), SIZES, ("torch",))
    assert caught.value.key[:2] == ("arms", "b")


def test_a_rate_that_sinks_below_float32_is_an_error_that_names_the_arm(tmp_path: Path) -> None:
    sinking = {"name": "exp_range_paper", "base_lr": 0.001, "max_lr": 0.1, "cycles": 3, "gamma": 0.9}
    with pytest.raises(SpecError) as caught:
        warnings(make_spec(tmp_path, {"a": CONSTANT, "b": {"schedule": sinking}}), SIZES, ("torch",))
    assert caught.value.key == ("arms", "b", "schedule")


def test_comparisons_follow_the_baselines(tmp_path: Path) -> None:
    arms = {"a": CONSTANT, "b": CONSTANT, "c": CONSTANT | {"baseline": "a"}}
    assert comparisons(make_spec(tmp_path, arms, baseline="b")) == [("a", "b"), ("c", "a")]
    assert comparisons(make_spec(tmp_path, {"a": CONSTANT})) == []


def test_budgets_are_compared_in_epochs_not_in_words(tmp_path: Path) -> None:
    cyclic = triangular(step_size="2 epochs")
    spec = make_spec(tmp_path, {"a": cyclic, "b": triangular(step_size="3 epochs")}, duration="3 cycles")
    (found,) = warnings(spec, SIZES, ("torch",))
    assert "arm b: confounded" in found
    assert "duration 18 epochs against 12 epochs" in found
    same = make_spec(tmp_path, {"a": CONSTANT, "b": CONSTANT | {"duration": "7200 steps"}})
    assert warnings(same, SIZES, ("torch",)) == []


def test_a_decay_that_no_rate_of_the_range_test_can_survive_is_an_error_before_the_test(tmp_path: Path) -> None:
    sinking = {"name": "exponential_decay", "lr": "range_test", "gamma": 1e-30}
    with pytest.raises(SpecError, match=r"allowed: 1\.18e-38 to") as caught:
        warnings(make_spec(tmp_path, {"a": CONSTANT, "b": {"schedule": sinking}}), SIZES, ("torch",))
    assert caught.value.key == ("arms", "b", "schedule")
