"""What a figure of an experiment is, before and after it is drawn."""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from clrbench.analysis.tables import Findings


@dataclass(frozen=True)
class Plot:
    """A figure of an experiment: `draw` gives None where there is nothing to draw, `alt` tells the numbers instead of it."""

    name: str
    draw: Callable[[Findings], Figure | None]
    caption: Callable[[Findings], str]
    alt: Callable[[Findings], str]


@dataclass(frozen=True)
class DrawnPlot:
    """A figure of one experiment, with the bytes of `plots/<name>.png`."""

    name: str
    png: bytes
    caption: str
    alt: str

    @property
    def data_uri(self) -> str:
        """The picture as a `data:` URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def sentences(clauses: Iterable[str]) -> str:
    """Return clauses as sentences."""
    return " ".join(f"{clause}." for clause in clauses)
