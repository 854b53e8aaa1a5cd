"""A user's own data from a function of theirs: `package.module:function` or `/path/of/file.py:function`.

A function that is not there, or returns no data set, is a MisfitError; one that cannot be imported or called, a DataError.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

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
from clrbench.data.refusal import misfit
from clrbench.data.unread import unread_validation
from clrbench.errors import DataError
from clrbench.own_code import Code
from clrbench.records import Remarks

_ALLOWED = (
    "allowed: a mapping with the numpy arrays x_train, y_train, x_test, y_test (and x_validation, y_validation), or "
    "((x_train, y_train), (x_test, y_test)) of them"
)


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
    code = _code(reference, base)
    with code.at_home():
        function = code.find()
        with code.running("calling it"):
            result = function()
        return _take(code, result, how)


def _code(reference: str, base: Path) -> Code:
    return Code(reference, base, misfit, DataError)


def _take(code: Code, result: object, how: Reading) -> Content:
    reference = code.reference
    values: dict[str, object] | None = None
    names: list[str] = []
    with code.running("reading what it returned"):
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
        advice = f"split off rows for testing: data: {{dataset: {reference}, test: 20 %}}; or return them as well"
        raise misfit(f"{reference}: returned no {' and no '.join(missing)}; {advice}")
    found = guess_names(names)
    line = ", ".join(f"{key!r}: data[{name!r}]" for key, name in found.items())
    advice = f"return {{{line}}}" if {"x_train", "y_train"} <= found.keys() else _ALLOWED
    raise misfit(f"{reference}: returned a mapping without {', '.join(missing)}; {advice}")
