"""The texts that the code holds, cut into sentences."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PLACEHOLDER = "X"
"""Stands for whatever a text takes in: a number, a name or a short list."""
MIN_WORDS = 6
"""Below, a text is a label or a part of one."""


def sentences_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each sentence of the texts in a module, docstrings left out, with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if id(node) in docstrings | inside or not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        for sentence in split(_text(node)):
            if len(sentence.split()) >= MIN_WORDS:
                yield node.lineno, sentence


def split(text: str) -> list[str]:
    """Return the sentences of a text; a semicolon ends one, and so does a line."""
    return re.split(r"(?<=[.;?!])\s+|\n+", text)


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return re.sub(r"\{[^}]*\}", PLACEHOLDER, node.value) if isinstance(node.value, str) else ""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else _inner(part) for part in node.values)


def _inner(part: ast.expr) -> str:
    """Return the longest text that a placeholder may stand for, as far as its own code says it."""
    texts = [node.value for node in ast.walk(part) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    longest = max(texts, key=lambda text: len(text.split()), default="")
    return longest if len(longest.split()) > 1 else PLACEHOLDER
