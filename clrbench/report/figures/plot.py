"""What a figure of an experiment is, before and after it is drawn."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from clrbench.analysis.tables import Findings
from clrbench.report.figures.svg import Svg


@dataclass(frozen=True)
class Plot:
    """A figure of an experiment.

    Attributes:
        draw: Draws it; None where there is nothing to draw.
        alt: Tells the numbers instead of it.
        on_page: Whether the page shows it, rather than other pictures of the same.
    """

    name: str
    draw: Callable[[Findings], Figure | None]
    caption: Callable[[Findings], str]
    alt: Callable[[Findings], str]
    on_page: bool = True


@dataclass(frozen=True)
class DrawnPlot:
    """A figure of one experiment.

    Attributes:
        svg: As the page shows it; None where it does not.
        png: The bytes of `plots/<name>.png`; empty where there is no such file.
    """

    name: str
    svg: Svg | None
    caption: str
    alt: str
    png: bytes = b""


def sentences(clauses: Iterable[str]) -> str:
    """Return clauses as sentences."""
    return " ".join(f"{clause}." for clause in clauses)
