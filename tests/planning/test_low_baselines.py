"""Baselines that may lose by their rate alone, before anything is trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specs import read_spec

from clrbench.data import DatasetSizes
from clrbench.planning.advice import warnings
from clrbench.planning.low_baselines import MAX_RATIO, MeanRates, is_known, low_baseline_warnings
from clrbench.spec import Spec

SIZES = DatasetSizes(train_rows=60_000, test_rows=10_000, image_shape=(28, 28, 1))
FAR = "more than half a decade below"


def constant(lr: Any, **arm: Any) -> dict[str, Any]:
    return {"schedule": {"name": "constant", "lr": lr}, **arm}


def clr(base_lr: float, max_lr: float, **arm: Any) -> dict[str, Any]:
    return {"schedule": {"name": "triangular", "base_lr": base_lr, "max_lr": max_lr, "cycles": 3}, **arm}


def make_spec(folder: Path, arms: dict[str, Any]) -> Spec:
    data = {"dataset": "mnist", "validation": "5000 rows"}
    return read_spec(folder, data=data, duration="12 epochs", seeds=10, arms=arms).spec


def low(folder: Path, **arms: Any) -> list[str]:
    return [text for text in warnings(make_spec(folder, arms), SIZES, ("torch", "keras")) if FAR in text]


def test_both_rates_and_the_factor_are_named_and_what_to_do(tmp_path: Path) -> None:
    (found,) = low(tmp_path, base=constant(0.01), clr=clr(0.01, 0.1))
    assert found == (
        f"baseline base trains at a mean rate of 0.01, {FAR} clr (0.055, 5.5 times as high): it may lose by its rate alone; "
        "tune it (lr: [...]), or give it a higher rate"
    )


def test_a_baseline_is_warned_about_once_with_every_candidate_that_lies_far_above_it(tmp_path: Path) -> None:
    (found,) = low(tmp_path, base=constant(0.01), near=constant(0.03), clr=clr(0.01, 0.1), far=constant(1))
    assert "clr (0.055, 5.5 times as high), far (1, 100 times as high): it may" in found
    assert "near" not in found


@pytest.mark.parametrize(
    ("baseline", "candidate", "warned"),
    [
        (0.01, 0.0316, False),
        (0.01, 0.0317, True),
        (0.1, 0.01, False),
        (0.1, 0.1, False),
        ({"value": 0.01, "steps": 9}, 0.1, True),
        (0.01, {"value": 0.1, "steps": 9}, True),
    ],
)
def test_more_than_half_a_decade_is_far(baseline: Any, candidate: Any, warned: bool, tmp_path: Path) -> None:
    assert bool(low(tmp_path, base=constant(baseline), other=constant(candidate))) is warned


def test_what_a_range_test_or_a_search_has_yet_to_find_is_no_matter_of_planning(tmp_path: Path) -> None:
    ranged = {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 3}}
    assert low(tmp_path, base=constant("range_test"), clr=clr(0.5, 1)) == []
    assert low(tmp_path, base=constant(1e-6), clr=ranged) == []
    assert low(tmp_path, base=constant(1e-6), tuned=constant([0.1, 0.2])) == []
    (given,) = low(tmp_path, base=constant([1e-6, 0.1]), clr=clr(0.01, 0.1))
    assert given.startswith("baseline base@1e-06 trains at a mean rate of 1e-06")
    assert given.endswith("go by the verdict against base, which is tuned")
    spec = make_spec(tmp_path, {"base": constant([1e-6, 0.1]), "clr": clr(0.01, 0.1), "found": constant("range_test")})
    known = {label: is_known(spec, label) for label in ("base@1e-06", "base", "clr", "found")}
    assert known == {"base@1e-06": True, "base": False, "clr": True, "found": False}


def test_rates_of_two_optimizers_are_not_compared(tmp_path: Path) -> None:
    adam = {"optimizer": {"name": "adam"}}
    assert low(tmp_path, base=constant(0.001, **adam), sgd=constant(0.1)) == []
    assert len(low(tmp_path, base=constant(0.001, **adam), other=constant(0.1, **adam))) == 1


def test_a_cyclic_baseline_and_one_of_an_arms_own_are_warned_about_by_the_key_of_their_rate(tmp_path: Path) -> None:
    found = low(tmp_path, first=constant(1), base=clr(0.001, 0.002), fast=constant(0.1, baseline="base"))
    (text,) = [text for text in found if text.startswith("baseline base ")]
    assert "tune it (max_lr: [...]), or give it a higher rate" in text


def test_a_tuned_baseline_is_told_to_look_at_its_tries(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"base": constant([0.01, 0.1]), "clr": clr(0.5, 1)})
    (text,) = low_baseline_warnings(spec, [MeanRates("clr", "base", 0.75, 0.01)])
    assert text.endswith("list higher rates for it, unless search.csv shows that such were tried")
    at_limit = MeanRates("clr", "base", MAX_RATIO, 1.0)
    assert list(low_baseline_warnings(spec, [at_limit, MeanRates("clr", "base", np.nan, 0.01)])) == []


def test_the_arms_of_a_script_may_have_optimizers_of_their_own(tmp_path: Path) -> None:
    train = {"command": "python train.py {seed}", "steps_per_epoch": 10}
    arms = {"base": constant(0.01), "clr": clr(0.01, 0.1)}
    unseen = dict.fromkeys(["data", "model", "batch_size"])
    spec = read_spec(tmp_path, **unseen, train=train, duration="12 epochs", seeds=10, arms=arms).spec
    (found,) = (text for text in warnings(spec, SIZES, ("script",)) if FAR in text)
    assert "it may lose by its rate alone, if the script uses one optimizer for both; tune it" in found
