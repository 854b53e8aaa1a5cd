"""Bounds read back from bounds.json as they were written, and a file of another shape is named."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from clrbench.errors import ResultsError
from clrbench.records import Bounds, HalfLengthBounds, StoppedSweep
from clrbench.store import ResultsFolder
from clrbench.store.bounds import BOUNDS_FILE, bounds_to_json, read_bounds

ANSWER = Bounds(
    base_lr=0.0305,
    max_lr=0.827,
    constant_lr=0.159,
    seeds=2,
    accuracy="train_accuracy",
    seed_base_lr=(0.03, None),
    seed_max_lr=(0.854, 0.1 + 0.2),
    loss_rules={"steepest": 0.0785, "valley": None, "minimum_tenth": 1e-07},
    stopped=(StoppedSweep(1, "the loss of update 3 is nan"), StoppedSweep(0, "the loss of update 9 is 25, past 23.03")),
)
REFUSAL = Bounds(base_lr=None, max_lr=None, reason="no rise: sweep to a higher rate", seeds=1, seed_base_lr=(None,))
HALF = HalfLengthBounds(base_lr=0.02, max_lr=0.4, reason=None, holds=False)
REFUSED_HALF = HalfLengthBounds(base_lr=None, max_lr=None, reason="no rise: sweep to a higher rate", holds=False)

KEYS = [
    "base_lr",
    "max_lr",
    "reason",
    "constant_lr",
    "seeds",
    "accuracy",
    "seed_base_lr",
    "seed_max_lr",
    "loss_rules",
    "stopped",
    "caveats",
]


@pytest.mark.parametrize(
    "bounds",
    [ANSWER, REFUSAL, replace(ANSWER, half_length=HALF), replace(REFUSAL, half_length=REFUSED_HALF)],
    ids=["answer", "refusal", "answer with half length", "refusal with half length"],
)
def test_bounds_read_back_as_they_were_written(tmp_path: Path, bounds: Bounds) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write_bounds({"torch": bounds, "keras": REFUSAL})
    found = folder.bounds()
    assert found == {"torch": bounds, "keras": REFUSAL}
    assert list(found) == ["torch", "keras"]
    # As tuples, not lists: a record can be hashed and compared.
    assert isinstance(found["torch"].seed_max_lr, tuple)
    assert read_bounds(tmp_path / BOUNDS_FILE) == found


def test_keys_stand_in_their_order_and_half_length_only_where_it_was_measured() -> None:
    written = json.loads(bounds_to_json({"torch": ANSWER, "keras": replace(ANSWER, half_length=HALF)}))
    assert list(written) == ["torch", "keras"]
    assert list(written["torch"]) == KEYS
    assert list(written["keras"]) == [*KEYS, "half_length"]
    assert list(written["keras"]["half_length"]) == ["base_lr", "max_lr", "reason", "holds"]
    assert list(written["torch"]["stopped"][0]) == ["seed", "reason"]
    assert list(written["torch"]["loss_rules"]) == ["steepest", "valley", "minimum_tenth"]


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


@pytest.mark.parametrize("key", ["seed_base_lr", "seed_max_lr", "stopped", "half_length", "an unknown one"])
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
