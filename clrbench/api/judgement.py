"""Verdicts on results of one's own, from Python."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence, Set, Sized
from numbers import Integral
from pathlib import Path
from typing import TypeAlias

import pandas as pd
from matplotlib.figure import Figure

from clrbench.analysis.own_results import Asked, At
from clrbench.analysis.own_verdicts import OwnJudgement, OwnVerdict, Rules
from clrbench.commands.judge import judged, write_judgement
from clrbench.errors import SpecError
from clrbench.records import Json
from clrbench.report.figures.own_verdicts import draw_own_verdicts
from clrbench.report.figures.style import to_png
from clrbench.report.own_verdicts import verdicts_data, verdicts_text
from clrbench.store.own_table import OwnTable, checked_table, read_own_table

ResultsLike: TypeAlias = "pd.DataFrame | str | Path | Sequence[str | Path]"


class Judgement:
    """The verdicts on results of one's own; a notebook shows them as text, tables and picture."""

    def __init__(self, found: OwnJudgement) -> None:
        self._found = found

    @property
    def verdict(self) -> str:
        """The word of the only verdict: better, worse, equivalent, no difference shown or cannot tell.

        Raises:
            ValueError: If there are several; see `verdicts`.
        """
        if len(self.verdicts) > 1:
            raise ValueError(f"there are {len(self.verdicts)} verdicts; look at .verdicts, or at the table .comparison")
        return self.verdicts[0].verdict

    @property
    def verdicts(self) -> tuple[OwnVerdict, ...]:
        """Each comparison: numbers and word."""
        return self._found.verdicts

    @property
    def comparison(self) -> pd.DataFrame:
        """The same as a table."""
        return self._found.comparison

    @property
    def summary(self) -> pd.DataFrame:
        """The metric of each arm, over the runs that did not diverge."""
        return self._found.summary

    @property
    def differences(self) -> pd.DataFrame:
        """Candidate - baseline of each pair."""
        return self._found.differences

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read as what, and what was left out."""
        return self._found.notes

    @property
    def data(self) -> dict[str, Json]:
        """All of it as plain data, as `clrbench judge --json` prints it."""
        return verdicts_data(self._found)

    def plot(self) -> Figure:
        """Return the forest plot: one row per comparison."""
        return draw_own_verdicts(self._found)

    def save(self, folder: str | Path) -> None:
        """Write tables, plot and page into a folder, which is made where it is missing."""
        write_judgement(self._found, Path(folder))

    def __repr__(self) -> str:
        """Return the answer in words."""
        return verdicts_text(self._found)

    def _repr_html_(self) -> str:
        """Return words and picture, for a notebook."""
        picture = base64.b64encode(to_png(self.plot())).decode()
        text = html.escape(repr(self))
        return f'<pre>{text}</pre><img width="800" alt="forest plot" src="data:image/png;base64,{picture}"/>'


def judge(  # noqa: PLR0913 (each is an option of the command)
    results: ResultsLike,
    *,
    arm: str | None = None,
    pair: str | None = None,
    metric: str | None = None,
    step: str | None = None,
    by: str | None = None,
    arms: Sequence[str] = (),
    at: At = "end",
    baseline: str | None = None,
    lower_is_better: bool | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    look: int = 1,
    diverged_as: float | None = None,
) -> Judgement:
    """Give the verdict on results that any trainer wrote, as `clrbench judge` does.

    Args:
        results: A table with one row per run, or the path of a file, or several; in a table a nan is a run that diverged.
        arm: Column of the arms; guessed where there is no doubt, as are `pair`, `metric` and `step`.
        pair: Column of what pairs runs, such as the seed; without one, and without `arms`, the test is unpaired.
        metric: Column of the number to compare.
        step: Column that tells the rows of a run apart.
        by: Column of groups, each with a verdict of its own.
        arms: Columns that are arms, where a row is a pair.
        at: Which row of a run counts: "end", "best" or the number of a step.
        baseline: The arm that others are compared with; the first unless named.
        lower_is_better: By the name of the metric unless given.
        margin: Differences up to this size do not matter, in the unit of the metric.
        alpha: Risk of a false verdict, shared by all comparisons.
        look: Index of this look at the same question; alpha is divided by it.
        diverged_as: What a diverged run counts as; unless given its pair is left out.

    Raises:
        SpecError: If a column is missing or in doubt, or a row is damaged.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"seed": range(6), "base": [1, 2, 3, 4, 5, 6], "new": [2, 3, 4, 5, 6, 8]})
    >>> judge(frame, arms=["base", "new"]).verdict
    'better'
    """
    asked = Asked(arm, pair, metric, step, by, _arms(arms), _at(at), lower_is_better)
    return Judgement(judged(_tables(results), asked, Rules(baseline, margin, alpha, look, diverged_as)))


def _at(at: object) -> At:
    """Return which row counts; a whole number of any type is a step."""
    if isinstance(at, Integral) and not isinstance(at, bool) and int(at) >= 0:
        return int(at)
    if isinstance(at, str) and at in {"end", "best"}:
        return "end" if at == "end" else "best"
    raise SpecError(f"at: got {at!r}; allowed: 'end', 'best' or the number of a step")


def _arms(arms: object) -> tuple[str, ...]:
    """Return names in their order; text by itself would be read as a name per letter."""
    names = None if isinstance(arms, str | Set) or not isinstance(arms, Iterable) else tuple(arms)
    if names is None or not all(isinstance(name, str) for name in names):
        raise SpecError(f"arms: got {arms!r}; allowed: a list of columns, such as ['base', 'new']")
    return names


def _tables(results: object) -> list[OwnTable]:
    if isinstance(results, pd.DataFrame):
        return [_from_frame(results)]
    paths = [results] if isinstance(results, str | Path) else _several(results)
    if not paths or not all(isinstance(path, str | Path) for path in paths):
        raise SpecError(
            f"results: got {type(results).__name__}{_emptiness(results)}; allowed: a DataFrame, the path of a file, or several; "
            "pandas.DataFrame(rows) makes a table"
        )
    return [read_own_table(Path(path)) for path in paths]


def _several(results: object) -> list[str | Path]:
    return list(results) if isinstance(results, Iterable) and not isinstance(results, Mapping) else []


def _emptiness(results: object) -> str:
    return " without entries" if isinstance(results, Sized) and not len(results) else ""


def _from_frame(frame: pd.DataFrame) -> OwnTable:
    """Return a frame as text, levels of its index that have names included; nan is a value among numbers alone."""
    index = [frame.index.get_level_values(place) for place in range(frame.index.nlevels)]
    levels = [(str(level.name), _fields(level.to_series())) for level in index if level.name is not None]
    columns = [(str(name), _fields(frame.iloc[:, place])) for place, name in enumerate(frame.columns)]
    fields = [level for level in levels if level not in columns] + columns
    rows = tuple(zip(*(values for _, values in fields), strict=True))
    return checked_table(Path("frame"), tuple(name for name, _ in fields), rows, range(1, len(rows) + 1))


def _fields(column: "pd.Series[str]") -> list[str]:
    known = [""] * len(column)
    numeric = pd.api.types.is_numeric_dtype(column)
    for place, (value, missing) in enumerate(zip(column.tolist(), column.isna(), strict=True)):
        known[place] = ("nan" if numeric else "") if missing else str(value).strip()
    return known
