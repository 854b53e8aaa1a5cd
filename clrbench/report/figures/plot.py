"""What a figure of an experiment is, before and after it is drawn."""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from clrbench.analysis.tables import Findings


@dataclass(frozen=True)
class Plot:
    """A figure that is drawn of every experiment that has something to show in it.

    Attributes:
        name: Name of the file without `.png`.
        draw: Draws it from the tables; None where there is nothing to draw.
        caption: What it is, in one sentence without a full stop.
        alt: What it shows, with the numbers that matter, for those who cannot see it.
    """

    name: str
    draw: Callable[[Findings], Figure | None]
    caption: Callable[[Findings], str]
    alt: Callable[[Findings], str]


@dataclass(frozen=True)
class DrawnPlot:
    """A figure of one experiment.

    Attributes:
        name: As in `plots/<name>.png`.
        png: The bytes of that file.
        caption: See `Plot.caption`.
        alt: See `Plot.alt`.
    """

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
