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

from clrbench.data.content import (
    ARRAY_NAMES,
    VALIDATION_NAMES,
    Arrays,
    Content,
    DatasetSizes,
    array_names,
    measure_arrays,
    refuse_test_arrays,
    validation_names,
)
from clrbench.data.foreign import guess_names
from clrbench.data.reading import AS_IT_IS, Reading
from clrbench.data.refusal import misfit, shown
from clrbench.data.unread import unread_validation
from clrbench.errors import DataError
from clrbench.records import Remarks

_PREFIX = "clrbench_user_"

_ALLOWED = (
    "allowed: a mapping with the numpy arrays x_train, y_train, x_test, y_test (and x_validation, y_validation), or "
    "((x_train, y_train), (x_test, y_test)) of them"
)


def is_reference(dataset: str) -> bool:
    """Return whether a spec names a function of the user's own, such as `./file.py:function`."""
    source, colon, function = dataset.rpartition(":")
    return bool(source and colon) and function.isidentifier()


def measure(reference: str, base: Path = Path(), how: Reading = AS_IT_IS) -> DatasetSizes:
    """Return how large the data set of a function is, which calls it unless `read` has done so just before."""
    return measure_arrays(reference, read(reference, base, how), how)


def read(reference: str, base: Path = Path(), how: Reading = AS_IT_IS) -> Arrays:
    """Return the arrays of a function as they are; see `content`."""
    return content(reference, base, how).arrays


@lru_cache(maxsize=1)
def content(reference: str, base: Path = Path(), how: Reading = AS_IT_IS) -> Content:
    """Return the arrays of a function as they are, and what of them is not read.

    It is called once as long as no other is asked for.
    While it is imported and called, its relative paths start from the folder `base`, and what lies beside its file can be
    imported, as if it were run there.
    """
    source, _ = split_reference(reference)
    beside = Path(source).parent.resolve() if source.endswith(".py") else base.resolve()
    with _at_home(reference, base, beside):
        function = _find(reference)
        with _user_code(reference, "calling it"):
            result = function()
        return _take(reference, result, how)


@contextlib.contextmanager
def _at_home(reference: str, base: Path, beside: Path) -> Iterator[None]:
    """Be in one folder, and import from another, for a while; no folder of bytecode is left in it."""
    path, modules, writes = sys.path.copy(), set(sys.modules), sys.dont_write_bytecode
    try:
        home = contextlib.chdir(base)
        home.__enter__()
    except OSError as err:
        raise DataError(f"{reference}: the folder {base} cannot be entered ({err.strerror})") from err
    sys.path.insert(0, str(beside))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path[:] = path
        home.__exit__(None, None, None)
        # Another file may have another module of the same name beside it.
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(beside) and not name.startswith(_PREFIX):
                del sys.modules[name]


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
    name = f"{_PREFIX}{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise misfit(f"{reference}: the file {file} does not exist; create it, or correct the path")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a module up by its name, also while it is imported
    try:
        with _user_code(reference, "importing it"):
            spec.loader.exec_module(module)
    except DataError:
        del sys.modules[name]
        raise
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


def _take(reference: str, result: object, how: Reading) -> Content:
    values: dict[str, object] | None = None
    names: list[str] = []
    with _user_code(reference, "reading what it returned"):
        match result:
            case Mapping():
                names = [str(key) for key in result]
                values = {key: result[key] for key in (*ARRAY_NAMES, *VALIDATION_NAMES) if key in result}
            case ((x_train, y_train), (x_test, y_test)):
                values = dict(zip(ARRAY_NAMES, (x_train, y_train, x_test, y_test), strict=True))
            case (x_train, y_train):
                values = {"x_train": x_train, "y_train": y_train}
    if values is None:
        raise misfit(f"{reference}: returned a {type(result).__name__} of another form; {_ALLOWED}")
    _check_names(reference, values, names, how)
    validation_names(reference, values)
    arrays: Arrays = {}
    for key, value in values.items():
        if not isinstance(value, np.ndarray):
            raise misfit(
                f"{reference}: {key}: got a {type(value).__name__}; allowed: a numpy array; convert it with numpy.asarray"
            )
        arrays[key] = value
    return Content(arrays, Remarks(warned=unread_validation(names, verb="return")))


def _check_names(reference: str, values: Mapping[str, object], names: list[str], how: Reading) -> None:
    missing = [key for key in array_names(how) if key not in values]
    if not missing:
        if how.splits:
            refuse_test_arrays(reference, values)
        return
    if set(missing) == {"x_test", "y_test"}:
        advice = f"have rows split off for testing: data: {{dataset: {reference}, test: 20 %}}; or return them as well"
        raise misfit(f"{reference}: returned no {' and no '.join(missing)}; {advice}")
    found = guess_names(names)
    line = ", ".join(f"{key!r}: data[{name!r}]" for key, name in found.items())
    advice = f"return {{{line}}}" if {"x_train", "y_train"} <= found.keys() else _ALLOWED
    raise misfit(f"{reference}: returned a mapping without {', '.join(missing)}; {advice}")
