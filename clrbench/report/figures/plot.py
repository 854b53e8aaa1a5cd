"""What a figure of an experiment is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from clrbench.analysis.tables import Findings


@dataclass(frozen=True)
class Plot:
    """A figure of an experiment.

    Attributes:
        name: Of its file, without `.png`.
        draw: Draws it from the tables; None where there is nothing to draw.
        caption: What it is, in one sentence without a full stop.
        alt: What it shows, with the numbers that matter, for those who cannot see it.
    """

    name: str
    draw: Callable[[Findings], Figure | None]
    caption: Callable[[Findings], str]
    alt: Callable[[Findings], str]


def sentences(clauses: Iterable[str]) -> str:
    """Return clauses as sentences."""
    return " ".join(f"{clause}." for clause in clauses)
