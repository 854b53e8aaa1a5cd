"""Numbers of things: one is in the singular, wherever a message names a number."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clrbench.counted import counted

PACKAGE = Path(__file__).parents[1] / "clrbench"

NOUNS = (
    "arms|batches|bytes|classes|columns|comparisons|curves|cycles|decades|epochs|experiments|fields|files|folders|frames|"
    "images|jobs|labels|layers|lines|machines|minutes|networks|pairs|points|processes|rates|repetitions|rows|runs|samples|"
    "seconds|seeds|steps|sweeps|targets|threads|trials|updates|values|weights|workers"
)
AFTER = re.compile(rf" ((?!(?:{NOUNS}|of|that|takes|over|whose|tells)\b)[a-z]+ ){{0,2}}(?P<noun>{NOUNS})\b")

ALLOWED = {
    # A range, from 0 to so many.
    "{num_steps - 1} steps",
    "{high} epochs",
    # More than 1 by what was asked before.
    "{_needed(evidence)} seeds",
    "{repetitions} stretches",
    "{1 / pct_start} steps",
    "{times} times",
    "{max_bytes} bytes",
    "{decades:.1f} decades",
    "{100 * margin} points",
    # The name of a split, of an arm or of a kind, and no number.
    "{split} rows",
    "{name} rows",
    "{split_name} rows",
    "{dataset} has test rows",
    "{_some(classes)} are the classes",
    "{plain(metric)} values",
    "{kind} of encoded images",
}


def numbers_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each `{number} things` of the texts in a module that is not written by `counted`, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                    found = AFTER.match(str(text.value))
                    if found:
                        yield node.lineno, f"{{{ast.unparse(value.value)}}}{found[0]}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for placeholder in re.finditer(r"\{\w+(:[^}]*)?\}", node.value):
                found = AFTER.match(node.value, placeholder.end())
                if found:
                    yield node.lineno, placeholder[0] + found[0]


def test_no_message_names_a_number_of_things_by_itself() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in numbers_of(path)
        if text not in ALLOWED and not re.match(r"\{(_?[A-Z]|counted\()", text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ('f"got {n} rows"', ["{n} rows"]),
        ('f"got {n:.3g} training rows of {m} classes"', ["{n} training rows", "{m} classes"]),
        ('"after {steps} updates".format(steps=1)', ["{steps} updates"]),
        ("f\"{counted(n, 'row')} of the rows\"", []),
        ('f"{name} tells the rows apart"', []),
        ('f"{n} rowing boats"', []),
    ],
)
def test_numbers_are_found_however_a_text_is_written(tmp_path: Path, code: str, texts: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(f"text = {code}")
    assert [text for _, text in numbers_of(path)] == texts


@pytest.mark.parametrize(
    ("number", "noun", "form", "text"),
    [
        (0, "run", "", "0 runs"),
        (1, "run", "", "1 run"),
        (2, "run", "", "2 runs"),
        (1, "class", "", "1 class"),
        (3, "class", "", "3 classes"),
        (2, "batch", "", "2 batches"),
        (2, "training row", "", "2 training rows"),
        (1.0, "epoch", ".3g", "1 epoch"),
        (1.0004, "epoch", ".3g", "1 epoch"),
        (1.5, "epoch", ".3g", "1.5 epochs"),
        (0.1, "epoch", ".3g", "0.1 epochs"),
        (11, "step", "", "11 steps"),
        (10_000, "step", ",", "10,000 steps"),
    ],
)
def test_one_thing_is_in_the_singular(number: float, noun: str, form: str, text: str) -> None:
    assert counted(number, noun, form) == text
