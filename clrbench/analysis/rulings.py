"""What a verdict counts as where somebody acts on it, as `--fail-if` does."""

from dataclasses import dataclass

import pandas as pd

from clrbench.analysis.comparison import Comparison, Evidence, read_rows
from clrbench.planning.tuning import labelled_arm
from clrbench.spec import Spec


@dataclass(frozen=True)
class Ruling:
    """Whether a verdict in the metric of the verdict counts as better where somebody acts on it.

    Attributes:
        for_want_of_tuning: Whether it is better, and counts as not better as its baseline is untuned.
    """

    backend: str
    candidate: str
    baseline: str
    verdict: str
    for_want_of_tuning: bool

    @property
    def is_better(self) -> bool:
        """Whether it counts as better."""
        return self.verdict == "better" and not self.for_want_of_tuning


def rulings(comparison: pd.DataFrame, evidence: pd.DataFrame, spec: Spec) -> list[Ruling]:
    """Return what each verdict in comparison.csv and evidence.csv counts as.

    A tuned baseline stands for two verdicts. That against the rate given is no straw man, as the other stands beside it.
    """
    primary = comparison[comparison["metric"] == spec.verdict.metric]
    found = []
    for row, behind in zip(read_rows(Comparison, primary), read_rows(Evidence, evidence), strict=True):
        alone = labelled_arm(spec, row.baseline) == row.baseline
        wanting = row.verdict == "better" and behind.untuned and alone
        found.append(Ruling(row.backend, row.candidate, row.baseline, row.verdict, wanting))
    return found
