"""Results in tables that other trainers wrote: which column is what, and a value for each arm and pair."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from clrbench.analysis.own_columns import ARM_NAMES, PAIR_NAMES, STEP_NAMES, Columns, cut, words_of
from clrbench.errors import SpecError
from clrbench.store.own_table import OwnTable, is_missing, number, number_advice

At: TypeAlias = int | Literal["end", "best"]

LOWER_IS_BETTER = (
    *(
        "loss",
        "losses",
        "error",
        "errors",
        "err",
        "perplexity",
        "ppl",
        "nll",
        "rmse",
        "mse",
        "mae",
        "wer",
        "cer",
        "fid",
    ),
    *(
        "logloss",
        "brier",
        "ece",
        "bpc",
        "bpb",
        "mape",
        "smape",
        "rmsle",
        "regret",
        "cost",
        "seconds",
        "latency",
        "runtime",
    ),
)
"""Parts of the name of a metric by which a lower value is taken to be better; said where it is."""

MAX_PAIRS = 1000
"""Of one comparison; tests of so many would fill the memory, and are no longer a matter of chance."""


@dataclass(frozen=True)
class Asked:
    """What to read from tables, and how; a column that is None is guessed.

    Attributes:
        arms: In a wide table, the columns that are arms; empty in a long one.
        by: Column of groups, each with a verdict of its own.
        at: Which row of a run counts, where it has several: the last, the best or the one at a step.
    """

    arm: str | None = None
    pair: str | None = None
    metric: str | None = None
    step: str | None = None
    by: str | None = None
    arms: tuple[str, ...] = ()
    at: At = "end"
    lower_is_better: bool | None = None


class RunKey(NamedTuple):
    """A run by its group, arm and pair; the pair is the number of the row where runs are not paired."""

    group: str
    arm: str
    pair: str


@dataclass(frozen=True, eq=False)
class OwnResults:
    """A value for each run.

    Attributes:
        values: nan where the run diverged.
        arms: In the order of the file, as are groups.
        notes: What was taken for what, a sentence each.
    """

    metric: str
    higher_is_better: bool
    paired: bool
    values: Mapping[RunKey, float]
    arms: tuple[str, ...]
    groups: tuple[str, ...]
    notes: tuple[str, ...]


class _Row(NamedTuple):
    key: RunKey
    value: float
    step: float
    place: str


def read_own_results(tables: Sequence[OwnTable], asked: Asked) -> OwnResults:
    """Return the value of each run in tables.

    Raises:
        SpecError: If a column is missing or in doubt, a field that is used is empty or no number, or a run stands twice.
    """
    notes: list[str] = []
    if asked.arms:
        (rows, metric), paired = _wide(tables, asked, notes), True
    else:
        rows, metric, paired = _long(tables, asked, notes)
    higher_is_better = not (_sounds_lower(metric, notes) if asked.lower_is_better is None else asked.lower_is_better)
    values = _one_a_run(rows, asked.at, notes, higher_is_better=higher_is_better)
    arms, groups = (tuple(dict.fromkeys(getattr(key, name) for key in values)) for name in ("arm", "group"))
    return OwnResults(metric, higher_is_better, paired, values, arms, groups, tuple(dict.fromkeys(notes)))


def _long(tables: Sequence[OwnTable], asked: Asked, notes: list[str]) -> tuple[list[_Row], str, bool]:
    columns = Columns(tables, notes)
    by = columns.named("by", asked.by)
    arm = columns.named("arm", asked.arm) or columns.guessed("arm", ARM_NAMES, {by}, varies=True)
    if arm is None and len(tables) < 2:
        raise SpecError(columns.no_arms({by}))
    pair = columns.named("pair", asked.pair) or columns.guessed("pair", PAIR_NAMES, {by, arm})
    step = columns.named("step", asked.step) or columns.first("step", STEP_NAMES, {by, arm, pair, asked.metric})
    _check_at(tables, step, asked.at)
    metric = columns.named("metric", asked.metric) or columns.metric({by, arm, pair, step})
    names = _file_names(tables)
    if arm is None:
        notes.append(f"arms: {', '.join(names)}, a file each")
    _check_runs(tables, step, pair)
    rows = []
    for file, table in enumerate(tables):
        arms = [names[file]] * len(table.rows) if arm is None else _texts(table, arm)
        pairs = _texts(table, pair) if pair else _row_names(tables, file)
        steps = _steps(table, step)
        groups = _texts(table, by) if by else [""] * len(table.rows)
        values = _numbers(table, metric)
        for row, (group, name, seed) in enumerate(zip(groups, arms, pairs, strict=True)):
            rows.append(_Row(RunKey(group, name, _plain(seed)), values[row], steps[row], table.at(row)))
    paired = pair is not None and (asked.pair is not None or _has_pairs(row.key for row in rows))
    if pair is not None and not paired:
        notes.append(f"no value of {pair} stands in two arms, so runs are not paired by it")
    return rows, metric, paired


def _wide(tables: Sequence[OwnTable], asked: Asked, notes: list[str]) -> tuple[list[_Row], str]:
    columns = Columns(tables, notes)
    for name in asked.arms:
        columns.named("arms", name)
    if len(set(asked.arms)) < len(asked.arms) or len(asked.arms) < 2:
        raise SpecError(f"arms: got {','.join(asked.arms)}; allowed: at least two columns, each once")
    if asked.arm is not None:
        raise SpecError("arm names a column of arms, and arms one column per arm; leave one of them out")
    by = columns.named("by", asked.by)
    pair = columns.named("pair", asked.pair) or columns.guessed("pair", PAIR_NAMES, {by, *asked.arms})
    step = columns.named("step", asked.step) or columns.first("step", STEP_NAMES, {by, pair, *asked.arms})
    _check_at(tables, step, asked.at)
    _check_runs(tables, step, pair)
    if pair is None:
        notes.append("pairs: each row is one")
    rows = []
    for file, table in enumerate(tables):
        pairs = _texts(table, pair) if pair else _row_names(tables, file)
        steps = _steps(table, step)
        groups = _texts(table, by) if by else [""] * len(table.rows)
        for name in asked.arms:
            for row, value in enumerate(_numbers(table, name)):
                rows.append(_Row(RunKey(groups[row], name, _plain(pairs[row])), value, steps[row], table.at(row)))
    return rows, asked.metric or "value"


def _file_names(tables: Sequence[OwnTable]) -> list[str]:
    """Return what tells files apart: their names, or where these are the same their paths."""
    names = [table.path.stem for table in tables]
    if len(set(names)) == len(names):
        return names
    paths = [str(table.path.with_suffix("")) for table in tables]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise SpecError(
            f"{twice}: got this file twice, or two whose paths differ in their suffix alone; name each once"
        )
    return paths


def _row_names(tables: Sequence[OwnTable], file: int) -> list[str]:
    """Return a name for each row of a table, its number from 1 on; after the name of its file where there are several."""
    start = f"{_file_names(tables)[file]}:" if len(tables) > 1 else ""
    return [f"{start}{row}" for row in range(1, len(tables[file].rows) + 1)]


def _check_runs(tables: Sequence[OwnTable], step: str | None, pair: str | None) -> None:
    """Raise SpecError where rows are steps of runs, and nothing says of which: they would count as a run each."""
    if step is None or pair is not None or len({field for table in tables for field in table.column(step)}) < 2:
        return
    raise SpecError(
        f"{tables[0].path}: {step} tells the rows of a run apart, and no column says which run a row is of; name it with "
        f"the option pair, or, where each row is a run of its own, leave the column {step} out"
    )


def _check_at(tables: Sequence[OwnTable], step: str | None, at: At) -> None:
    """Raise SpecError where a step is asked for, and no column says which step a row is of."""
    if step is None and at not in {"end", "best"}:
        raise SpecError(
            f"{tables[0].path}: at: got {at}, and no column looks like the step; it has {tables[0].listed}; name it with the "
            "option step, or leave at out"
        )


def _has_pairs(runs: Iterable[RunKey]) -> bool:
    """Return whether any pair has runs of two arms."""
    arms: dict[tuple[str, str], str] = {}
    return any(arms.setdefault((run.group, run.pair), run.arm) != run.arm for run in runs)


def _texts(table: OwnTable, name: str) -> list[str]:
    fields = table.column(name)
    for row, field in enumerate(fields):
        if not field:
            raise SpecError(f"{table.at(row)}: {name} is empty; give every row a value, or leave the row out")
        if not field.isprintable():
            raise SpecError(f"{table.at(row)}: {name}: got {ascii(field)[:60]}; allowed: text that can be printed")
    return fields


def _numbers(table: OwnTable, name: str) -> list[float]:
    return [_number(table, row, name, field) for row, field in enumerate(table.column(name))]


def _number(table: OwnTable, row: int, name: str, field: str) -> float:
    if is_missing(field):
        got = f"got {field!r}, a missing value" if field else "is empty"
        raise SpecError(f"{table.at(row)}: {name} {got}; write nan for a run that diverged, or leave the row out")
    value = number(field)
    if value is None:
        raise SpecError(
            f"{table.at(row)}: {name}: got {field[:60]!r}; allowed: a number, or nan for a run that diverged"
            f"{number_advice(field)}"
        )
    return value if np.isfinite(value) else np.nan


def _steps(table: OwnTable, name: str | None) -> list[float]:
    """Return the step of each row; 0 where no column says it."""
    if name is None:
        return [0.0] * len(table.rows)
    return [_step(table, row, name, field) for row, field in enumerate(table.column(name))]


def _step(table: OwnTable, row: int, name: str, field: str) -> float:
    value = number(field)
    if value is None or not np.isfinite(value):
        got = f": got {field[:60]!r}" if field else " is empty"
        raise SpecError(
            f"{table.at(row)}: {name}{got}; allowed: a finite number, the step of the row; correct it, or leave the row out"
            f"{number_advice(field)}"
        )
    return value


def _plain(pair: str) -> str:
    """Return the name of a pair, whole numbers alike however they are written: `3`, `3.0`."""
    value = number(pair)
    return str(int(value)) if value is not None and np.isfinite(value) and value == int(value) else pair


def _sounds_lower(metric: str, notes: list[str]) -> bool:
    lower = not words_of(metric).isdisjoint(LOWER_IS_BETTER)
    notes.append(f"{metric}: {'lower' if lower else 'higher'} is better" + (", by its name" if lower else ""))
    return lower


def _one_a_run(rows: Iterable[_Row], at: At, notes: list[str], *, higher_is_better: bool) -> dict[RunKey, float]:
    """Return which value of each run counts."""
    by_run: dict[RunKey, dict[float, _Row]] = {}
    for row in rows:
        steps = by_run.setdefault(row.key, {})
        if row.step in steps:
            raise SpecError(_twice(row, steps[row.step]))
        steps[row.step] = row
    if at == "best" and any(len(steps) > 1 for steps in by_run.values()):
        notes.append("at best: each run counts where it is best by the metric itself, which flatters both arms")
    picked = {key: _picked(steps, at, higher_is_better=higher_is_better) for key, steps in by_run.items()}
    lacking = [key for key, row in picked.items() if row is None]
    if lacking:
        if len(lacking) == len(picked):
            raise SpecError(
                f"at: got {at}; no run has a row at step {at}; allowed: {_steps_of(by_run.values())}, end, best"
            )
        notes.append(f"left out, without a row at step {at}: {_listed(lacking)}")
    found = {key: row for key, row in picked.items() if row is not None}
    ends = {row.step for row in found.values()}
    if at == "end" and len(ends) > 1:
        notes.append(f"runs end at different steps, from {min(ends):g} to {max(ends):g}; each counts at its own last")
    return {key: row.value for key, row in found.items()}


def _picked(steps: Mapping[float, _Row], at: At, *, higher_is_better: bool) -> _Row | None:
    if at == "end":
        return steps[max(steps)]
    if at == "best":
        sign = 1 if higher_is_better else -1
        known = [row for row in steps.values() if np.isfinite(row.value)]
        return max(known, key=lambda row: sign * row.value) if known else steps[max(steps)]
    return steps.get(float(at))


def _twice(row: _Row, other: _Row) -> str:
    run = f"arm {row.key.arm}, pair {row.key.pair}" + (f", {row.key.group}" if row.key.group else "")
    return (
        f"{row.place}: {run} stands here and on {other.place}; allowed: once. A column that tells them apart is named with "
        "the option step (several rows a run) or by (several experiments)"
    )


def _steps_of(runs: Iterable[Mapping[float, _Row]]) -> str:
    return cut([f"{step:g}" for step in sorted({step for steps in runs for step in steps})])


def _listed(keys: Sequence[RunKey], most: int = 8) -> str:
    names = [f"{key.arm} {key.pair}" for key in keys[:most]]
    return ", ".join([*names, f"and {len(keys) - most} more"] if len(keys) > most else names)


def by_pair(values: Mapping[RunKey, float], group: str, arm: str) -> Iterator[tuple[str, float]]:
    """Yield pair and value of each run of an arm in a group."""
    return ((key.pair, value) for key, value in values.items() if key.group == group and key.arm == arm)
