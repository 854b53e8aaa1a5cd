"""From YAML text to plain data, and the line of each key."""

import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import yaml

from clrbench.errors import SpecError

KeyPath: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 1_000_000
"""Size of a spec file; a longer one is taken for a mistake."""
MAX_NODES, MAX_DEPTH = 20_000, 50
"""Entries and levels once aliases are followed, by which a short text can stand for billions of entries."""
MAX_WRITTEN_NODES = 25_000
"""Keys and values of the text itself; to read all that a megabyte can hold would take seconds."""
MAX_LISTED = 30
"""Messages shown about one file."""
MAX_SHOWN = 80
"""Characters shown of a key or a value in a message."""
MAX_PROBLEM = 200
"""Characters shown of what PyYAML says, which may quote the file at length."""

_START = "`clrbench init` writes a spec to start from"
_BARE_SEED = re.compile(r"""\{[^"']*\{seed\}""")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class _Reader(yaml.SafeLoader):
    """PyYAML's safe loader, which names the line of every value that it cannot make sense of, and gives up early."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._num_nodes = 0

    def fetch_more_tokens(self) -> None:
        try:
            super().fetch_more_tokens()
        # PyYAML leaves these uncaught on "\U00110000" and on a `%YAML` version of thousands of digits; which of the two it
        # is, and for which number, depends on the version of Python.
        except (ValueError, OverflowError) as err:
            raise yaml.scanner.ScannerError(None, None, self._unreadable(), self.get_mark()) from err

    def _unreadable(self) -> str:
        """Return what stands where the scanner gave up, and what may stand there."""
        if self.buffer[self.pointer - 2 : self.pointer] == r"\U":
            escape = r"\U" + self.prefix(8)
            return rf"got the escape {escape}, which stands for no character; allowed: at most \U0010FFFF"
        return f"got {shortened(ascii(self.prefix(MAX_SHOWN + 1)))}; allowed: a number of few digits"

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._num_nodes += 1
        if self._depth > MAX_DEPTH or self._num_nodes > MAX_WRITTEN_NODES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            problem = f"more than {MAX_NODES} entries or {MAX_DEPTH} levels"
            raise yaml.composer.ComposerError(None, None, problem, mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int):
                float(value)  # raises on a number too large for arithmetic
            if isinstance(value, bytes | set):  # which pydantic would take for text, and for a list
                raise ValueError
        # PyYAML leaves these uncaught on values such as `2024-99-99`, `!!bool x` and `!!int ""`.
        except (ValueError, LookupError, AttributeError, OverflowError) as err:
            problem = f"a value that cannot be read as {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from err
        return value


def read_yaml(path: Path) -> tuple[object, dict[KeyPath, int]]:
    """Return the content of a YAML file, and the line (from 1) of every key and list item in it.

    Raises:
        SpecError: If the file is missing, too large, not UTF-8 or not YAML, or holds a key twice or one that is not text.
    """
    text = _read_text(path)
    try:
        loader = _Reader(text)
    except yaml.reader.ReaderError as err:
        line = text.count("\n", 0, err.position) + 1
        raise _not_yaml(path, line, f"the character U+{err.character:04X} is not allowed") from err
    try:
        node = loader.get_single_node()
        lines = {} if node is None else _lines(path, node)
        return (None if node is None else loader.construct_document(node)), lines
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 1
        raise _not_yaml(path, line, str(err.problem), _advice(text, line)) from err
    finally:
        loader.dispose()


def write_yaml(data: Mapping[str, object]) -> str:
    """Return plain data as YAML text, keys in the order given."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def locate(path: Path, lines: Mapping[KeyPath, int], key: KeyPath, text: str) -> str:
    """Return a message with its file, line and key (empty: the whole spec) in front.

    A key that is missing gets the line of the part that should hold it.
    """
    known = next((key[:length] for length in range(len(key), -1, -1) if key[:length] in lines), ())
    dotted = "".join(map(_shown, key)).removeprefix(".")
    return f"{path}:{lines.get(known, 1)}: {dotted or 'spec'}: {text}"


def _shown(key: str | int) -> str:
    if isinstance(key, str) and re.fullmatch(rf"[\w-][\w.-]{{0,{MAX_SHOWN}}}", key, re.ASCII):
        return f".{key}"
    return f"[{shortened(ascii(key))}]"


def shortened(text: str, longest: int = MAX_SHOWN) -> str:
    """Return a text, cut to `longest` characters."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def _printable(text: str) -> str:
    return shortened(text if text.isprintable() else ascii(text))


def listed(found: Iterable[str]) -> str:
    """Return messages as one text, a line each, without duplicates and at most `MAX_LISTED` of them."""
    lines = list(dict.fromkeys(found))
    more = [f"... and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else []
    return "\n".join([*lines[:MAX_LISTED], *more])


def _not_yaml(path: Path, line: int, problem: str, advice: str = _START) -> SpecError:
    return SpecError(f"{path}:{line}: not valid YAML ({shortened(problem, MAX_PROBLEM)}); {advice}")


def _advice(text: str, line: int) -> str:
    """Return what to do about a line that is no YAML; within braces the placeholder of a command must stand in quotes."""
    there = text.splitlines()[line - 1 : line]
    return "put what holds {seed} in quotes" if any(_BARE_SEED.search(one) for one in there) else _START


def _read_text(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a pipe that nobody writes to never ends
            raise SpecError(f"{path}: cannot be read (not a regular file); give the path of a YAML file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise SpecError(f"{path}: got more than {MAX_BYTES} bytes; a spec has at most so many")
        return raw.decode()
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "not UTF-8 text"
        raise SpecError(f"{path}: cannot be read ({reason}); give the path of a YAML file") from err


def _lines(path: Path, root: yaml.Node) -> dict[KeyPath, int]:
    lines: dict[KeyPath, int] = {(): root.start_mark.line + 1}
    waiting: list[tuple[KeyPath, yaml.Node]] = [((), root)]
    while waiting:
        parent, node = waiting.pop()
        if len(lines) > MAX_NODES or len(parent) > MAX_DEPTH:
            limit = f"{MAX_NODES} entries or {MAX_DEPTH} levels"
            raise SpecError(f"{path}: got more than {limit} once its aliases are followed; write a smaller spec")
        entries: list[tuple[str | int, int, yaml.Node]]
        if isinstance(node, yaml.MappingNode):
            entries = [(_key(path, parent, key), key.start_mark.line + 1, value) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            entries = [(i, item.start_mark.line + 1, item) for i, item in enumerate(node.value)]
        else:
            continue
        for name, line, value in entries:
            child = (*parent, name)
            if child in lines:
                again = f"got this key twice; allowed: once (it is already on line {lines[child]})"
                raise SpecError(locate(path, {child: line}, child, again))
            lines[child] = line
            waiting.append((child, value))
    return lines


def _key(path: Path, parent: KeyPath, key: yaml.Node) -> str:
    text = str(key.value)
    if key.tag not in {_TEXT, _MERGE}:
        got = _printable(text) if isinstance(key, yaml.ScalarNode) else "[...]"
        kind = _printable(key.tag.rpartition(":")[2])
        problem = f"got the key {got}, which YAML reads as {kind}; allowed: text, in quotes if need be"
    elif _SURROGATE.search(text):  # which pydantic cannot put into an error
        got = shortened(ascii(text))
        problem = f"got the key {got}, which holds half a character; allowed: text, in quotes if need be"
    else:
        return text
    raise SpecError(locate(path, {parent: key.start_mark.line + 1}, parent, problem))
