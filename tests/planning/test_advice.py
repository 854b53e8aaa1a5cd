"""What a spec is warned about, before anything is trained."""

import re
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


@pytest.mark.parametrize(
    ("milestones", "late"),
    [
        ({"6 epochs": 0.1, "9 epochs": 0.01}, []),
        ({"6 epochs": 0.1, "11.9 epochs": 0.01}, []),
        ({"6 epochs": 0.1, "12 epochs": 0.01}, ["12 epochs"]),
        ({"1000 steps": 0.1, "30000 steps": 0.01, "60000 steps": 0.001}, ["30000 steps", "60000 steps"]),
    ],
)
def test_milestones_past_the_end_are_warned_about(
    tmp_path: Path, milestones: dict[str, float], late: list[str]
) -> None:
    spec = make_spec(tmp_path, {"a": {"schedule": {"name": "piecewise", "lr": 0.1, "milestones": milestones}}})
    found = warnings(spec, SIZES, ("torch",))
    assert [text.partition(" is never")[0] for text in found] == [f"arm a: the milestone {length}" for length in late]


def test_a_stand_in_is_called_one(tmp_path: Path) -> None:
    data = {"dataset": "street_digits", "validation": "0 rows"}
    (found,) = warnings(make_spec(tmp_path, {"a": CONSTANT}, data=data), SIZES, ("torch",))
    assert found == ("data set street_digits is rendered, a stand-in for SVHN: this is not a result on SVHN")


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
        ({"step_size": "1 epochs"}, ["step size is 1 epoch;"]),
        (
            {"step_size": "12 epochs"},
            ["max_lr is never", "step size is 12 epochs", "0.5 cycles", "mid-cycle, after 0.5"],
        ),
        ({"step_size": "2 epochs"}, []),
        ({"step_size": "1 epochs", "step_size_down": "3 epochs"}, []),
        ({"step_size": "0.5 epochs", "step_size_down": "1 epochs"}, ["half a cycle is 0.75 epochs"]),
        ({"step_size": "1 epochs", "step_size_down": "4 epochs"}, ["2.4 cycles", "mid-cycle, after 2.4"]),
        ({"step_size": "2.5 epochs"}, ["2.4 cycles", "mid-cycle, after 2.4"]),
        ({"cycles": 2}, ["has 2 cycles"]),
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
    ("schedule", "expected"),
    [
        ({"name": "cosine_restarts", "lr": 0.1, "period": "4 epochs"}, None),
        ({"name": "cosine_restarts", "lr": 0.1, "period": "12 epochs"}, None),
        ({"name": "cosine_restarts", "lr": 0.1, "period": "4 epochs", "multiplier": 2}, None),
        ({"name": "cosine_restarts", "lr": 0.1, "period": "4 epochs", "warmup": "4 epochs"}, None),
        (
            {"name": "cosine_restarts", "lr": 0.1, "period": "5 epochs"},
            "mid-period, 1200 of 3000 steps after a restart",
        ),
        ({"name": "cosine_restarts", "lr": 0.1, "period": "13 epochs"}, "mid-period, 7200 of 7800 steps"),
        ({"name": "cosine_restarts", "lr": 0.1, "period": "3 epochs", "multiplier": 2}, "1800 of 7200 steps"),
        ({"name": "step_decay", "lr": 0.1, "factor": 0.1, "every": "11 epochs"}, None),
        (
            {"name": "step_decay", "lr": 0.1, "factor": 0.1, "every": "12 epochs"},
            "never steps: it would after 7200 steps",
        ),
        (
            {"name": "step_decay", "lr": 0.1, "factor": 0.1, "every": "9 epochs", "warmup": "4 epochs"},
            "ends after 4800",
        ),
    ],
)
def test_decays_that_end_too_early(tmp_path: Path, schedule: dict[str, Any], expected: str | None) -> None:
    found = warnings(make_spec(tmp_path, {"constant": CONSTANT, "decay": {"schedule": schedule}}), SIZES, ("torch",))
    assert len(found) == (expected is not None)
    assert all(text.startswith("arm decay: ") and expected and expected in text for text in found)


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


def of_rows(test_rows: int) -> DatasetSizes:
    return DatasetSizes(train_rows=1000, test_rows=test_rows, image_shape=(28, 28, 1))


FINE_MARGIN = {"data": {"dataset": "mnist", "validation": "100 rows"}}


def fine_margins(folder: Path, test_rows: int, arms: Any = None, **verdict: Any) -> list[str]:
    spec = make_spec(folder, arms or {"constant": CONSTANT, "other": CONSTANT}, verdict=verdict, **FINE_MARGIN)
    return [found for found in warnings(spec, of_rows(test_rows), ("torch",)) if found.startswith("verdict.margin")]


def test_a_margin_finer_than_a_row_is_warned_about_with_what_mends_it(tmp_path: Path) -> None:
    assert fine_margins(tmp_path, 300) == [
        "verdict.margin 0.001 is finer than one of the 300 test rows (1 / 300 is about 0.00334), so no arms can be called "
        "equivalent; take at least 1000 test rows, or a margin of at least 0.00334"
    ]


@pytest.mark.parametrize(
    ("test_rows", "verdict", "warned"),
    [
        (1000, {}, False),
        (999, {}, True),
        (10_000, {"margin": 0.0001}, False),
        (9_999, {"margin": 0.0001}, True),
        (10_000, {"margin": 0.00009}, True),
        (100, {"margin": 0.01}, False),
        (100, {"margin": 0.0}, False),  # asks for no "equivalent"
        (100, {"metric": "test_loss"}, False),
        (100, {"metric": "test_loss", "margin": 0.001}, False),
        (5000, {"metric": "validation_accuracy"}, True),  # of 100 validation rows
        (5000, {"metric": "validation_accuracy", "margin": 0.01}, False),
        (5000, {"metric": "train_accuracy"}, True),  # of 900 training rows
        (7, {"margin": 1 / 7}, False),
    ],
)
def test_a_margin_is_held_against_the_rows_of_its_own_split(
    tmp_path: Path, test_rows: int, verdict: dict[str, Any], warned: bool
) -> None:
    assert len(fine_margins(tmp_path, test_rows, **verdict)) == warned


def test_a_margin_without_a_comparison_is_not_warned_about(tmp_path: Path) -> None:
    assert fine_margins(tmp_path, 10, arms={"constant": CONSTANT}) == []


@pytest.mark.parametrize("test_rows", [3, 7, 10, 29, 81, 300, 333, 499, 666, 998])
def test_what_the_warning_advises_does_away_with_it(tmp_path: Path, test_rows: int) -> None:
    (found,) = fine_margins(tmp_path, test_rows)
    rows, margin = re.findall(r"at least ([0-9.e-]+)", found)
    assert fine_margins(tmp_path, int(rows)) == []
    assert fine_margins(tmp_path, test_rows, margin=float(margin)) == []
    assert float(margin) < 1.01 / test_rows
