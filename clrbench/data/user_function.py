"""A user's own data from a function of theirs: `package.module:function` or `/path/of/file.py:function`.

A function that is not there, or returns no data set, is a MisfitError; one that cannot be imported or called, a DataError.
"""

import contextlib
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np

from clrbench.data.content import ARRAY_NAMES, Arrays, DatasetSizes, measure_arrays
from clrbench.data.refusal import misfit, shown
from clrbench.errors import DataError

_ALLOWED = (
    "allowed: a mapping with the numpy arrays x_train, y_train, x_test, y_test, or "
    "((x_train, y_train), (x_test, y_test)) of them"
)


def is_reference(dataset: str) -> bool:
    """Return whether a spec names a function of the user's own, such as `./file.py:function`."""
    source, colon, function = dataset.rpartition(":")
    return bool(source and colon) and function.isidentifier()


def measure(reference: str) -> DatasetSizes:
    """Return how large the data set of a function is, which calls it unless `read` has done so just before."""
    return measure_arrays(reference, read(reference))


@lru_cache(maxsize=1)
def read(reference: str) -> Arrays:
    """Return the arrays of a function as they are; it is called once as long as no other is asked for."""
    function = _find(reference)
    with _user_code(reference, "calling it"):
        result = function()
    return _take(reference, result)


def split_reference(reference: str) -> tuple[str, str]:
    """Return the module, or the path of the file, and the function that a reference names."""
    source, _, function = reference.rpartition(":")
    is_module = all(part.isidentifier() for part in source.split("."))
    if not function.isidentifier() or not (source.endswith(".py") or is_module):
        raise misfit(f"got {reference!r}; allowed: package.module:function, or path/of/file.py:function")
    return source, function


def _find(reference: str) -> Callable[[], object]:
    source, name = split_reference(reference)
    module = _import_file(reference, Path(source)) if source.endswith(".py") else _import_module(reference, source)
    with _user_code(reference, "looking for it"):
        function: Callable[[], object] | None = getattr(module, name, None)
    if not callable(function):
        got = "no such function" if function is None else f"a {type(function).__name__}, which cannot be called"
        raise misfit(f"{reference}: got {got} in {source}; allowed: the name of a function without arguments")
    return function


def _import_module(reference: str, name: str) -> ModuleType:
    try:
        with _user_code(reference, "importing it"):
            return importlib.import_module(name)
    except DataError as err:
        missing = err.__cause__.name if isinstance(err.__cause__, ModuleNotFoundError) else None
        if missing is None or not f"{name}.".startswith(f"{missing}."):
            raise
        raise misfit(
            f"{reference}: no module {missing} is installed; install its package, or name its file: "
            "path/of/file.py:function"
        ) from err


def _import_file(reference: str, file: Path) -> ModuleType:
    name = f"clrbench_user_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise misfit(f"{reference}: the file {file} does not exist; create it, or correct the path")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a module up by its name, also while it is imported
    usual, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no folder of bytecode beside the user's file
    try:
        with _user_code(reference, "importing it"):
            spec.loader.exec_module(module)
    except DataError:
        del sys.modules[name]
        raise
    finally:
        sys.dont_write_bytecode = usual
    return module


@contextlib.contextmanager
def _user_code(reference: str, doing: str) -> Iterator[None]:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the answer alone
            yield
    except (Exception, SystemExit) as err:  # a user's code can raise anything
        text = f"SyntaxError: {err}" if isinstance(err, SyntaxError) else "".join(traceback.format_exception_only(err))
        got = shown(text.strip(), max_characters=1000)
        raise DataError(f"{reference}: {doing} raised {got}; run it by itself to see where") from err


def _take(reference: str, result: object) -> Arrays:
    values: dict[str, object] | None = None
    with _user_code(reference, "reading what it returned"):
        match result:
            case Mapping():
                values = {key: result[key] for key in ARRAY_NAMES if key in result}
            case ((x_train, y_train), (x_test, y_test)):
                values = dict(zip(ARRAY_NAMES, (x_train, y_train, x_test, y_test), strict=True))
    if values is None:
        raise misfit(f"{reference}: returned a {type(result).__name__} of another form; {_ALLOWED}")
    missing = [key for key in ARRAY_NAMES if key not in values]
    if missing:
        raise misfit(f"{reference}: returned a mapping without {', '.join(missing)}; {_ALLOWED}")
    arrays: Arrays = {}
    for key, value in values.items():
        if not isinstance(value, np.ndarray):
            raise misfit(
                f"{reference}: {key}: got a {type(value).__name__}; allowed: a numpy array; convert it with numpy.asarray"
            )
        arrays[key] = value
    return arrays
