"""A look is written and read back as it was, and what is none is told apart."""

import json
from typing import Any

import pytest
from store_samples import sample_look

from clrbench.store.look import is_look, look_from_json, look_to_json

LOOK = sample_look(0, 1, 2, index=2, status="pending", comparisons=("clr - constant", "third - constant"))


@pytest.mark.parametrize("look", [LOOK, sample_look(), sample_look(7, margin=0.0, alpha=1e-9, status="free")])
def test_a_look_reads_back_as_it_was_written(look: Any) -> None:
    content = json.loads(json.dumps(look_to_json(look)))
    assert is_look(content)
    assert look_from_json(content) == look


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backend", 1),
        ("metric", None),
        ("margin", "0.001"),
        ("alpha", None),
        ("asked_seeds", 3),
        ("asked_seeds", ["0"]),
        ("comparisons", [1]),
        ("shown_seeds", {"0": 1}),
        ("runs", 3),
        ("num_pairs", [6]),
        ("index", "1"),
        ("status", "paid"),
        ("status", ["free"]),
        ("another", 1),
    ],
)
def test_anything_else_is_no_look(name: str, value: Any) -> None:
    content = look_to_json(LOOK)
    assert not is_look({**content, name: value})
    assert not is_look({key: content[key] for key in list(content)[1:]})


@pytest.mark.parametrize("content", [None, 3, "a", [], {}, [0, 1]], ids=str)
def test_what_is_no_object_with_the_keys_of_a_look_is_none(content: Any) -> None:
    assert not is_look(content)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"status": "free", "index": 3}, True),
        ({"comparisons": ("renamed - constant",)}, True),
        ({"backend": "keras"}, False),
        ({"metric": "test_loss"}, False),
        ({"margin": 0.002}, False),
        ({"alpha": 0.01}, False),
        ({"asked_seeds": (0, 1, 2, 3)}, False),
        ({"runs": "others"}, False),
        ({"num_pairs": 2}, False),
    ],
    ids=str,
)
def test_a_look_is_the_same_where_the_same_numbers_answer_the_same_question(
    change: dict[str, Any], is_same: bool
) -> None:
    others = {"comparisons": LOOK.comparisons, "index": 2, "status": "pending"}
    assert LOOK.is_same_as(sample_look(0, 1, 2, **{**others, **change})) is is_same
