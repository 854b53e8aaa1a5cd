"""Learning rates from a CSV file, and the short text that a resolved spec keeps of them."""

import base64
import binascii
import csv
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import AfterValidator

from clrbench.records import DoubleArray
from clrbench.spec.rates import MAX_RATE, MIN_RATE

MAX_TABLE_ROWS = 100_000
"""So many, packed, fit into a spec."""

MAX_PATH = 1000
_COLUMNS = ["step", "lr"]
ALLOWED = "a CSV file with the columns step and lr, one row per update, steps 0, 1, 2, ... or 1, 2, 3, ..."


def read_rate_file(path: Path) -> DoubleArray:
    """Return the rate of every update that a CSV file lists, float64[rows].

    Raises:
        ValueError: If it cannot be read, or a line is not what `ALLOWED` says; the message names the line.
    """
    try:
        if not path.is_file():
            raise ValueError(f"{ALLOWED}; there is no such file ({path})")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return np.array(_rates(enumerate(csv.reader(file, strict=True), 1)), np.float64)
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise ValueError(f"{ALLOWED}; {path.name} cannot be read ({err})") from err


def _rates(rows: Iterator[tuple[int, list[str]]]) -> list[float]:
    """Return the second column of numbered rows; no field of them may hold a line break."""
    _, names = next(rows, (1, []))
    header = [name.strip() for name in names]
    if header != _COLUMNS:
        raise ValueError(f"{ALLOWED}; its first line is {','.join(header)[:80]!r}")
    rates: list[float] = []
    first = 0
    for line, row in rows:
        where = f"line {line} is {','.join(row)[:80]!r}"
        if len(row) != len(_COLUMNS):
            raise ValueError(f"{ALLOWED}; {where}")
        try:
            step, rate = int(row[0]), float(row[1])
        except ValueError as err:
            raise ValueError(f"{ALLOWED}; {where}") from err
        first = first if rates else step
        if first not in {0, 1} or step != first + len(rates):
            raise ValueError(f"{ALLOWED}; {where}")
        if not MIN_RATE <= rate <= MAX_RATE:
            raise ValueError(f"rates from {MIN_RATE:g} to {MAX_RATE:g}; {where}")
        if len(rates) == MAX_TABLE_ROWS:
            raise ValueError(f"at most {MAX_TABLE_ROWS} rows")
        rates.append(rate)
    if not rates:
        raise ValueError(f"{ALLOWED}; it has no row")
    return rates


def packed(rates: DoubleArray) -> str:
    """Return rates as text: float32, like bytes together, zlib, base64."""
    planes = np.asarray(rates, "<f4").view(np.uint8).reshape(-1, 4).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()


@lru_cache(maxsize=16)
def unpacked(text: str) -> DoubleArray:
    """Return the rates that `packed` made a text of, float64[rows].

    Raises:
        ValueError: If it made no such text.
    """
    try:
        unzip = zlib.decompressobj()
        content = unzip.decompress(base64.b64decode(text, validate=True), 4 * MAX_TABLE_ROWS + 1)
        planes = np.frombuffer(content, np.uint8).reshape(4, -1)
        if not unzip.eof:
            raise ValueError
    except (binascii.Error, zlib.error, ValueError) as err:
        raise ValueError("what clrbench packed from the file; leave this key out") from err
    rates = np.ascontiguousarray(planes.T).view("<f4").ravel().astype(np.float64)
    rates.flags.writeable = False
    return rates


def _check_packed(text: str) -> str:
    unpacked(text)
    return text


PackedRates: TypeAlias = Annotated[str, AfterValidator(_check_packed)]
