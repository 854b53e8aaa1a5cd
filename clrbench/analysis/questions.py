"""What a comparison is to answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """What a comparison is to answer.

    Attributes:
        alpha: Risk of a false "better" or "worse" in the whole family.
        margin: Differences up to this size do not matter; None where none is given for this metric, or the rows cannot show it.
        comparisons: How many comparisons share the risk.
    """

    alpha: float
    margin: float | None
    higher_is_better: bool
    comparisons: int = 1
