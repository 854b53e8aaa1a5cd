"""What a report came to, as it is kept beside what it wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from clrbench.analysis.rulings import Ruling
from clrbench.records import Json


@dataclass(frozen=True)
class Reported:
    """What an experiment came to.

    Attributes:
        texts: The answer by the number of columns that it is laid out for, as text.
        data: The same for programs.
        rulings: What each verdict counts as, untuned baselines being such.
        has_answer: Whether every arm has a run that did not diverge.
    """

    texts: Mapping[str, str]
    data: Mapping[str, Json]
    rulings: tuple[Ruling, ...]
    has_answer: bool

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """Return what was kept as plain data."""
        return cls(kept["texts"], kept["data"], tuple(Ruling(**one) for one in kept["rulings"]), kept["has_answer"])

    def text(self, width: int) -> str:
        """Return the answer laid out for so many columns, or for the most below that it was laid out for."""
        widths = sorted(map(int, self.texts))
        return self.texts[str(max((one for one in widths if one <= width), default=widths[0]))]
