"""How data is refused: with a DataError where it is damaged, and a MisfitError where sizes, types or names do not fit."""

import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clrbench.errors import DataError, MisfitError

DECODING_ERRORS: tuple[type[Exception], ...] = (
    *(OSError, EOFError, MemoryError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(SyntaxError, RuntimeError, struct.error, zlib.error, tokenize.TokenError, zipfile.BadZipFile, tarfile.TarError),
)
"""What numpy, scipy, Pillow, zipfile and tarfile raise on damaged content; none of them promises less."""

MAX_PATH_CHARACTERS = 4096


def misfit(message: str) -> MisfitError:
    """Return the error for data whose sizes or types do not fit; it points at the key of the spec that names the data."""
    return MisfitError(message, key=("data", "dataset"))


@contextmanager
def decoding(path: Path | str, advice: str, kind: str = "", also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn whatever a library raises on damaged content, errors of its own (`also`) included, into a DataError.

    Its message says what the file should be, such as `a .tar.gz`, and ends with what is allowed, or what to do.
    """
    try:
        yield
    except (*DECODING_ERRORS, *also) as err:
        expected = f" as {kind}" if kind else ""
        raise DataError(f"{shown_path(path)}: cannot be read{expected} ({reason(err)}); {advice}") from err


def reason(err: Exception) -> str:
    """Return what an error says, or its kind where it says nothing, as a message may show it."""
    return shown(err) or type(err).__name__


def shown(text: object, max_characters: int = 200) -> str:
    """Return text from a file as a message may show it: cut, and with nothing that a terminal acts on."""
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text)[:max_characters])
    return plain if len(str(text)) <= max_characters else f"{plain}..."


def shown_path(path: Path | str) -> str:
    """Return a path as a message may show it; whoever made the data chose the names in it."""
    return shown(path, MAX_PATH_CHARACTERS)
