"""Write what README and docs take from the code and from committed results: `python docs/generate.py`.

A generated part stands between `<!-- NAME -->` and `<!-- end of NAME -->`; a test holds each against what this would write.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import another_processor
import claims
import click
import pandas as pd

from clrbench.analysis.collapse import COLLAPSE_COLUMNS
from clrbench.analysis.comparison import EVIDENCE_COLUMNS
from clrbench.analysis.glance import glance
from clrbench.analysis.one_class import ONE_CLASS_COLUMNS
from clrbench.analysis.summary import has_answer
from clrbench.analysis.tables import TABLES, Findings
from clrbench.cli import main
from clrbench.commands.side_by_side import read_side
from clrbench.commands.validate import schema
from clrbench.errors import ResultsError
from clrbench.planning.runs import BoundsTable
from clrbench.report.side_by_side import sides_text
from clrbench.report.terminal import answer_text
from clrbench.report.text import finding_warnings, foldable_warnings
from clrbench.spec import Spec, load_spec
from clrbench.spec.train import SCRIPT
from clrbench.store import ResultsFolder
from clrbench.store.bounds import read_bounds

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path += [str(ROOT / "experiments"), str(ROOT / "benchmarks")]
COMPARED = ("policies", "policies-street-digits", "optimizers", "optimizers-street-digits")
TEXTS = {"far_seeds": "str", "left_out_seeds": "str"}
"""Columns of evidence.csv that may be empty, or look like numbers, and are neither."""


def committed_findings(name: str) -> Findings:
    """Return the findings of a committed experiment, by its tables."""
    folder = ROOT / "results" / name
    paths = {table.name: folder / f"{table.name}.csv" for table in TABLES}
    tables = {name: pd.read_csv(path, dtype=TEXTS) for name, path in paths.items() if path.is_file()}
    # What results that were made before these columns and tables came do not have.
    evidence = tables["evidence"].reindex(columns=EVIDENCE_COLUMNS)
    nothing: dict[str, Any] = {**dict.fromkeys(TEXTS, ""), "num_missing_runs": 0, "looks": 1, "paired": 1}
    tables["evidence"] = evidence.astype(dict.fromkeys(TEXTS, "object")).fillna(nothing)
    for table, columns in (("collapse", COLLAPSE_COLUMNS), ("one_class", ONE_CLASS_COLUMNS)):
        tables.setdefault(table, pd.DataFrame(columns=list(columns)))
    tables.setdefault("given", tables["summary"].iloc[:0])
    assert has_answer(tables["summary"]) is not None
    spec = load_spec(folder / "spec.yaml").spec
    return Findings(spec, tables, bounds=committed_rates(ResultsFolder(folder), spec))


def committed_rates(folder: ResultsFolder, spec: Spec) -> BoundsTable:
    """Return the rates of the range tests of a committed experiment, as far as they are there."""
    found: BoundsTable = {}
    for arm in (None, *spec.arms):
        with suppress(ResultsError):  # There is none, or it is of before rates were confirmed.
            rates = read_bounds(folder.range_test(arm).root / "bounds.json")
            found |= {(name, arm): rates[name] for name in (*spec.backends, SCRIPT) if name in rates}
    return found


def committed_answer(name: str) -> str:
    """Return the answer of a committed experiment, as a terminal of 100 columns shows it."""
    findings = committed_findings(name)
    said = set(finding_warnings(findings))
    of_spec = [warning for warning in read_side(ROOT / "results" / name).warnings if warning not in said]
    warnings = [*foldable_warnings(findings), *of_spec]
    return click.unstyle(answer_text(glance(findings), findings, warnings, Path("results", name), 100, details=False))


def answer_block(name: str) -> str:
    """Return the answer of a committed experiment as a block of text."""
    return f"```text\n{committed_answer(name)}\n```"


def effects() -> str:
    """Return the experiments after the paper's tables side by side."""
    # Lines are broken by the path as it is shown, not by where the project lies.
    sides = [replace(read_side(ROOT / "results" / name), folder=Path("results", name)) for name in COMPARED]
    return click.unstyle(sides_text(sides))


def bake_off(part: str) -> str:
    """Return a part of what the bake-off of rate finders came to: `summary`, `goals`, `wins` or `readme`."""
    from finders import summary

    rows, settings = summary.read(ROOT / "results" / "finders")
    table = summary.summary(rows, settings)
    match part:
        case "summary":
            return summary.summary_text(table, summary.hopeless(settings))
        case "goals":
            return summary.goals_text(table)
        case "wins":
            return summary.wins_text(rows)
        case _:
            return summary.readme_text(table, settings)


def benchmarks(part: str, results: str = "benchmarks") -> str:
    """Return a part of what the benchmarks came to, `table` or `machine`, by the name of their results."""
    from speed import table

    folder = ROOT / "results" / results
    if not (folder / table.TABLE_FILE).exists():
        return table.NOT_MEASURED
    if part == "table":
        return table.table_text(table.read(folder))
    return table.machine_text(pd.read_csv(folder / table.MACHINE_FILE, dtype=str))


def commands() -> str:
    """Return the reference of every command, from the command line itself."""
    settings = {**main.context_settings, "max_content_width": 100, "terminal_width": 100}
    return "\n".join(_commands(main, click.Context(main, info_name="clrbench", **settings)))


def _commands(group: click.Group, parent: click.Context) -> Iterator[str]:
    for command in group.commands.values():
        context = click.Context(command, info_name=command.name, parent=parent)
        if isinstance(command, click.Group):
            yield from _commands(command, context)
            continue
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"


def spec_reference() -> str:
    """Return the reference of the spec, from its JSON Schema."""
    found: Mapping[str, Any] = schema().data
    parts = [_keys(found)]
    for name, part in found["$defs"].items():
        parts.append(
            f"## {_title(name, part)}\n\n{part['description'].partition('Attributes:')[0].strip()}\n\n{_keys(part)}"
        )
    return "\n".join(parts)


def _title(name: str, part: Mapping[str, Any]) -> str:
    named = part["properties"].get("name", {})
    return f"`{named['const']}`" if "const" in named else name


def _keys(part: Mapping[str, Any]) -> str:
    rows = ["| key | allowed | default |", "|---|---|---|"]
    required = set(part.get("required", ()))
    for key, value in part["properties"].items():
        default = "required" if key in required else _code(value["default"]) if "default" in value else ""
        rows.append(f"| `{key}` | {_allowed(value)} | {default} |")
    return "\n".join(rows) + "\n"


def _allowed(value: Mapping[str, Any]) -> str:
    """Return what a key may hold, in a few words."""
    for several in ("anyOf", "oneOf"):
        if several in value:
            return ", or ".join(dict.fromkeys(_allowed(one) for one in value[several]))
    if "$ref" in value:
        return value["$ref"].rpartition("/")[2]
    if "const" in value:
        return _code(value["const"])
    if "enum" in value:
        return ", ".join(map(_code, value["enum"]))
    if "examples" in value:
        return f"such as {', '.join(map(_code, value['examples']))}"
    if value.get("type") == "array":
        return f"a list: {_allowed(value['items'])}"
    names = {"string": "text", "null": "nothing", "object": "a mapping", "boolean": "true or false"}
    limits = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    words = [f"{word} {value[limit]:g}" for limit, word in limits.items() if limit in value]
    return " ".join([names.get(value.get("type", ""), value.get("type", "anything")), *words])


def _code(value: object) -> str:
    shown = (
        {True: "true", False: "false", None: "nothing"}.get(value, value) if isinstance(value, bool | None) else value
    )
    return f"`{shown}`"


PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {
        "answer of mnist-fair": partial(answer_block, "mnist-fair"),
        "bake-off": partial(bake_off, "readme"),
        "claims": claims.short_table,
    },
    "docs/claims.md": {"claims": claims.claims_table},
    "docs/finders.md": {
        "summary": partial(bake_off, "summary"),
        "goals": partial(bake_off, "goals"),
        "wins": partial(bake_off, "wins"),
    },
    "docs/benchmarks.md": {
        "benchmarks": partial(benchmarks, "table"),
        "machine": partial(benchmarks, "machine"),
        "benchmarks on a GPU": partial(benchmarks, "table", "benchmarks-cuda"),
        "machine with a GPU": partial(benchmarks, "machine", "benchmarks-cuda"),
    },
    "docs/spec.md": {"keys": spec_reference},
    "docs/commands.md": {"commands": commands},
    "docs/many-machines.md": {
        "answer of mnist-fair-cuda": partial(answer_block, "mnist-fair-cuda"),
    },
    "docs/results.md": {
        "answer of mnist-article": partial(answer_block, "mnist-article"),
        "answer of street-digits-cnn": partial(answer_block, "street-digits-cnn"),
        "answer of street-digits-bounds": partial(answer_block, "street-digits-bounds"),
        "answer of modern-baselines": partial(answer_block, "modern-baselines"),
        "side by side": lambda: f"```text\n{effects()}\n```",
        "on another processor": another_processor.counts,
        "what differs there": another_processor.differing,
    },
}
"""What is generated, by the file and the name of the part."""


def generated(path: str) -> str:
    """Return a file with its generated parts as they are now."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for name, make in PARTS[path].items():
        part = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", flags=re.DOTALL)
        text, number = part.subn(lambda found, make=make: f"{found[1]}{make()}\n{found[2]}", text)
        if number != 1:
            raise ValueError(f"{path}: there is no part {name!r}")
    return text


if __name__ == "__main__":
    for path in PARTS:
        (ROOT / path).write_text(generated(path), encoding="utf-8")
