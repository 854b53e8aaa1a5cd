"""What every part of a spec is made with: its base model, errors about a key, and reading it from a YAML file."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from clrbench.errors import SpecError
from clrbench.spec.messages import messages
from clrbench.spec.reader import KeyPath, listed, locate, read_yaml


class Part(BaseModel):
    """A part of a spec: frozen, and with no key that is not declared."""

    # Each model is built when it is first used, and the parts of a spec only once, within it: most of what importing took.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, value: object) -> object:
        if isinstance(value, dict):
            allowed = [field.alias or name for name, field in cls.model_fields.items()]
            for key in value:
                if key not in allowed:
                    raise PydanticCustomError("unknown_key", "", {"key": key, "allowed": allowed})
        return value


AnyPart = TypeVar("AnyPart", bound=Part)


def read_part(path: Path, kind: type[AnyPart], hint: str) -> tuple[AnyPart, dict[KeyPath, int]]:
    """Return the content of a YAML file as a model, and the line (from 1) of every key.

    Raises:
        SpecError: If anything in it is not allowed, with a line for each thing found; without a mapping, with `hint`.
    """
    data, lines = read_yaml(path)
    if not isinstance(data, dict):
        raise SpecError(f"{path}: got no mapping of keys to values; {hint}")
    try:
        return kind.model_validate(data, context={"folder": path.parent}), lines
    except ValidationError as err:
        raise SpecError(listed(locate(path, lines, key, text) for key, text in messages(err, data))) from err


def at_key(key: tuple[str, ...], allowed: str) -> PydanticCustomError:
    """Return an error about the value of a key, known by its path from the validated part, for a validator to raise."""
    return PydanticCustomError("at_key", "", {"key": key, "allowed": allowed})


def at_name(key: tuple[str, ...], allowed: str) -> PydanticCustomError:
    """Return an error as `at_key` does, about the last key itself rather than its value."""
    return PydanticCustomError("at_name", "", {"key": key, "allowed": allowed})


def any_of(*schemas: dict[str, object]) -> WithJsonSchema:
    """Return the JSON Schema of a value that fits one of several."""
    return WithJsonSchema({"anyOf": list(schemas)})


def list_schema(items: dict[str, object]) -> dict[str, object]:
    """Return the JSON Schema of a list of at least one entry, without duplicates."""
    return {"type": "array", "items": items, "minItems": 1, "uniqueItems": True}
