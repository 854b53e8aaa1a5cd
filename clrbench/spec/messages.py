"""From pydantic's errors to messages that say where, what was got and what is allowed."""

import difflib
from collections.abc import Callable, Iterable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from clrbench.spec.reader import KeyPath, shortened


def nearest(value: object, names: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the name closest to `value`, whatever its case, or an empty text."""
    by_lower_case = {name.lower(): name for name in names}
    found = difflib.get_close_matches(value.lower(), by_lower_case, n=1) if isinstance(value, str) else []
    return f"; did you mean {by_lower_case[found[0]]!r}?" if found else ""


def messages(error: ValidationError, data: object) -> list[tuple[KeyPath, str]]:
    """Return the key and the message of each error that pydantic found in `data`."""
    return [_message(details, data) for details in error.errors(include_url=False)]


def _message(details: ErrorDetails, data: object) -> tuple[KeyPath, str]:
    path, got = _follow(details["loc"], data)
    if details["loc"][-1:] == ("[key]",):
        got = details["loc"][-2]
    if details["type"] == "string_pattern_mismatch":
        return path, _got(got, ALLOWED["string_pattern_mismatch"], show=ascii)  # letters that only look like a to z
    context = details.get("ctx", {})
    match details["type"]:
        case "unknown_key":
            key, allowed = context["key"], context["allowed"]
            owner = f" of {_name(got)}" if _has_name(path) else ""
            return (*path, key), f"unknown key{owner}; allowed: {', '.join(allowed)}{nearest(key, allowed)}"
        case "at_key":
            path = (*path, *context["key"])
            return path, _got(_value_at(path, data), context["allowed"])
        case "at_name":
            path = (*path, *context["key"])
            return path, _got(path[-1], context["allowed"])
        case "missing":
            return (*path, *details["loc"][-1:]), "is missing; add it"
        case "union_tag_not_found":
            return (*path, "name"), "is missing; add it"
        case "union_tag_invalid":
            path, got = (*path, "name"), _name(got)
            names = context["expected_tags"].replace("'", "").split(", ")
            return path, _got(got, f"{', '.join(names)}{nearest(got, names)}")
        case "literal_error":
            names = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return path, _got(got, f"{', '.join(names)}{nearest(got, names)}")
        case kind if kind in ALLOWED:
            return path, _got(got, ALLOWED[kind].format(**context))
        case _:
            return path, _got(got, details["msg"].removeprefix("Value error, "))


ALLOWED = {
    "greater_than": "a number greater than {gt:.12g}",
    "greater_than_equal": "a number of at least {ge:.12g}",
    "less_than": "a number less than {lt:.12g}",
    "less_than_equal": "a number of at most {le:.12g}",
    "finite_number": "a finite number",
    **dict.fromkeys(["float_type", "float_parsing"], "a number"),
    **dict.fromkeys(["int_type", "int_parsing", "int_from_float"], "a whole number"),
    "bool_type": "true or false",
    "string_type": "text, in quotes if need be",
    "string_unicode": "text",
    "string_pattern_mismatch": "a name of at most 100 letters, digits, '.', '_' and '-', not starting with '.'",
    **dict.fromkeys(["dict_type", "model_type", "model_attributes_type"], "a mapping of keys to values"),
    "tuple_type": "a list",
    "too_long": "at most {max_length} entries",
}


def _got(value: object, allowed: str, show: Callable[[object], str] = repr) -> str:
    match value:
        case dict():
            text = f"the keys {', '.join(map(ascii, value))}" if value else "no keys"
        case None:
            text = "nothing"
        case bool():
            text = str(value).lower()
        case str() | list():
            text = show(value)
        case _:
            text = str(value)
    return f"got {shortened(text)}; allowed: {allowed}"


def _name(part: object) -> object:
    return part["name"] if isinstance(part, dict) else None


def _value_at(path: KeyPath, data: object) -> object:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _has_name(path: Sequence[str | int]) -> bool:
    """Return whether the value at a path says by its `name` which further keys it may hold."""
    return len(path) in {1, 3} and path[-1] in {"model", "optimizer", "schedule"}


def _follow(location: tuple[str | int, ...], data: object) -> tuple[KeyPath, object]:
    """Return the path of keys that are really there, and the value they lead to.

    Pydantic's locations also hold the names of union members, which no file holds as keys.
    """
    path: list[str | int] = []
    for key in location:
        if _has_name(path) and isinstance(data, dict) and key == data.get("name"):
            continue
        if (isinstance(data, dict) and key in data) or (isinstance(data, list) and isinstance(key, int)):
            path.append(key)
            data = data[key]  # type: ignore[index]
    return tuple(path), data
