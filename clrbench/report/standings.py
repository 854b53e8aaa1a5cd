"""The arms of a backend as rows of words, the best first: the table of the answer, for terminal and page."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from clrbench.analysis.glance import BackendGlance, Glance, Standing
from clrbench.report import answer as said
from clrbench.report import words
from clrbench.report.values import Values, difference_words, verdict_values
from clrbench.report.words import plain


@dataclass(frozen=True)
class StandingRow:
    """An arm in words.

    Attributes:
        against: Its baseline; empty for a baseline.
        difference: Mean difference to the baseline and its interval, such as `+0.91 [+0.50, +1.32]`.
        verdict: With its sign, such as `+ better`; empty for a baseline.
        times: When it reached each target.
        standing: The same in numbers.
    """

    label: str
    mean: str
    against: str
    difference: str
    p_value: str
    verdict: str
    times: tuple[str, ...]
    standing: Standing


@dataclass(frozen=True)
class StandingsTable:
    """The arms of a backend in words, with the headings of the columns.

    Attributes:
        compared: Whether there is anything in the columns of difference, p and verdict.
        several_baselines: Whether arms are compared with different ones, so that each row names its own.
        targets: Headings of the times.
    """

    backend: str
    metric: str
    difference: str
    p_value: str
    targets: tuple[str, ...]
    compared: bool
    several_baselines: bool
    rows: tuple[StandingRow, ...]

    @property
    def headings(self) -> list[str]:
        """All headings from the left to the right."""
        against = ["against"] if self.several_baselines else []
        compared = [*against, self.difference, self.p_value, "verdict"] if self.compared else []
        return [self.backend, self.metric, *compared, *self.targets]

    def cells(self, row: StandingRow) -> list[str]:
        """Return the cells of a row, under `headings`."""
        against = [row.against] if self.several_baselines else []
        compared = [*against, row.difference, row.p_value, row.verdict] if self.compared else []
        return [row.label, row.mean, *compared, *row.times]


def standings_table(answer: Glance, backend: BackendGlance) -> StandingsTable:
    """Return the arms of a backend in words."""
    values = verdict_values(answer)
    judged = [one.evidence for one in backend.standings if one.evidence]
    baselines = {one.comparison.baseline for one in backend.standings if one.comparison}
    return StandingsTable(
        backend=backend.backend,
        metric=plain(values.metric),
        difference=f"difference, {words.level_words(judged[0].alpha)} CI" if judged else "",
        p_value=words.p_label(judged[0].comparisons if judged else 1),
        targets=tuple(said.target_heading(*target) for target in backend.targets),
        compared=bool(judged),
        several_baselines=len(baselines) > 1,
        rows=tuple(_row(one, baselines, values, backend.targets) for one in backend.standings),
    )


def _row(
    one: Standing, baselines: Collection[str], values: Values, targets: Sequence[tuple[str, float]]
) -> StandingRow:
    row, evidence = one.comparison, one.evidence
    times = {(time.metric, time.target): said.time_words(time) for time in one.times}
    compared = row is not None and row.pairs > 0
    return StandingRow(
        label=one.label,
        mean=_mean_words(one, values),
        against=row.baseline if row else "",
        difference=difference_words(row, values) if row else _uncompared_words(one, baselines),
        p_value=f"{evidence.adjusted_p_value:.2g}" if evidence is not None and compared else "",
        verdict="" if row is None else said.verdict_words(row.verdict),
        times=tuple(times.get(target, "-") for target in targets),
        standing=one,
    )


def _uncompared_words(one: Standing, baselines: Collection[str]) -> str:
    if one.label in baselines:
        return "(baseline)"
    return "(other baseline)" if one.is_baseline else "-"


def _mean_words(one: Standing, values: Values) -> str:
    if math.isnan(one.mean):
        return "all diverged" if one.diverged else "-"
    return f"{values.value(one.mean)} +- {values.value(one.sd)}" if math.isfinite(one.sd) else values.value(one.mean)
