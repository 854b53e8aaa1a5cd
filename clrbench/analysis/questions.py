"""What a comparison is to answer."""

from dataclasses import dataclass, replace

# Differences of rounded decimals miss a margin that they are equal to by less than this share of it.
_ROUNDING = 1e-9


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

    @property
    def share(self) -> "Question":
        """The question of one comparison alone, at its share of the risk."""
        return replace(self, alpha=self.alpha / self.comparisons, comparisons=1)

    def word(self, difference: float, interval: tuple[float, float], p_value: float) -> str:
        """Return what a comparison with enough runs shows.

        Args:
            difference: Mean difference, candidate - baseline.
            interval: The ends of its interval at the level of `share`.
            p_value: Its exact p, adjusted for the family.
        """
        low, high = interval
        # A difference as large as the margin must be rejected, too: on few rows many pairs lie right at it.
        inside = 0.0 if self.margin is None else self.margin * (1 - _ROUNDING)
        if -inside < low and high < inside:
            return "equivalent"
        if p_value > self.alpha:
            return "no difference shown"
        return "better" if (difference > 0) == self.higher_is_better else "worse"
