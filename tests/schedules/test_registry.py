"""What holds for every schedule that a spec can name."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from schedule_cases import ARGUMENTS, INFINITY, NAN, NUM_STEPS, equal, refuses
from specs import write_spec

import clrbench
from clrbench.schedules import SCHEDULES

GOLDEN: list[tuple[str, int, dict[str, Any], list[float]]] = [
    ("constant", 4, {"lr": 0.03}, [0.03, 0.03, 0.03, 0.03]),
    (
        "triangular",
        10,
        {"base_lr": 0.1, "max_lr": 0.5, "step_size": 4},
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1, 0.2],
    ),
    ("triangular", 5, {"base_lr": 0.1, "max_lr": 0.5, "step_size": 1}, [0.1, 0.5, 0.1, 0.5, 0.1]),
    (
        "triangular",
        6,
        {"base_lr": 0.1, "max_lr": 0.5, "step_size": 2.5},
        [0.1, 0.26, 0.42, 0.42, 0.26, 0.1],
    ),
    (
        "triangular2",
        13,
        {"base_lr": 0.1, "max_lr": 0.9, "step_size": 2},
        [0.1, 0.5, 0.9, 0.5, 0.1, 0.3, 0.5, 0.3, 0.1, 0.2, 0.3, 0.2, 0.1],
    ),
    (
        "exp_range",
        7,
        {"base_lr": 1.0, "max_lr": 3.0, "step_size": 2, "gamma": 0.5},
        [1.0, 1.5, 1.5, 1.125, 1.0, 1.03125, 1.03125],
    ),
    (
        "exp_range_paper",
        6,
        {"base_lr": 1.0, "max_lr": 3.0, "step_size": 2, "gamma": 0.5},
        [1.0, 1.0, 0.75, 0.25, 0.0625, 0.0625],
    ),
    (
        "one_cycle",
        7,
        {"max_lr": 1.0, "pct_start": 3 / 7, "div_factor": 4, "final_div_factor": 10, "anneal": "linear"},
        [0.25, 0.625, 1.0, 0.75625, 0.5125, 0.26875, 0.025],
    ),
    (
        "one_cycle",
        5,
        {"max_lr": 1.0, "pct_start": 0.6, "div_factor": 4, "final_div_factor": 10, "anneal": "cos"},
        [0.25, 0.625, 1.0, 0.5125, 0.025],
    ),
    ("linear_decay", 5, {"lr": 0.5, "end_lr": 0.1}, [0.5, 0.4, 0.3, 0.2, 0.1]),
    ("linear_decay", 3, {"lr": 1.0}, [1.0, 0.5005, 0.001]),
    ("linear_decay", 1, {"lr": 1.0}, [1.0]),
    (
        "cosine",
        5,
        {"lr": 1.0, "end_lr": 0.2},
        [1.0, 0.882842712474619, 0.6, 0.317157287525381, 0.2],
    ),
    ("cosine", 3, {"lr": 1.0}, [1.0, 0.5005, 0.001]),
    ("cosine", 1, {"lr": 1.0}, [1.0]),
    ("step_decay", 7, {"lr": 0.8, "factor": 0.5, "every_steps": 3}, [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]),
    (
        "exponential_decay",
        6,
        {"lr": 0.8, "gamma": 0.25, "steps_per_epoch": 2},
        [0.8, 0.4, 0.2, 0.1, 0.05, 0.025],
    ),
    (
        "cosine_restarts",
        7,
        {"lr": 1.0, "end_lr": 0.2, "period_steps": 3},
        [1.0, 0.8, 0.4, 1.0, 0.8, 0.4, 1.0],
    ),
    (
        "cosine_restarts",
        9,
        {"lr": 1.0, "end_lr": 0.2, "period_steps": 1, "multiplier": 3},
        [1.0, 1.0, 0.8, 0.4, 1.0, 0.975877048314363, 0.9064177772475912, 0.8, 0.669459271066772],
    ),
    ("cosine_restarts", 3, {"lr": 1.0, "period_steps": 2}, [1.0, 0.5005, 1.0]),
    (
        "triangular",
        9,
        {"base_lr": 0.1, "max_lr": 0.5, "step_size": 1, "step_size_down": 4},
        [0.1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.5, 0.4, 0.3],
    ),
    (
        "triangular2",
        7,
        {"base_lr": 0.1, "max_lr": 0.5, "step_size": 2, "step_size_down": 1},
        [0.1, 0.3, 0.5, 0.1, 0.2, 0.3, 0.1],
    ),
    ("piecewise", 6, {"lr": 0.4, "milestones": {2: 0.5, 5: 2.0}}, [0.4, 0.4, 0.2, 0.2, 0.2, 0.8]),
    ("piecewise", 3, {"lr": 0.4, "milestones": {1: 0.5, 3: 0.1}}, [0.4, 0.2, 0.2]),
    ("table", 3, {"rates": (0.5, 0.1, 0.3)}, [0.5, 0.1, 0.3]),
    ("polynomial", 5, {"lr": 1.0, "end_lr": 0.2, "power": 2}, [1.0, 0.65, 0.4, 0.25, 0.2]),
    ("polynomial", 3, {"lr": 1.0}, [1.0, 0.5005, 0.001]),
    ("polynomial", 1, {"lr": 1.0, "power": 3}, [1.0]),
    ("wsd", 6, {"lr": 1.0, "end_lr": 0.2, "decay_share": 0.35}, [1.0, 1.0, 1.0, 1.0, 0.6, 0.2]),
    (
        "wsd",
        5,
        {"lr": 1.0, "end_lr": 0.2, "decay_share": 1.0, "shape": "sqrt"},
        [1.0, 0.6, 0.434314575050762, 0.307179676972449, 0.2],
    ),
    ("wsd", 4, {"lr": 1.0, "end_lr": 0.2, "decay_share": 0.5, "shape": "cosine"}, [1.0, 1.0, 0.6, 0.2]),
    ("wsd", 4, {"lr": 1.0, "decay_share": 0.01}, [1.0, 1.0, 1.0, 0.001]),
    ("wsd", 1, {"lr": 1.0}, [1.0]),
]


@pytest.mark.parametrize(("name", "num_steps", "arguments", "expected"), GOLDEN)
def test_schedule_equals_its_golden_table(
    name: str, num_steps: int, arguments: dict[str, Any], expected: list[float]
) -> None:
    equal(SCHEDULES[name].make(num_steps, **arguments), expected)


def test_registry_holds_the_kinds_of_the_spec_under_their_own_names() -> None:
    assert list(SCHEDULES) == list(ARGUMENTS)
    assert [kind.make.__name__ for kind in SCHEDULES.values()] == list(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_kind_makes_float64_rates_that_are_normal_as_float32(name: str) -> None:
    table = SCHEDULES[name].make(NUM_STEPS, **ARGUMENTS[name])
    assert table.shape == (NUM_STEPS,)
    assert table.dtype == np.float64
    assert table.astype(np.float32).min() >= np.finfo(np.float32).tiny


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if "lr" in ARGUMENTS[name]])
def test_whole_numbers_as_rates_still_make_float64(name: str) -> None:
    table = SCHEDULES[name].make(7, **{**ARGUMENTS[name], "lr": 1})
    assert table.dtype == np.float64
    np.testing.assert_array_equal(table, SCHEDULES[name].make(7, **{**ARGUMENTS[name], "lr": 1.0}))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_kind_takes_its_arguments_by_keyword_only(name: str) -> None:
    first, *others = inspect.signature(SCHEDULES[name].make).parameters.values()
    assert first.name == "num_steps"
    assert {parameter.kind for parameter in others} == {inspect.Parameter.KEYWORD_ONLY}


NO_RATES = (0.0, -0.1, NAN, INFINITY)
NO_LENGTHS = (0, -3, NAN, INFINITY)
NO_FACTORS = (0.0, -0.5, 1.0001, NAN, INFINITY)
CYCLIC = ("triangular", "triangular2", "exp_range", "exp_range_paper")
DECAYS = ("linear_decay", "cosine", "cosine_restarts", "polynomial", "wsd")

# Kinds, an argument of theirs, values that it cannot have, and what the message calls allowed.
OUT_OF_RANGE: list[tuple[tuple[str, ...], str, tuple[Any, ...], str]] = [
    (("constant", "piecewise", *DECAYS, "step_decay", "exponential_decay"), "lr", NO_RATES, "a finite number > 0"),
    (CYCLIC, "base_lr", NO_RATES, "a finite number > 0"),
    (CYCLIC, "max_lr", (0.00099, -1.0, NAN, INFINITY), "a finite number >= base_lr (0.001)"),
    (CYCLIC, "step_size", (0, -3, 0.99, NAN, INFINITY), "a finite number of steps >= 1"),
    (CYCLIC, "step_size_down", (0, -3, 0.99, NAN, INFINITY), "a finite number of steps >= 1"),
    (("polynomial",), "power", (0, -1, 101, NAN, INFINITY), "a number > 0 and <= 100"),
    (("wsd",), "decay_share", NO_FACTORS, "a number > 0 and <= 1"),
    (("wsd",), "shape", ("root",), "linear, cosine or sqrt"),
    (("piecewise",), "milestones", ({},), "at least one step and its factor"),
    (("table",), "rates", (), "any"),
    (("exp_range", "exp_range_paper", "exponential_decay"), "gamma", NO_FACTORS, "a number > 0 and <= 1"),
    (("one_cycle",), "max_lr", NO_RATES, "a finite number > 0"),
    (("one_cycle",), "pct_start", (0.0, 1.0, -0.3, NAN), "in (0, 1), both excluded"),
    (("one_cycle",), "div_factor", (0.99, -25.0, NAN, INFINITY), "a finite number >= 1"),
    (("one_cycle",), "final_div_factor", (0.99, -1e4, NAN, INFINITY), "a finite number >= 1"),
    (("one_cycle",), "anneal", ("cosine",), "cos or linear"),
    (DECAYS, "end_lr", (0.0, -0.1, 0.11, NAN, INFINITY), "a number > 0 and <= lr (0.1)"),
    (("step_decay",), "factor", NO_FACTORS, "a number > 0 and <= 1"),
    (("step_decay",), "every_steps", NO_LENGTHS, "a finite number of steps >= 1"),
    (("exponential_decay",), "steps_per_epoch", NO_LENGTHS, "a finite number of steps >= 1"),
    (("cosine_restarts",), "period_steps", NO_LENGTHS, "a finite number of steps >= 1"),
    (("cosine_restarts",), "multiplier", (0, -2, NAN, INFINITY), "a finite number >= 1"),
]


@pytest.mark.parametrize(
    ("name", "argument", "value", "allowed"),
    [
        (name, argument, value, allowed)
        for names, argument, values, allowed in OUT_OF_RANGE
        for name in names
        for value in values
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(name: str, argument: str, value: Any, allowed: str) -> None:
    arguments = {**ARGUMENTS[name], argument: value}
    refuses(f"{argument}: got {value}; allowed: {allowed}", lambda: SCHEDULES[name].make(1000, **arguments))


def test_every_argument_of_every_kind_is_tried_out_of_range() -> None:
    # What is wrong within a table or with one milestone is tried in test_basic.py.
    tried = {(name, argument) for names, argument, _, _ in OUT_OF_RANGE for name in names}
    arguments = {
        (name, argument) for name in SCHEDULES for argument in inspect.signature(SCHEDULES[name].make).parameters
    }
    assert tried == {(name, argument) for name, argument in arguments if argument != "num_steps"}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("num_steps", [0, -5])
def test_a_table_of_no_steps_is_refused(name: str, num_steps: int) -> None:
    message = f"num_steps: got {num_steps}; allowed: a finite number of steps >= 1"
    refuses(message, lambda: SCHEDULES[name].make(num_steps, **ARGUMENTS[name]))


ONE_FILE = '''
"""A schedule that clrbench does not have."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from clrbench.records import DoubleArray
from clrbench.schedules.registry import Factor, register


@register("Jumps between two rates.")
def square(
    num_steps: int,
    *,
    lr: float,
    factor: Factor = 0.5,
    half_steps: int,
    lift: Annotated[float, Ge(0)] = 0.0,
    start: Literal["high", "low"] = "high",
) -> DoubleArray:
    """Return the table."""
    is_low = (np.arange(num_steps) // half_steps + (start == "low")) % 2 == 1
    return np.where(is_low, lr * factor, lr) + lift
'''

ONE_LINE = "from clrbench.schedules.waves import square as square\n"

USE = """
import pickle, sys
from pathlib import Path
from clrbench.data import DatasetSizes
from clrbench.errors import SpecError
from clrbench.planning.runs import training_runs
from clrbench.spec import Clock, json_schema, load_spec

runs = training_runs(load_spec(Path(sys.argv[1])).spec, DatasetSizes(1_000, 100, (2, 2, 1)), ("torch",), {})
(run,) = pickle.loads(pickle.dumps(runs))
print(run.schedule.table(Clock(run.steps_per_epoch, run.num_steps)).round(3).tolist())
print(run.model_dump(mode="json")["schedule"]["half"])
print(json_schema()["$defs"]["Square"]["description"])
try:
    load_spec(Path(sys.argv[2]))
except SpecError as err:
    print(err)
"""


def test_a_schedule_is_one_file_and_one_line(tmp_path: Path) -> None:
    """Put both into a copy of the package, and go from a spec to the table."""
    ignored = shutil.ignore_patterns("__pycache__", "*.gz")
    package = shutil.copytree(Path(clrbench.__file__).parent, tmp_path / "clrbench", ignore=ignored)
    (package / "schedules" / "waves.py").write_text(ONE_FILE, encoding="utf-8")
    with (package / "schedules" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(ONE_LINE)
    schedule = {"name": "square", "lr": 0.1, "half": "0.25 epochs", "start": "low", "lift": 1, "warmup": "1 step"}
    arguments = []
    for folder, changes in (("good", {}), ("bad", {"factor": 1.5})):
        (tmp_path / folder).mkdir()
        arm = {"schedule": {**schedule, **changes}}
        data = {"dataset": "mnist", "validation": "200 rows"}
        path = write_spec(tmp_path / folder, data=data, duration="9 steps", seeds=[0], arms={"only": arm})
        arguments.append(str(path))
    child = subprocess.run(
        [sys.executable, "-c", USE, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout.splitlines() == [
        "[0.525, 1.05, 1.05, 1.1, 1.1, 1.05, 1.05, 1.1, 1.1]",
        "0.25 epochs",
        "Jumps between two rates.",
        f"{arguments[1]}:18: arms.only.schedule.factor: got 1.5; allowed: a number of at most 1",
    ], child.stderr


def test_tables_need_no_pydantic() -> None:
    code = "import sys, clrbench.schedules as s; s.constant(9, lr=1); print('pydantic' in sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.stdout == "False\n", child.stderr
