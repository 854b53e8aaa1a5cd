"""What a script is told of its run."""

from pathlib import Path

import pytest

from clrbench.errors import SpecError
from clrbench.planning.script import check_program, told_arm
from clrbench.planning.trials import trial_label
from clrbench.planning.tuning import at_rate
from clrbench.rates import Run
from clrbench.spec.train import Train

FINDS = "range-test"


ARMS = [
    "constant",
    "clr",
    "a-b.c_d",
    "300-steps",
    "range-test",
    "range-test-2",
    "range-test-fast",
    "find",
    "triangular",
]


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("rate", [1.0, 3e-5, 0.1, 1e-30, "range_test mean"])
def test_a_try_is_told_the_arm_that_it_is_a_try_of(arm: str, rate: float | str) -> None:
    assert told_arm(arm, "runs") == arm
    assert told_arm(at_rate(arm, rate), "search") == arm


@pytest.mark.parametrize(("stage", "kind"), [("find", "constant"), ("confirm", "constant"), ("confirm", "triangular")])
@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("rate", [1.0, 3e-5, 1e-30])
def test_a_training_that_finds_rates_is_told_so(stage: str, kind: str, attempt: int, rate: float) -> None:
    run = Run(kind=kind, seed=0, num_steps=300, low=rate / 10, high=rate)
    assert told_arm(trial_label(stage, attempt, run), "range test") == FINDS
    assert told_arm(trial_label("sweep", attempt, run), "range test") == FINDS


def test_a_program_that_is_not_executable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("true\n")
    train = Train.model_validate({"command": "./train.sh {seed}", "steps_per_epoch": 2})
    with pytest.raises(SpecError, match=r"\./train.sh is not executable; chmod \+x ./train.sh, or put sh before it"):
        check_program(train, tmp_path)
