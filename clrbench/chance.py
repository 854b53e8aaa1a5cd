"""What guessing reaches, and what is more than that by more than the noise of so few validation rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

MAX_EQUAL_RATIO = 4.0
"""Where the largest class has more than so many times the rows of the smallest, accuracy is averaged over classes."""

CLEAR_ERRORS = 3.0
"""Standard errors by which an accuracy must exceed that of guessing, once."""

UNKNOWN_ROWS_MARGIN = 0.05
"""What an accuracy must exceed that of guessing by, where nobody said how many validation rows there are."""


@dataclass(frozen=True)
class Floor:
    """The accuracy of guessing on validation rows of these classes; without any, chance over `num_classes`.

    Where nobody knows how many classes there are, `num_classes` is 0, and so is the accuracy.
    """

    class_counts: tuple[int, ...]
    num_classes: int

    @property
    def rows(self) -> int:
        """Validation rows."""
        return sum(self.class_counts)

    @cached_property
    def uses_balanced_accuracy(self) -> bool:
        """Whether classes differ so much in size that accuracy is averaged over them."""
        there = [count for count in self.class_counts if count]
        return bool(there) and max(there) > MAX_EQUAL_RATIO * min(there)

    @cached_property
    def accuracy(self) -> float:
        """Accuracy of guessing: the larger of chance and, where it is not averaged over the classes, the share of the largest."""
        chance = 1 / self.num_classes if self.num_classes else 0.0
        if self.uses_balanced_accuracy or not self.rows:
            return chance
        return max(chance, max(self.class_counts) / self.rows)

    def error(self, accuracy: float) -> float:
        """Return the standard error of an accuracy over the validation rows; 0 without any."""
        if not self.rows:
            return 0.0
        variance = max(accuracy * (1 - accuracy), 1 / self.rows)
        if not self.uses_balanced_accuracy:
            return math.sqrt(variance / self.rows)
        there = [count for count in self.class_counts if count]
        return math.sqrt(sum(variance / count for count in there)) / len(there)

    def clears(self, accuracy: float, looks: int = 1) -> bool:
        """Return whether an accuracy, the best of so many looks, is more than guessing reaches by chance."""
        errors = CLEAR_ERRORS + math.sqrt(2 * math.log(max(looks, 1))) / 2
        margin = errors * self.error(self.accuracy) if self.rows else UNKNOWN_ROWS_MARGIN
        return accuracy > self.accuracy + margin
