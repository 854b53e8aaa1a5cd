"""What a figure of an experiment is, before and after it is drawn."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from clrbench.analysis.tables import Findings
from clrbench.report.figures.style import to_png
from clrbench.report.figures.svg import Svg, to_svg


@dataclass(frozen=True)
class Plot:
    """A figure of an experiment: `draw` gives None where there is nothing to draw, `alt` tells the numbers instead of it."""

    name: str
    draw: Callable[[Findings], Figure | None]
    caption: Callable[[Findings], str]
    alt: Callable[[Findings], str]


@dataclass(frozen=True)
class DrawnPlot:
    """A figure of one experiment, as a page shows it and with the bytes of `plots/<name>.png`; empty where there is no file."""

    name: str
    svg: Svg
    caption: str
    alt: str
    png: bytes = b""


def sentences(clauses: Iterable[str]) -> str:
    """Return clauses as sentences."""
    return " ".join(f"{clause}." for clause in clauses)


def drawn(figure: Figure, name: str, caption: str, alt: str) -> DrawnPlot:
    """Return a figure both as a file and as a part of a page."""
    return DrawnPlot(name, to_svg(figure, name), caption, alt, to_png(figure))
