"""`clrbench judge` as programs call it: files, exit codes and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from judge_samples import BASE, NEW, found, long, save

from clrbench import cli
from clrbench.analysis.own_results import Asked
from clrbench.analysis.own_verdicts import Rules
from clrbench.answer import ExitCode
from clrbench.commands.judge import judge
from clrbench.report.own_verdicts import verdicts_data


def test_tables_plot_and_page_are_written(tmp_path: Path) -> None:
    table = pd.concat([long(dataset="<b>one</b> $x$"), long(dataset="two", new=[np.nan, *NEW[1:]])])
    out = tmp_path / "out"
    answer = judge([save(tmp_path, table)], Asked(by="dataset"), Rules(margin=0.001), out=out)
    assert answer.exit_code is ExitCode.DONE
    comparison = pd.read_csv(out / "comparison.csv")
    columns = ["group", "metric", "candidate", "baseline", "pairs", "mean_difference", "ci_low", "ci_high", "p_value"]
    assert list(comparison)[:13] == [*columns, "wins", "ties", "losses", "verdict"]
    summary = pd.read_csv(out / "summary.csv")
    assert summary["accuracy_mean"].tolist() == pytest.approx(
        [np.mean(BASE), np.mean(NEW), np.mean(BASE), np.mean(NEW[1:])]
    )
    differences = pd.read_csv(out / "differences.csv")
    assert list(differences) == ["group", "metric", "candidate", "baseline", "pair", "difference"]
    assert len(differences) == 15
    assert (out / "plots/differences.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;one&lt;/b&gt; $x$: new beats base" in page
    assert "<b>one" not in page
    assert max(map(len, answer.text.splitlines()[:-1])) <= 100


@pytest.mark.parametrize(
    ("new", "fail_if", "code"),
    [
        (NEW, None, 0),
        (NEW, "worse", 0),
        (NEW, "not-better", 0),
        (BASE, "not-better", 4),
        (BASE, "worse", 0),
        ([0.1] * 8, "worse", 4),
        ([0.1] * 8, "not-better", 4),
    ],
)
def test_exit_codes_for_programs(tmp_path: Path, new: Any, fail_if: Any, code: int) -> None:
    path = save(tmp_path, long(new=new))
    answer = judge([path], Asked(), Rules(), out=tmp_path / "out", fail_if=fail_if)
    assert answer.exit_code == code


def test_the_command_line(tmp_path: Path) -> None:
    path = save(tmp_path, long().rename(columns={"accuracy": "wer"}))
    options = ["--arm", "arm", "--pair", "seed", "--metric", "wer", "--lower-is-better", "--alpha", "0.1", "--json"]
    done = CliRunner().invoke(cli.main, ["judge", str(path), *options, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert (data["verdicts"][0]["verdict"], data["alpha"], data["higher_is_better"]) == ("worse", 0.1, False)
    wrong = CliRunner().invoke(cli.main, ["judge", str(path), "--at", "last"])
    assert wrong.exit_code == 2
    assert "allowed: end, best or the number of a step" in wrong.output
    damaged = CliRunner().invoke(cli.main, ["judge", str(save(tmp_path, "arm,seed,accuracy\na,1\n", "damaged.csv"))])
    assert damaged.exit_code == 2
    assert damaged.stderr.count("\n") == 1


def test_infinite_and_missing_numbers_are_null_in_json(tmp_path: Path) -> None:
    data = verdicts_data(found(save(tmp_path, long(BASE[:2], NEW[:2]))))
    text = json.dumps(data, allow_nan=False)
    assert '"ci_low": null' in text


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "judge.schema.json").read_text(encoding="utf-8"))
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def unmet(value: Any, schema: dict[str, Any], place: str = "$") -> list[str]:
    """Return where a value breaks a schema; keywords that are not used in it are not known here."""
    assert set(schema) <= {
        *("$schema", "title", "description", "type", "required", "properties", "items", "enum", "const", "anyOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems"),
    }
    if "anyOf" in schema:
        return [] if any(not unmet(value, option) for option in schema["anyOf"]) else [place]
    kind = TYPES.get(schema.get("type", ""), object)
    broken = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool and kind is not object)
    if broken:
        return [place]
    broken |= "enum" in schema and value not in schema["enum"]
    broken |= "const" in schema and value != schema["const"]
    limits = {"minimum": lambda v, m: v >= m, "maximum": lambda v, m: v <= m}
    limits |= {"exclusiveMinimum": lambda v, m: v > m, "exclusiveMaximum": lambda v, m: v < m}
    broken |= any(not holds(value, schema[word]) for word, holds in limits.items() if word in schema)
    broken |= len(value) < schema["minItems"] if "minItems" in schema else False
    found = [place] if broken else []
    if isinstance(value, dict):
        found += [f"{place}.{name}" for name in schema.get("required", ()) if name not in value]
        parts = schema.get("properties", {})
        found += [bad for name in value if name in parts for bad in unmet(value[name], parts[name], f"{place}.{name}")]
    if isinstance(value, list):
        found += [
            bad for index, item in enumerate(value) for bad in unmet(item, schema.get("items", {}), f"{place}[{index}]")
        ]
    return found


def test_json_is_what_its_schema_says(tmp_path: Path) -> None:
    tables = [long(), long(BASE[:2], NEW[:2]), long(new=[np.nan] * 8), long().drop(columns="seed")]
    for table in tables:
        answer = judge([save(tmp_path, table)], Asked(), Rules(), out=tmp_path / "out")
        data = json.loads(json.dumps(answer.data, allow_nan=False))
        assert unmet(data, SCHEMA) == []
        assert set(data) == set(SCHEMA["properties"])
        assert set(data["verdicts"][0]) == set(SCHEMA["properties"]["verdicts"]["items"]["properties"])


def test_the_schema_can_be_broken(tmp_path: Path) -> None:
    data = json.loads(json.dumps(judge([save(tmp_path, long())], Asked(), Rules(), out=tmp_path / "out").data))
    for path, value in ((("paired",), 1), (("schema",), 2), (("verdicts",), []), (("verdicts", 0, "verdict"), "good")):
        broken = json.loads(json.dumps(data))
        *parents, last = path
        part = broken
        for key in parents:
            part = part[key]
        part[last] = value
        assert unmet(broken, SCHEMA) != []
