"""The key `model`: a built-in network, or a function of the user's own and the options that it is called with."""

import json
import math
import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from clrbench.layers import ActivationName
from clrbench.models import ModelSettings
from clrbench.own_code import is_reference
from clrbench.spec.names import MAX_PATH
from clrbench.spec.part import Part, at_key
from clrbench.spec.quantities import Flag, Fraction, Whole

FUNCTION_FORM = "./file.py:function"
ALLOWED = f"{FUNCTION_FORM} or package.module:function"
GIVEN = ("image_shape", "num_classes")
"""Arguments that every network is given."""

FUNCTION_SCHEMA = {"type": "string", "pattern": ":[A-Za-z_]\\w*$", "examples": [FUNCTION_FORM]}

_OPTION_TYPES = ("number", "string", "boolean", "array", "object")

MAX_OPTION_NODES = 1000

# YAML 1.1, which PyYAML reads, takes these for text.
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def _check_reference(value: object) -> str:
    if isinstance(value, str) and value.isprintable() and len(value) <= MAX_PATH and is_reference(value):
        source = value.rpartition(":")[0]
        if source.endswith(".py") or all(part.isidentifier() for part in source.split(".")):
            return value
    raise ValueError(ALLOWED)


Reference: TypeAlias = Annotated[str, BeforeValidator(_check_reference)]


class OwnModel(Part):
    """A network of your own: `./net.py:build`, or `{function: ./net.py:build, width: 32}` with options of its own.

    The function is called with `(image_shape, num_classes, **options)` and returns a torch.nn.Module or a keras.Model with
    logits out.
    """

    model_config = ConfigDict(extra="allow")

    function: Reference

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, value: object) -> object:
        """Take a text for the function, and any other key for an option, in place of refusing it."""
        if isinstance(value, str):
            if not is_reference(value):
                raise ValueError(f"a mapping such as {{name: mlp}}, or {ALLOWED}")
            return {"function": value}
        if not isinstance(value, dict):
            return value
        if "name" in value:
            raise at_key(("name",), f"no name beside a function, which is {value.get('function')!r}")
        return {key: option if key == "function" else _as_option(key, option) for key, option in value.items()}

    @property
    def name(self) -> str:
        """What tables and headings call it: its file or module, and its function."""
        return self.function.replace("\\", "/").rpartition("/")[2]

    @property
    def options(self) -> dict[str, Any]:
        """The options that the function is called with."""
        return dict(self.__pydantic_extra__ or {})

    def options_text(self) -> str:
        """Return the options as JSON, in an order of their own."""
        return json.dumps(self.options, sort_keys=True)

    def without_path(self) -> "OwnModel":
        """Return the same network, wherever its file lies."""
        return self.model_copy(update={"function": self.name})

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return what an editor may complete: the two forms."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        schema["properties"]["function"] = {**FUNCTION_SCHEMA, "title": "Function"}
        schema["propertyNames"] = {"pattern": f"^(?!({'|'.join((*GIVEN, 'name'))})$)[A-Za-z_]\\w*$"}
        schema["additionalProperties"] = {"anyOf": [{"type": kind} for kind in _OPTION_TYPES]}
        return schema


class OrText:
    """Adds to the JSON Schema of a union of models that the name of a function alone will do as well."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of the union, with a text as one more form."""
        schema = handler(core_schema)
        schema["oneOf"].append(FUNCTION_SCHEMA)
        return schema


def _as_option(key: object, value: object) -> object:
    if not isinstance(key, str) or not key.isidentifier() or key in GIVEN:
        allowed = "a name that can be an argument of the function, and none of " + ", ".join(GIVEN)
        raise at_key((str(key),), allowed)
    left = [value]
    for _ in range(MAX_OPTION_NODES):
        if not left:
            return _plain(value)
        one = left.pop()
        if isinstance(one, dict) and all(isinstance(name, str) for name in one):
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one
        elif not isinstance(one, bool | int | float | str) or (isinstance(one, float) and not math.isfinite(one)):
            break
    raise at_key((key,), "a finite number, text, true or false, or lists and mappings of them")


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


class BaseModelChoice(Part):
    """What all models have in common."""

    name: str

    def settings(self) -> ModelSettings:
        """Return the choice as a record."""
        return ModelSettings(**self.model_dump())


class _Deep(BaseModelChoice):
    activation: ActivationName = "relu"
    dropout: Fraction = 0.0
    batch_norm: Flag = False


class Mlp(_Deep):
    """Dense layers only."""

    name: Literal["mlp"]
    hidden: Annotated[tuple[Annotated[Whole, Field(ge=1, le=100_000)], ...], Field(max_length=100)] = (100, 50)


class Cnn(_Deep):
    """Two convolutions with pooling, and a dense layer."""

    name: Literal["cnn"]


class Lenet5(BaseModelChoice):
    """LeCun's LeNet-5."""

    name: Literal["lenet5"]
    activation: ActivationName = "relu"


class Resnet8(BaseModelChoice):
    """Three residual stages with batch norm."""

    name: Literal["resnet8"]


class Unseen(BaseModelChoice):
    """Stands where a spec has its model: what a script trains is its own business."""

    name: Literal["script"] = "script"


BuiltIn: TypeAlias = Mlp | Cnn | Lenet5 | Resnet8


def _model_tag(value: object) -> object:
    """Return the name of a built-in network; all else is a function, or refused as one."""
    if isinstance(value, BaseModelChoice):
        return value.name
    return value.get("name") if isinstance(value, dict) and "function" not in value else FUNCTION_FORM


Model: TypeAlias = Annotated[
    Annotated[Mlp, Tag("mlp")]
    | Annotated[Cnn, Tag("cnn")]
    | Annotated[Lenet5, Tag("lenet5")]
    | Annotated[Resnet8, Tag("resnet8")]
    | Annotated[OwnModel, Tag(FUNCTION_FORM)],
    Discriminator(_model_tag),
    OrText(),
]
