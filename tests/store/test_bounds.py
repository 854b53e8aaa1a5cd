"""Bounds read back from bounds.json as they were written, and a file of another shape is named."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from clrbench.errors import ResultsError
from clrbench.rates import Rates, Tried
from clrbench.store import ResultsFolder
from clrbench.store.bounds import BOUNDS_FILE, bounds_to_json, read_bounds

ANSWER = Rates(
    base_lr=0.0305,
    max_lr=0.827,
    constant_lr=0.159,
    triangle_base_lr=0.0305,
    caveats=("read off a curve", "from few rows"),
    sweep_base_lr=0.0012,
    sweep_max_lr=0.8,
    limits=(0.001, 3.0),
    updates=900,
    seed_max_lr={1000000: 0.854, 1000001: None, 7: 0.1 + 0.2},
    loss_rules={"steepest": 0.0785, "valley": None, "minimum_tenth": 1e-07},
)
TRIED = Tried(0.1, (1, 2), 300, 0.25, 0.91, 0.01)
CONFIRMED = replace(
    ANSWER,
    confirmed=True,
    num_steps=300,
    found=True,
    finds=(replace(TRIED, collapsed=(1,)),),
    constants=(TRIED, replace(TRIED, lr=0.178, loss=math.inf, collapsed=(1, 2))),
    triangles=(replace(TRIED, lr=0.3),),
)
REFUSAL = Rates(reason="no rise: sweep to a higher rate")

KEYS = [
    "base_lr",
    "max_lr",
    "constant_lr",
    "triangle_base_lr",
    "reason",
    "caveats",
    "sweep_base_lr",
    "sweep_max_lr",
    "confirmed",
    "updates",
    "limits",
    "found",
    "finds",
    "seed_max_lr",
    "loss_rules",
    "confirmation",
]


@pytest.mark.parametrize("rates", [ANSWER, REFUSAL, CONFIRMED], ids=["answer", "refusal", "confirmed"])
def test_rates_read_back_as_they_were_written(tmp_path: Path, rates: Rates) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write_bounds({"torch": rates, "keras": REFUSAL})
    found = folder.bounds()
    assert found == {"torch": rates, "keras": REFUSAL}
    assert list(found) == ["torch", "keras"]
    assert read_bounds(tmp_path / BOUNDS_FILE) == found


def test_the_same_rates_leave_the_file_as_it_is_and_others_replace_it(tmp_path: Path) -> None:
    folder, path = ResultsFolder(tmp_path), tmp_path / BOUNDS_FILE
    folder.write_bounds({"torch": ANSWER})
    before = path.stat()
    folder.write_bounds({"torch": ANSWER})
    assert (path.stat().st_ino, path.stat().st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    folder.write_bounds({"torch": REFUSAL})
    assert read_bounds(path) == {"torch": REFUSAL}


def test_a_link_to_the_same_rates_is_replaced(tmp_path: Path) -> None:
    folder, path = ResultsFolder(tmp_path), tmp_path / BOUNDS_FILE
    folder.write_bounds({"torch": ANSWER})
    path.symlink_to(path.rename(tmp_path / "elsewhere"))
    folder.write_bounds({"torch": ANSWER})
    assert not path.is_symlink()


def test_accuracies_that_nobody_knows_read_back_as_nan(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write_bounds({"torch": replace(CONFIRMED, constants=(replace(TRIED, accuracy=math.nan),))})
    assert b"NaN" not in (tmp_path / BOUNDS_FILE).read_bytes()
    (tried,) = folder.bounds()["torch"].constants
    assert math.isnan(tried.accuracy)


def test_keys_stand_in_their_order_and_trainings_under_confirmation() -> None:
    written = json.loads(bounds_to_json({"torch": ANSWER, "keras": CONFIRMED}))
    assert list(written) == ["torch", "keras"]
    assert [list(content) for content in written.values()] == [KEYS, KEYS]
    assert written["torch"]["confirmation"] is None
    confirmation = written["keras"]["confirmation"]
    assert list(confirmation) == ["num_steps", "constants", "triangles"]
    assert confirmation["constants"][1] == {
        "lr": 0.178,
        "seeds": [1, 2],
        "num_steps": 300,
        "loss": None,
        "accuracy": 0.91,
        "error": 0.01,
        "collapsed": [1, 2],
    }
    assert written["torch"]["seed_max_lr"] == {"1000000": 0.854, "1000001": None, "7": 0.1 + 0.2}


def test_what_is_refused_is_null_with_its_reason() -> None:
    written = json.loads(bounds_to_json({"torch": REFUSAL}))["torch"]
    assert (written["base_lr"], written["max_lr"], written["constant_lr"]) == (None, None, None)
    assert written["reason"] == "no rise: sweep to a higher rate"


def test_without_a_file_there_are_no_bounds(tmp_path: Path) -> None:
    assert ResultsFolder(tmp_path).bounds() == {}
    assert ResultsFolder(tmp_path / "missing").bounds() == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "got no JSON object"),
        ('{"torch": 3}', "is not what clrbench writes"),
        ('{"torch": []}', "is not what clrbench writes"),
        ('{"torch": {}}', "is not what clrbench writes"),
        ('{"torch": {"base_lr": 0.1, "max_lr": 1.0}}', "is not what clrbench writes"),
        ('{"runs": {"torch": ["a"]}, "checksum": "0"}', "is not what clrbench writes"),
    ],
)
def test_a_file_of_another_shape_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / BOUNDS_FILE).write_text(content)
    with pytest.raises(ResultsError, match=rf"bounds\.json: {message}.*; remove this file and run clrbench range-test"):
        ResultsFolder(tmp_path).bounds()


@pytest.mark.parametrize("key", ["limits", "seed_max_lr", "finds", "confirmation", "an unknown one"])
def test_an_entry_of_another_shape_is_named(tmp_path: Path, key: str) -> None:
    content = json.loads(bounds_to_json({"torch": ANSWER}))
    content["torch"][key] = 3
    (tmp_path / BOUNDS_FILE).write_text(json.dumps(content))
    with pytest.raises(ResultsError, match=r"bounds\.json: is not what clrbench writes"):
        ResultsFolder(tmp_path).bounds()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / BOUNDS_FILE)
    with pytest.raises(ResultsError, match=r"bounds\.json: cannot be read .it is not a regular file"):
        ResultsFolder(tmp_path).bounds()
