"""Tables that other programs wrote, read strictly: CSV, TSV, JSON and JSON lines; every field as text, with its line."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clrbench.counted import counted
from clrbench.errors import SpecError

MAX_TABLE_BYTES = 200_000_000
MAX_LEVELS = 8
"""Of objects within objects."""
MAX_NAMES = 20
"""Columns that a message lists."""
MAX_SHOWN = 60
"""Characters of a line or a field that a message shows."""

_DELIMITERS = ",\t;|"
_INDEX = ""
"""What pandas calls the column of row numbers that it writes unasked."""
_NO_VALUE = {"", "na", "n/a", "null", "none", "-"}

_FOREIGN = {
    b"\xff\xfe": "is in UTF-16; save it as UTF-8",
    b"\xfe\xff": "is in UTF-16; save it as UTF-8",
    b"PK\x03\x04": "is an Excel file or an archive; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel file; save the table as CSV",
    b"\x1f\x8b": "is compressed; unpack it first",
    b"BZh": "is compressed; unpack it first",
    b"\xfd7zXZ": "is compressed; unpack it first",
    b"PAR1": "is a Parquet file; in Python: pandas.read_parquet(path).to_csv(other, index=False)",
    b"ARROW1": "is an Arrow file; in Python: pandas.read_feather(path).to_csv(other, index=False)",
    b"\x89HDF": "is an HDF5 file; save the table as CSV",
    b"\x93NUMPY": "is an array of numpy; save a table as CSV, with names of columns",
    b"SQLite format 3": "is a data base; save the table as CSV",
    b"\x80": "is a pickle or no text; in Python, where you trust it: pandas.read_pickle(path).to_csv(other, index=False)",
    b"<": "is HTML or XML; save the table as CSV",
}
"""First bytes of what is no table of text."""

ADVICE = "give a CSV, TSV or JSON lines file, one row per evaluation of a run"


@dataclass(frozen=True)
class OwnTable:
    """A table as text.

    Attributes:
        rows: A field a column; stripped, "" where there is none.
        lines: The line of each row, from 1 on; that of its number in a list, where the file is a JSON document.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def at(self, row: int) -> str:
        """Return file and line of a row, for a message."""
        return f"{self.path}:{self.lines[row]}"

    @property
    def listed(self) -> str:
        """The names of the columns, as a message shows them."""
        names = [_shown(name) for name in self.columns[:MAX_NAMES]]
        return ", ".join(
            [*names, f"and {len(self.columns) - MAX_NAMES} more"] if len(self.columns) > MAX_NAMES else names
        )

    def column(self, name: str) -> list[str]:
        """Return the fields of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def is_missing(field: str) -> bool:
    """Return whether a field stands for no value: empty, NA, null and the like; `nan` is a value."""
    return field.lower() in _NO_VALUE


def number(field: str) -> float | None:
    """Return a field as a number, nan and inf among them, or None."""
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None


def number_advice(field: str) -> str:
    """Return how to write what seems to be meant by a field that is no number; nothing where that is not known."""
    if "%" in field:
        return "; write 0.931 for 93.1 %"
    return "; write 0.5, not 0,5" if re.fullmatch(r"[+-]?[\d.]*,\d+", field) else ""


def read_own_table(path: Path) -> OwnTable:
    """Return a table that somebody else's program wrote.

    Raises:
        SpecError: If it cannot be read, or a row is damaged; the message has its line.
    """
    text = _text(path)
    start = text.lstrip()[:1]
    if path.suffix in {".json", ".jsonl", ".ndjson"} or start in {"{", "["}:
        return _from_json(path, text)
    return _from_csv(path, text)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise SpecError(f"{path}: there is no such file; {ADVICE}")
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise SpecError(f"{path}: got more than {MAX_TABLE_BYTES} bytes; {ADVICE}")
        raw = path.read_bytes()
    except OSError as err:
        raise SpecError(f"{path}: cannot be read ({err.strerror}); {ADVICE}") from err
    for start, what in _FOREIGN.items():
        if raw.startswith(start):
            raise SpecError(f"{path}: {what}; {ADVICE}")
    if (place := raw.find(b"\0")) >= 0:
        raise SpecError(f"{path}:{_line(raw, place)}: got a NUL byte, so the file is damaged or no text; {ADVICE}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise SpecError(
            f"{path}:{_line(raw, err.start)}: got a byte that is not UTF-8; save the file as UTF-8"
        ) from err


def _line(raw: bytes, place: int) -> int:
    return raw.count(b"\n", 0, place) + 1


def _from_csv(path: Path, text: str) -> OwnTable:
    header = next(iter(text.splitlines()), "")
    if header.startswith(("#", "sep=")):
        raise SpecError(f"{path}:1: got {_shown(header)}, which names no columns; remove this line")
    delimiter = "\t" if path.suffix == ".tsv" else max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        for fields in reader:
            rows.append(tuple(field.strip() for field in fields))
            lines.append(reader.line_num)
    except csv.Error as err:
        raise SpecError(f"{path}:{reader.line_num}: cannot be read as CSV ({err}); {ADVICE}") from err
    while rows and not any(rows[-1]) and len(rows[-1]) <= 1:  # blank lines at the end
        rows.pop()
        lines.pop()
    if not rows or not any(rows[0]):
        raise SpecError(f"{path}: got no header; allowed: a first line that names the columns; {ADVICE}")
    return checked_table(path, rows[0], rows[1:], lines[1:])


def checked_table(path: Path, names: Sequence[str], rows: Sequence[tuple[str, ...]], lines: Sequence[int]) -> OwnTable:
    """Return fields as a table; a SpecError where they make none, such as a row of another length or a name that stands twice."""
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            shown = _shown(",".join(row)) if any(row) else "a blank line"
            raise SpecError(
                f"{path}:{line}: got {counted(len(row), 'field')} ({shown}); allowed: {len(names)}, as the header has"
            )
    if not rows:
        raise SpecError(f"{path}: got no rows below the header; {ADVICE}")
    if names[0] == _INDEX and [row[0] for row in rows] == [str(index) for index in range(len(rows))]:
        names, rows = names[1:], [row[1:] for row in rows]
    seen: set[str] = set()
    for place, name in enumerate(names):
        if not name:
            raise SpecError(f"{path}:1: got no name for column {place + 1}; name every column in the first line")
        if name in seen:
            raise SpecError(f"{path}:1: got the column {_shown(name)} twice; name every column once")
        seen.add(name)
    return OwnTable(path, tuple(names), tuple(rows), tuple(lines))


def _from_json(path: Path, text: str) -> OwnTable:
    """Return a list of objects, an object of lists, or an object a line."""
    try:
        document = _loads(text)
    except (ValueError, RecursionError):
        return _from_objects(path, _lines_of_json(path, text))
    if isinstance(document, Mapping):
        inner = next(
            (document[key] for key in ("results", "history") if isinstance(document.get(key), Mapping)), document
        )
        if inner and all(isinstance(values, list) for values in inner.values()):
            return _from_lists(path, inner)
        _check_is_a_row(path, document)
        return _from_objects(path, [(1, document)])
    if isinstance(document, list):
        return _from_objects(path, list(enumerate(document, 1)))
    raise SpecError(f"{path}: got a single value; allowed: an object a line; {ADVICE}")


def _check_is_a_row(path: Path, document: Mapping[str, object]) -> None:
    """Raise SpecError where an object is a table turned round, as pandas writes it unless told otherwise."""
    parts = [part for part in document.values() if isinstance(part, Mapping)]
    if len(parts) < len(document) or len(parts) < 2 or len(parts[0]) < 2:
        return
    if all(part.keys() == parts[0].keys() for part in parts):
        raise SpecError(
            f"{path}: got an object of objects; allowed: a list of objects, one a row (pandas: to_json(path, "
            f"orient='records')); {ADVICE}"
        )


def _lines_of_json(path: Path, text: str) -> Iterator[tuple[int, object]]:
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            yield line, _loads(content)
        except (ValueError, RecursionError) as err:
            raise SpecError(f"{path}:{line}: cannot be read as JSON ({err}); {ADVICE}") from err


def _loads(text: str) -> object:
    """Return a JSON value whose numbers are text; a key that stands twice is an error."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice")
        return found

    value: object = json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=once)
    return value


def _from_objects(path: Path, objects: Iterable[tuple[int, object]]) -> OwnTable:
    """Return objects as rows; those within them are taken apart: `{"config": {"seed": 1}}` has the column `config.seed`."""
    names: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    for line, content in objects:
        fields = list(_flat(path, line, content)) if isinstance(content, Mapping) else []
        row = dict(fields)
        if not row:
            raise SpecError(f"{path}:{line}: got {_shown(str(content))}; allowed: an object, such as {{...}}; {ADVICE}")
        if len(row) < len(fields):
            raise SpecError(f"{path}:{line}: got a field twice, once within an object; name every field once")
        names = names or tuple(row)
        for name in names:
            if name not in row:
                raise SpecError(
                    f"{path}:{line}: has no {_shown(name)}, as the first row has; give every field in every row"
                )
        for name in row:
            if name not in names:
                raise SpecError(f"{path}:{line}: got the field {_shown(name)}, which the first row has not")
        rows.append(tuple(_field(row[name]) for name in names))
        lines.append(line)
    if not rows:
        raise SpecError(f"{path}: got no rows; {ADVICE}")
    return checked_table(path, names, rows, lines)


def _from_lists(path: Path, columns: Mapping[str, list[object]]) -> OwnTable:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{_shown(name)} {length}" for name, length in lengths.items())
        raise SpecError(f"{path}: got lists of different lengths ({said}); give every column as many values")
    names = tuple(columns)
    rows = [tuple(map(_field, row)) for row in zip(*columns.values(), strict=True)]
    return checked_table(path, names, rows, range(1, len(rows) + 1))


def _flat(path: Path, line: int, content: Mapping[str, object], start: str = "") -> Iterator[tuple[str, object]]:
    """Yield the fields of an object, those of objects within it under `outer.inner`."""
    if start.count(".") > MAX_LEVELS:
        raise SpecError(f"{path}:{line}: got objects within objects, more than {MAX_LEVELS} deep; {ADVICE}")
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(path, line, value, f"{start}{key}.")
        else:
            yield f"{start}{key}", value


def _field(value: object) -> str:
    """Return a value as text; a list, which no column that is used may hold, as JSON."""
    if value is None:
        return ""
    return str(value).strip() if isinstance(value, str | bool) else json.dumps(value)


def _shown(text: str) -> str:
    safe = text if text.isprintable() else ascii(text)[1:-1]
    return safe if len(safe) <= MAX_SHOWN else f"{safe[:MAX_SHOWN]}..."
