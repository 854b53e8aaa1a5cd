"""Every text that the code holds is made of sentences that can be read at one go."""

from pathlib import Path

import pytest
from sentences import sentences_of, split

from clrbench.report.answer import MAX_SENTENCE_WORDS

PACKAGE = Path(__file__).parents[1] / "clrbench"


def test_no_sentence_that_is_printed_is_long() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {sentence}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, sentence in sentences_of(path)
    ]
    assert len(found) > 300
    assert [text for text in found if len(text.partition(": ")[2].split()) > MAX_SENTENCE_WORDS] == []


@pytest.mark.parametrize(
    ("code", "sentences"),
    [
        ('"one two three four five six"', ["one two three four five six"]),
        ('f"one {a} three four five " "six; seven"', ["one X three four five six;"]),
        ('f"{why} three four five six seven"', ["X three four five six seven"]),
        ("""f"{'one two' if a else ''} three four five six\"""", ["one two three four five six"]),
        ('"{what} two three four five six".format(what=1)', ["X two three four five six"]),
        ('def f():\n    """One two three four five six."""', []),
        ('"one two three"', []),
    ],
)
def test_sentences_are_found_however_a_text_is_written(tmp_path: Path, code: str, sentences: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(code if code.startswith("def") else f"text = {code}")
    assert [sentence for _, sentence in sentences_of(path)] == sentences


def test_a_semicolon_and_a_line_end_a_sentence() -> None:
    assert split("One; two. Three?\nfour, 1.5: five") == ["One;", "two.", "Three?", "four, 1.5: five"]
