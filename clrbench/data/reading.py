"""What a spec asks for while a data set is read: a part split off for testing, and images brought to one size."""

from dataclasses import dataclass

MAX_SIDE = 4096
"""Pixels of the side of a resized image."""


@dataclass(frozen=True)
class Reading:
    """How a data set is read.

    Attributes:
        test_percent: How much of a data set without test rows is split off for testing, in per cent of its rows.
        test_count: The same as a number of rows; 0 where it is given in per cent, or where nothing is split off.
        resize: Height and width that images of a folder are brought to; None to leave them as they are.
        as_given: Whether rows may have any shape, and integers stay such, as a network of the user's own takes them; else
            [rows, height, width] are gray images.
    """

    test_percent: float = 0.0
    test_count: int = 0
    resize: int | None = None
    as_given: bool = False

    @property
    def splits(self) -> bool:
        """Whether test rows are split off."""
        return self.test_percent > 0 or self.test_count > 0

    def test_rows(self, num_rows: int) -> int:
        """Return how many of `num_rows` rows are split off for testing."""
        return self.test_count or round(num_rows * self.test_percent / 100)

    def words(self) -> str:
        """Return what is asked for, as part of a fingerprint."""
        return f"{self.test_percent:g} {self.test_count} {self.resize}{' as given' if self.as_given else ''}"


AS_IT_IS = Reading()
