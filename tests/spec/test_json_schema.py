"""The JSON Schema says what the reader says, checked by a validator of the keywords that it uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from clrbench.errors import SpecError
from clrbench.spec import METRICS, Spec, json_schema, load_spec, to_yaml
from clrbench.spec.data import Data
from clrbench.spec.model import Arm, Optimizer
from clrbench.spec.network import BuiltIn
from clrbench.spec.range_test import RangeTest
from clrbench.spec.rates import FoundBounds, FoundRate
from clrbench.spec.schedules import MODELS
from clrbench.spec.tune import Tune
from clrbench.spec.verdict import Verdict

SCHEMA = json_schema()
ANNOTATIONS = {"$schema", "$defs", "title", "description", "default", "examples", "discriminator"}
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
PARTS: tuple[type[BaseModel], ...] = (
    *MODELS,
    *get_args(BuiltIn),
    *get_args(get_args(Optimizer)[0]),
)
EXAMPLE = """\
name: mnist-mlp
data: {dataset: mnist, validation: 5000 rows, train_rows: 10000}
model: {name: mlp, hidden: [100, 50], activation: relu}
optimizer: {name: sgd, momentum: 0.9}
batch_size: 100
duration: 12 epochs
seeds: 10
backends: [torch, keras]
baseline: constant
arms:
  constant: {schedule: {name: constant, lr: 0.03}}
  clr: {schedule: {name: triangular, base_lr: 0.01, max_lr: 0.1, cycles: 3, warmup: 1 epochs}}
  found: {schedule: {name: constant, lr: range_test}, batch_size: 20, duration: 100 steps, baseline: clr}
  tuned: {schedule: {name: cosine, lr: [0.3, 0.1]}, tune: {seeds: 5}}
  peak: {schedule: {name: triangular2, base_lr: 0.02, max_lr: [0.2, 0.4], cycles: 2}}
  once: {schedule: {name: one_cycle, max_lr: 0.5}, tune: {from: range_test, points: 7}}
  typed: {schedule: {name: triangular, bounds: {base_lr: 0.03, max_lr: 0.7, steps: 8250}, cycles: 2}}
  given: {schedule: {name: linear_decay, lr: {value: 0.06, steps: 40000}}}
  stairs: {schedule: {name: piecewise, lr: 0.1, milestones: {6 epochs: 0.1, 9 epochs: 0.01}}}
  stable: {schedule: {name: wsd, lr: 0.1, decay: 30 %, shape: sqrt}}
  bent: {schedule: {name: polynomial, lr: 0.1, power: 2}}
  lopsided: {schedule: {name: exp_range, base_lr: 0.01, max_lr: 0.2, step_size: 1 epochs, step_size_down: 3 epochs, gamma: 0.9}}
targets: {test_accuracy: [0.95, 0.97]}
verdict: {metric: test_accuracy, at: end, margin: 0.001, alpha: 0.05}
range_test: {start_lr: 0.001, end_lr: 1.0, ramp: linear, duration: 5 epochs, seeds: [0, 4]}
"""


def fits(value: Any, schema: dict[str, Any] | bool) -> bool:
    """Return whether a value satisfies a schema; a keyword that is not checked here is an error."""
    if isinstance(schema, bool):
        return schema
    checks = {
        "$ref": lambda ref: fits(value, SCHEMA["$defs"][ref.removeprefix("#/$defs/")]),
        "type": lambda name: isinstance(value, TYPES[name]) and (isinstance(value, bool) <= (name == "boolean")),
        "const": lambda expected: value == expected,
        "enum": lambda allowed: value in allowed,
        "not": lambda other: not fits(value, other),
        "anyOf": lambda options: any(fits(value, option) for option in options),
        "oneOf": lambda options: sum(fits(value, option) for option in options) == 1,
        "minimum": lambda limit: not is_number(value) or value >= limit,
        "maximum": lambda limit: not is_number(value) or value <= limit,
        "exclusiveMinimum": lambda limit: not is_number(value) or value > limit,
        "exclusiveMaximum": lambda limit: not is_number(value) or value < limit,
        "minLength": lambda count: not isinstance(value, str) or len(value) >= count,
        "maxLength": lambda count: not isinstance(value, str) or len(value) <= count,
        "pattern": lambda pattern: not isinstance(value, str) or re.search(pattern, value) is not None,
        "items": lambda item: not isinstance(value, list) or all(fits(entry, item) for entry in value),
        "minItems": lambda count: not isinstance(value, list) or len(value) >= count,
        "maxItems": lambda count: not isinstance(value, list) or len(value) <= count,
        "uniqueItems": lambda _: not isinstance(value, list) or len(set(map(str, value))) == len(value),
        "minProperties": lambda count: not isinstance(value, dict) or len(value) >= count,
        "maxProperties": lambda count: not isinstance(value, dict) or len(value) <= count,
        "required": lambda keys: not isinstance(value, dict) or set(keys) <= set(value),
        "properties": lambda parts: (
            not isinstance(value, dict) or all(fits(value[key], part) for key, part in parts.items() if key in value)
        ),
        "patternProperties": lambda parts: (
            not isinstance(value, dict)
            or all(
                fits(entry, part)
                for pattern, part in parts.items()
                for key, entry in value.items()
                if re.search(pattern, key)
            )
        ),
        "propertyNames": lambda names: not isinstance(value, dict) or all(fits(key, names) for key in value),
        "additionalProperties": lambda rest: (
            not isinstance(value, dict)
            or all(rest is not False and fits(value[key], rest) for key in unlisted(value, schema))
        ),
    }
    return all(checks[keyword](argument) for keyword, argument in schema.items() if keyword not in ANNOTATIONS)


def unlisted(value: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    patterns = schema.get("patternProperties", ())
    return [
        key
        for key in value
        if key not in schema.get("properties", ()) and not any(re.search(pattern, key) for pattern in patterns)
    ]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def subschemas(schema: Any) -> list[dict[str, Any]]:
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return [schema] * isinstance(schema, dict) + [found for part in parts for found in subschemas(part)]


@pytest.mark.parametrize(
    "part", [Arm, Data, FoundBounds, FoundRate, RangeTest, Tune, Verdict, *PARTS], ids=lambda part: part.__name__
)
def test_every_key_of_every_part_is_listed_and_no_other_is_allowed(part: type[BaseModel]) -> None:
    schema = SCHEMA["$defs"][part.__name__]
    assert list(schema["properties"]) == [field.alias or name for name, field in part.model_fields.items()]
    assert schema["additionalProperties"] is False
    required = [name for name, field in part.model_fields.items() if field.is_required()]
    assert schema.get("required", []) == required


def test_every_key_of_a_spec_is_listed() -> None:
    assert list(SCHEMA["properties"]) == list(Spec.model_fields)
    assert SCHEMA["required"] == ["name"]
    ways = [way["required"] for way in SCHEMA["anyOf"]]
    assert ways == [["data", "model", "batch_size"], ["train"], ["train", "metrics"]]
    auto, by_metric = SCHEMA["properties"]["targets"]["oneOf"]
    assert auto["const"] == "auto"
    assert by_metric["propertyNames"]["anyOf"][0] == {"enum": list(METRICS)}
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_default_satisfies_its_own_schema() -> None:
    defaults = [schema for schema in subschemas(SCHEMA) if "default" in schema]
    assert len(defaults) > 40
    assert [schema for schema in defaults if not fits(schema["default"], schema)] == []


def test_every_pattern_reference_and_example_is_sound() -> None:
    patterns = [schema["pattern"] for schema in subschemas(SCHEMA) if isinstance(schema.get("pattern"), str)]
    assert len(patterns) > 10
    assert all(re.compile(pattern) for pattern in patterns)
    references = {schema["$ref"].removeprefix("#/$defs/") for schema in subschemas(SCHEMA) if "$ref" in schema}
    assert references == set(SCHEMA["$defs"])
    examples = [(example, schema) for schema in subschemas(SCHEMA) for example in schema.get("examples", ())]
    assert len(examples) > 20
    assert [example for example, schema in examples if not fits(example, schema)] == []


def test_the_example_satisfies_the_schema() -> None:
    assert fits(yaml.safe_load(EXAMPLE), SCHEMA)


@pytest.mark.parametrize("targets", ["auto", "{test_accuracy: auto}", "{test_loss: [0.1], test_accuracy: auto}"])
def test_schema_allows_automatic_targets(targets: str, tmp_path: Path) -> None:
    text = EXAMPLE.replace("{test_accuracy: [0.95, 0.97]}", targets)
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    assert to_yaml(load_spec(path).spec).count("auto") == 1
    assert fits(yaml.safe_load(text), SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch_size: 100", "batchsize: 100"),
        ("batch_size: 100", "batch_size: 0"),
        ("batch_size: 100", "batch_size: true"),
        ("batch_size: 100\n", ""),
        ("name: mnist-mlp", "name: a/b"),
        ("name: mnist-mlp", f"name: {'n' * 101}"),
        ("  clr:", "  .clr:"),
        ("  clr:", "  a b:"),
        ("dataset: mnist", "dataset: minst"),
        ("5000 rows", "5000"),
        ("5000 rows", "5000 apples"),
        ("12 epochs", "twelve epochs"),
        ("12 epochs", "12 minutes"),
        ("5 epochs", "5 cycles"),
        ("lr: [0.3, 0.1]", "lr: [0.3]"),
        ("lr: [0.3, 0.1]", "lr: []"),
        ("lr: [0.3, 0.1]", "lr: [0.3, 0.3]"),
        ("lr: [0.3, 0.1]", "lr: [0.3, range_test]"),
        ("base_lr: 0.02", "base_lr: [0.02, 0.01]"),
        ("max_lr: [0.2, 0.4]", "max_lr: [0.2, -0.4]"),
        ("from: range_test", "from: bounds"),
        ("from: range_test", "from_: range_test"),
        ("points: 7", "points: 1"),
        ("tune: {seeds: 5}", "tune: {seeds: 0}"),
        ("tune: {seeds: 5}", "tune: 5"),
        ("seeds: 10", "seeds: 0"),
        ("seeds: 10", "seeds: []"),
        ("seeds: 10", "seeds: [1, 1]"),
        ("[torch, keras]", "[jax]"),
        ("[torch, keras]", "torch"),
        ("[torch, keras]", "[torch, torch]"),
        ("name: triangular", "name: trianguler"),
        ("name: triangular", "name: one_cycle"),
        ("lr: 0.03", "lr: 0"),
        ("lr: 0.03", "lr: found"),
        ("base_lr: 0.01", "base_lr: -1"),
        ("cycles: 3", "cycles: 0"),
        ("steps: 8250", "steps: 0"),
        ("steps: 8250", "steps: many"),
        ("steps: 8250", "step: 8250"),
        ("base_lr: 0.03, ", ""),
        ("max_lr: 0.7", "max_lr: [0.7, 0.8]"),
        ("{base_lr: 0.03, max_lr: 0.7, steps: 8250}", "[0.03, 0.7]"),
        ("{base_lr: 0.03, max_lr: 0.7, steps: 8250}", "ranges"),
        ("steps: 40000", "steps: 1.5"),
        ("value: 0.06", "value: range_test"),
        ("value: 0.06, ", ""),
        ("6 epochs: 0.1", "'6': 0.1"),
        ("6 epochs: 0.1", "6 cycles: 0.1"),
        ("6 epochs: 0.1", "6 epochs: 0"),
        ("6 epochs: 0.1", "6 epochs: fast"),
        ("{6 epochs: 0.1, 9 epochs: 0.01}", "{}"),
        ("{6 epochs: 0.1, 9 epochs: 0.01}", "[6, 9]"),
        ("30 %", "30"),
        ("30 %", "30 epochs"),
        ("shape: sqrt", "shape: root"),
        ("power: 2", "power: 0"),
        ("step_size_down: 3 epochs", "step_size_down: 3"),
        ("name: polynomial, lr: 0.1, power: 2", "name: table"),
        ("momentum: 0.9", "momentum: 1"),
        ("name: sgd", "name: adam"),
        ("hidden: [100, 50]", "hidden: [100, 0]"),
        ("test_accuracy: [", "1st: ["),
        ("alpha: 0.05", "alpha: 0"),
        ("margin: 0.001", "margin: -1"),
        ("at: end", "at: best"),
        ("[0.95, 0.97]", "[]"),
        ("[0.95, 0.97]", "automatic"),
        ("{test_accuracy: [0.95, 0.97]}", "automatic"),
        ("{test_accuracy: [0.95, 0.97]}", "[auto]"),
    ],
)
def test_schema_refuses_what_the_reader_refuses(old: str, new: str, tmp_path: Path) -> None:
    assert EXAMPLE.count(old) >= 1
    text = EXAMPLE.replace(old, new, 1)
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError):
        load_spec(path)
    assert not fits(yaml.safe_load(text), SCHEMA)


@pytest.mark.parametrize(
    ("model", "allowed"),
    [
        ("./net.py:build", True),
        ("package.module:build", True),
        ({"function": "./net.py:build"}, True),
        ({"function": "./net.py:build", "width": 3, "deep": [1, 2], "kind": "x", "on": True, "more": {"a": 1.5}}, True),
        ("mlp", False),
        ("./net.py", False),
        ({"function": "net"}, False),
        ({"function": "./net.py:build", "name": "mlp"}, False),
        ({"function": "./net.py:build", "image_shape": 3}, False),
        ({"function": "./net.py:build", "two words": 3}, False),
        ({"function": "./net.py:build", "width": None}, False),
        ({"width": 3}, False),
    ],
)
def test_schema_and_reader_agree_on_a_network_of_ones_own(model: object, allowed: bool, tmp_path: Path) -> None:
    content = {**yaml.safe_load(EXAMPLE), "model": model}
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert fits(content, SCHEMA) is allowed
    if allowed:
        assert load_spec(path).spec == load_spec(path).spec
    else:
        with pytest.raises(SpecError, match="model"):
            load_spec(path)


SCRIPT = """\
name: own
train: {command: sh train.sh, steps_per_epoch: 10}
duration: 2 epochs
seeds: 6
metrics: {test_f1: higher, perplexity: lower}
verdict: {metric: test_f1}
targets: {perplexity: [20]}
arms:
  a: {schedule: {name: constant, lr: 0.1}, published: {test_f1: 0.7, train_seconds: 3}}
"""


@pytest.mark.parametrize(
    ("text", "old", "new", "allowed"),
    [
        (SCRIPT, "seeds: 6", "seeds: 6", True),
        (SCRIPT, "metrics: {test_f1: higher, perplexity: lower}\n", "", False),
        (SCRIPT, "metrics: {test_f1: higher, perplexity: lower}", "metrics: {}", False),
        (SCRIPT, "perplexity: lower", "1st: lower, perplexity: lower", False),
        (SCRIPT, "perplexity: lower", "epoch: lower, perplexity: lower", False),
        (SCRIPT, "perplexity: lower", "perplexity: down", False),
        (SCRIPT, "seeds: 6", "batch_size: 10", False),
        (SCRIPT, "seeds: 6", "backends: [torch]", False),
        (SCRIPT, "seeds: 6", "data: {dataset: mnist}", False),
        (SCRIPT, "lr: 0.1}", "lr: 0.1}, batch_size: 10", False),
        (SCRIPT, "published: {test_f1: 0.7", "published: {te st: 0.7", False),
        (EXAMPLE, "metric: test_accuracy", "metric: test_loss", True),
        (EXAMPLE, "metric: test_accuracy", "metric: test_f1", False),
        (EXAMPLE, "metric: test_accuracy", "metric: test_acuracy", False),
        (EXAMPLE, "targets: {test_accuracy", "targets: {perplexity", False),
        (EXAMPLE, "lr: 0.03}}", "lr: 0.03}, published: {test_f1: 0.5}}", False),
        (EXAMPLE, "lr: 0.03}}", "lr: 0.03}, published: {train_seconds: 5}}", True),
        (EXAMPLE, "seeds: 10", "seeds: 10\nmetrics: {test_f1: higher}", False),
        (EXAMPLE, "seeds: 10", "seeds: 10\nmetrics: {}", True),
    ],
)
def test_metrics_of_ones_own_are_those_of_a_script_that_declares_them(
    text: str, old: str, new: str, allowed: bool, tmp_path: Path
) -> None:
    assert text.count(old) >= 1
    changed = text.replace(old, new, 1)
    path = tmp_path / "spec.yaml"
    path.write_text(changed, encoding="utf-8")
    assert fits(yaml.safe_load(changed), SCHEMA) is allowed
    if allowed:
        load_spec(path)
    else:
        with pytest.raises(SpecError):
            load_spec(path)
