"""Properties of every spec: what is written is read back as the same spec, and nothing crashes the reader."""

from __future__ import annotations

import copy
import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from clrbench.errors import SpecError
from clrbench.planning.runs import arm_clock, lr_table
from clrbench.spec import METRICS, load_spec, to_yaml

TRAIN_ROWS = 2_000
INTERNALS = ("function-", "[key]", "tagged", "literal[", "Input should", "Value error", "Length(")

SOAK_EXAMPLES = int(os.environ.get("CLRBENCH_SOAK_EXAMPLES", "0"))
"""For a long run, such as 20000: so many examples of every property, other ones each time."""

property_test = settings(deadline=None, derandomize=not SOAK_EXAMPLES, database=None, max_examples=SOAK_EXAMPLES or 40)

rates = st.floats(1e-6, 10.0)
rate_pairs = st.tuples(rates, rates).map(sorted)
gammas = st.floats(0.5, 1.0)
sizes = st.integers(1, 500)
spans = st.one_of(
    sizes.map("{} steps".format),
    st.integers(1, 20).map("{} epochs".format),
    st.floats(0.01, 20.0).map("{!r} epochs".format),
    st.just("1 epoch"),
)
names = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,12}", fullmatch=True)
optimizers = st.one_of(
    st.fixed_dictionaries(
        {"name": st.just("sgd")}, optional={"momentum": st.floats(0.1, 0.99), "nesterov": st.just(False)}
    ),
    st.just({"name": "sgd", "momentum": 0.9, "nesterov": True}),
    st.fixed_dictionaries(
        {"name": st.sampled_from(["adam", "adamw", "rmsprop", "adagrad", "adadelta"])},
        optional={"weight_decay": st.floats(0, 0.1), "update_rule": st.sampled_from(["native", "shared"])},
    ),
)
models = st.one_of(
    st.fixed_dictionaries(
        {"name": st.just("mlp")},
        optional={"hidden": st.lists(sizes, max_size=3), "dropout": st.floats(0, 0.9), "batch_norm": st.booleans()},
    ),
    st.fixed_dictionaries({"name": st.just("cnn")}, optional={"activation": st.sampled_from(["relu", "gelu", "tanh"])}),
    st.just("./net.py:build"),
    st.fixed_dictionaries(
        {"function": st.sampled_from(["./net.py:build", "package.module:build"])},
        optional={
            "width": st.integers(),
            "rate": st.floats(-1e9, 1e9),
            "deep": st.lists(sizes),
            "on": st.booleans(),
        },
    ),
    st.sampled_from([{"name": "lenet5"}, {"name": "lenet5", "activation": "tanh"}, {"name": "resnet8"}]),
)
seed_lists = st.integers(1, 20) | st.lists(st.integers(0, 2**40), min_size=1, max_size=5, unique=True)
costs = st.fixed_dictionaries({}, optional={"steps": st.integers(1, 10**12)})
found_rates = st.builds(lambda rate, cost: {"value": rate, **cost}, rates, costs)


DECAYS = (
    *("linear_decay", "cosine", "step_decay", "exponential_decay", "cosine_restarts"),
    *("polynomial", "wsd", "piecewise"),
)


@st.composite
def cyclic_schedules(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(["triangular", "triangular2", "exp_range", "exp_range_paper"]))
    base_lr, max_lr = draw(rate_pairs)
    rates = {"base_lr": base_lr, "max_lr": max_lr}
    bounds = draw(st.sampled_from([{"bounds": "range_test"}, rates, {"bounds": {**rates, **draw(costs)}}]))
    half = draw(
        st.fixed_dictionaries({"step_size": spans}, optional={"step_size_down": spans})
        | st.fixed_dictionaries({"cycles": st.floats(0.1, 20.0)})
    )
    gamma = {"gamma": draw(gammas)} if name.startswith("exp_range") else {}
    return {"name": name, **bounds, **half, **gamma}


@st.composite
def decays(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(DECAYS))
    end_lr, lr = draw(rate_pairs)
    keys = {
        "linear_decay": {"end_lr": end_lr},
        "cosine": {},
        "step_decay": {"factor": draw(gammas), "every": draw(spans)},
        "exponential_decay": {"gamma": draw(gammas)},
        "polynomial": {"power": draw(st.floats(0.1, 9))},
        "wsd": {"end_lr": end_lr, "decay": draw(st.floats(0.1, 100).map("{!r} %".format))},
        "piecewise": {"milestones": {"3 steps": draw(gammas), "41.0 steps": draw(gammas)}},
        "cosine_restarts": {"end_lr": end_lr, "period": draw(spans), "multiplier": draw(st.integers(1, 3))},
    }
    found = draw(st.just(lr) | from_test | st.just({"value": lr, **draw(costs)}))
    return {"name": name, "lr": found, **keys[name]}


from_test = st.sampled_from(["range_test", "range_test mean", "range_test max_lr"])
constants = st.fixed_dictionaries({"name": st.just("constant"), "lr": rates | from_test | found_rates})
one_cycles = st.fixed_dictionaries(
    {"name": st.just("one_cycle"), "max_lr": rates | from_test | found_rates},
    optional={
        "pct_start": st.floats(0.1, 0.9),
        "div_factor": st.floats(1, 100),
        "final_div_factor": st.floats(1, 1e5),
        "anneal": st.sampled_from(["cos", "linear"]),
    },
)


data_parts = st.fixed_dictionaries(
    {"dataset": st.sampled_from(["mnist", "own.npz", "/data/own.npz", "./own.py:f", "own.module:f", "a/b c"])},
    optional={
        "train_rows": sizes,
        "test_rows": sizes,
        "preprocessing": st.sampled_from(["scale", "standardise"]),
        "pipeline": st.sampled_from(["resident", "stream"]),
    },
)
tunings = st.fixed_dictionaries({}, optional={"seeds": st.integers(1, 100)})


@st.composite
def arms(draw: st.DrawFn, tuned: bool) -> dict[str, Any]:
    schedule = draw(cyclic_schedules() | decays() | constants | one_cycles)
    cyclic = "base_lr" in schedule or "bounds" in schedule
    kinds = (
        ["none", "list", "from"]
        if tuned and not cyclic
        else ["none", "list"]
        if "base_lr" in schedule and tuned
        else ["none"]
    )
    tune = None
    match draw(st.sampled_from(kinds)):
        case "list":
            factors = st.lists(st.integers(2, 50), min_size=1, max_size=4, unique=True)
            key = "lr" if "lr" in schedule else "max_lr"
            above = schedule[key] if isinstance(schedule[key], float) else schedule.get("end_lr", 0.1)
            lowest = 1.001 * above  # a rate to try is rounded to float32, and must not fall below end_lr or base_lr
            schedule[key] = [lowest, *(lowest * factor for factor in draw(factors))]
            tune = draw(st.none() | tunings)
        case "from":
            tune = draw(tunings) | {"from": "range_test"} | draw(st.sampled_from([{}, {"points": 9}]))
    if draw(st.booleans()):
        schedule["warmup"] = draw(spans)
    durations = [spans, st.floats(0.5, 9).map("{!r} cycles".format)] if "step_size" in schedule else [spans]
    optional = {"batch_size": sizes, "optimizer": optimizers, "duration": st.one_of(durations)}
    required = {"schedule": st.just(schedule)} | ({} if tune is None else {"tune": st.just(tune)})
    return draw(st.fixed_dictionaries(required, optional=optional))


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the content of a spec file in which everything is allowed."""
    validation = draw(st.sampled_from(["0 rows", "0 %", "1 row", "300 rows", "12.5 %"]))
    allowed = [name for name in METRICS if not (validation.startswith("0 ") and name.startswith("validation"))]
    metrics = st.sampled_from(allowed)
    by_name = draw(st.lists(names, min_size=1, max_size=4, unique_by=str.lower))
    spec: dict[str, Any] = {
        "name": draw(names),
        "data": draw(data_parts) | {"validation": validation},
        "model": draw(models),
        "batch_size": draw(sizes),
        "duration": draw(spans),
        "arms": {name: draw(arms(tuned=not validation.startswith("0 "))) for name in by_name},
    }
    for name, other in pairwise(by_name):
        if draw(st.booleans()):
            spec["arms"][name]["baseline"] = draw(st.sampled_from([other, "none"]))
            spec["arms"][name]["published"] = {draw(metrics): draw(st.floats(0, 1))}
    fractions = st.lists(st.floats(0, 1), min_size=1, max_size=3, unique=True)
    optional = {
        "optimizer": optimizers,
        "seeds": seed_lists,
        "backends": st.sampled_from(["installed", ["torch"], ["keras", "torch"]]),
        "baseline": st.sampled_from(by_name),
        "targets": st.just("auto") | st.dictionaries(metrics, st.just("auto") | fractions, max_size=2),
        "verdict": st.fixed_dictionaries(
            {},
            optional={
                "metric": metrics,
                "at": st.just("end"),
                "alpha": st.floats(0.001, 0.5),
                "margin": st.floats(0, 1),
            },
        ),
        "range_test": st.fixed_dictionaries(
            {"start_lr": st.floats(1e-6, 0.1), "end_lr": st.floats(0.2, 10)},
            optional={"ramp": st.sampled_from(["linear", "exponential"]), "duration": spans, "seeds": seed_lists},
        ),
    }
    return spec | draw(st.fixed_dictionaries({}, optional=optional))


junk = st.one_of(
    st.sampled_from([None, True, 0, -1, 10**30, math.nan, math.inf, -math.inf, "", " ", "1e400", "range_test", [], {}]),
    st.sampled_from(["3 cycles", "1e9 epochs", "-1 steps", "2", "mnist", ".npz", "\x00", "\x1b[0m", "é", "\ud800"]),
    st.sampled_from(
        ["../x", "/etc", "a" * 300, "9" * 300, "./x.py:f", ":", "a:b", "~", "range_test mean", 1e-300, 1e300]
    ),
    st.sampled_from([[[[]]], {"name": {"name": []}}, [{}, {}], {"a": {"a": {}}}, [None], {"from": "range_test"}]),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-2, 2) | st.text(max_size=2), max_size=3),
    st.dictionaries(
        st.text(max_size=6) | st.sampled_from(["name", "lr", "constant", "sgd"]), st.integers(), max_size=3
    ),
)


KEYS = [
    "name",
    "lr",
    "base_lr",
    "max_lr",
    "bounds",
    "cycles",
    "step_size",
    "warmup",
    "tune",
    "rates",
    "from",
    "duration",
]


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every key and list item."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in [(*path, key), *places(value, (*path, key))]]


@st.composite
def mutated_specs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a spec of which one to three places are replaced, removed or renamed."""
    spec = copy.deepcopy(draw(specs()))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(places(spec)))
        parent: Any = spec
        for key in path:
            parent = parent[key]
        kind = draw(st.sampled_from(["replace", "replace", "remove", "rename", "insert"]))
        if kind == "insert" and isinstance(parent, list):
            parent.insert(last, copy.deepcopy(draw(junk)))
        elif kind == "insert":
            parent[draw(st.text(max_size=8) | st.sampled_from(KEYS))] = copy.deepcopy(draw(junk))
        elif kind == "replace" or isinstance(parent, list):
            parent[last] = copy.deepcopy(draw(junk))
        elif kind == "rename":
            parent[draw(st.text(max_size=8))] = parent.pop(last)
        elif len(spec) > 1 or parent is not spec:
            del parent[last]
    return spec


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spec") / "spec.yaml"


def write(path: Path, data: Any) -> None:
    # Characters that YAML cannot hold are escaped, as a user would have to.
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


@property_test
@given(data=specs())
def test_every_valid_spec_survives_writing_and_reading(path: Path, data: dict[str, Any]) -> None:
    write(path, data)
    spec = load_spec(path).spec
    text = to_yaml(spec)
    path.write_text(text, encoding="utf-8")
    again = load_spec(path).spec
    assert again == spec
    assert to_yaml(again) == text


@property_test
@given(data=specs())
def test_every_arm_of_a_valid_spec_has_a_table_or_a_spec_error_that_names_it(path: Path, data: dict[str, Any]) -> None:
    write(path, data)
    file = load_spec(path)
    for name, arm in file.spec.arms.items():
        resolved = file.spec.resolved_arm(name)
        try:
            with file.locating():
                clock = arm_clock(file.spec, name, TRAIN_ROWS)
                if arm.schedule.needs_range_test:
                    continue
                table = lr_table(resolved, clock)
        except SpecError as err:
            assert f"{path}:" in str(err)  # noqa: PT017
            keys = (f": arms.{name}.schedule", f": arms.{name}.duration: ", ": duration: ")
            assert any(key in str(err) for key in keys), err  # noqa: PT017
            continue
        assert table.shape == (clock.num_steps,)
        assert table.dtype == np.float64
        assert (table > 0).all()


@property_test
@given(data=mutated_specs())
def test_a_mutated_spec_loads_or_is_refused_with_its_lines(path: Path, data: dict[str, Any]) -> None:
    write(path, data)
    lines = path.read_text(encoding="utf-8").count("\n") + 1
    try:
        spec = load_spec(path).spec
    except SpecError as err:
        for message in str(err).splitlines():
            assert message.startswith(f"{path}:")
            line, key, text = message.removeprefix(f"{path}:").split(": ", 2)
            assert 1 <= int(line) <= lines
            assert key
            assert text.isprintable()
            assert not [word for word in INTERNALS if word in text]
    else:
        assert to_yaml(spec)


@st.composite
def damaged_texts(draw: st.DrawFn) -> bytes:
    """Draw the bytes of a spec file of which one to four stretches are replaced, removed, repeated or inserted."""
    raw = bytearray(yaml.safe_dump(draw(specs()), sort_keys=False).encode())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 12)))
        raw[start:end] = draw(st.binary(max_size=4) | st.sampled_from(PIECES) | st.just(bytes(raw[start:end]) * 2))
    return bytes(raw)


PIECES = [
    *(
        b"*a",
        b"&a ",
        b"<<: *a\n",
        b"!!python/name:os.system ",
        b"!!set ",
        b"!!binary ",
        b"!!omap ",
        b"!!float ",
        b"!x ",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"? ",
        b": ",
        b"- ",
        b"|\n",
        b">-\n",
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n",
        b"#",
        b"'",
        b'"',
    ),
    *(
        b'"\\x00"',
        b'"\\ud800"',
        b'"\\UFFFFFFFF"',
        b"\x00",
        b"\xff",
        b"\t",
        b"\r",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
    ),
    *(b".inf", b".nan", b"1:2:3", b"0x_", b"1e400", b"9" * 400, b"~", b"yes", b"2024-01-01", b"= ", b"-", b"\n  "),
]


@property_test
@given(raw=damaged_texts())
def test_a_damaged_file_loads_or_is_refused(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    try:
        spec = load_spec(path).spec
    except SpecError as err:
        assert str(err).startswith(f"{path}:")  # noqa: PT017
        assert all(line.isprintable() for line in str(err).split("\n"))  # noqa: PT017
    else:
        assert to_yaml(spec)


@settings(property_test, max_examples=max(100, SOAK_EXAMPLES))
@given(text=st.text(st.sampled_from("abname:{}[]-*&!|>'\"#%@`,? \n\t0123.e~<é\x00\x1b\ud800"), max_size=60))
def test_any_text_is_a_spec_error(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert str(caught.value).startswith(f"{path}:")
