"""A figure as SVG within a page: its text stays text, and its greys follow the scheme of the page."""

import io
import re
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from clrbench.report.figures.style import BAND_COLOUR, BOUND_COLOUR, lay_out

_COLOURS = {
    "#000000": "currentColor",
    "#ffffff": "var(--ground)",
    "#333333": "var(--text)",
    "#444444": "var(--quiet)",
    "#555555": "var(--quiet)",
    "#777777": "var(--quiet)",
    "#e4e4e4": "var(--grid)",
    BAND_COLOUR: "var(--band)",
    BOUND_COLOUR: "var(--bound)",
}
"""What stands in for each neutral or dark colour of the house style; those of the arms are seen on light and dark alike."""

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class Svg:
    """A drawing as markup that may stand in a page, `body`, and how large it is, `view_box`."""

    view_box: str
    body: str


def to_svg(figure: Figure, name: str) -> Svg:
    """Return a figure as SVG, whose identifiers start with its name; equal figures give equal markup."""
    buffer = io.StringIO()
    lay_out(figure)
    dpi = figure.dpi
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "clrbench"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata=_NO_METADATA)  # type: ignore[no-untyped-call]
    figure.dpi = dpi  # which matplotlib leaves at 72, so that a PNG drawn next would be a small one
    text = buffer.getvalue()
    (view_box,) = re.findall(r'<svg[^>]* viewBox="([^"]+)"', text)
    (body,) = re.findall(r"<svg[^>]*>(.*)</svg>", text, flags=re.DOTALL)
    return Svg(view_box, _for_page(body, name))


def _for_page(body: str, name: str) -> str:
    """Return markup without what a page does not need, and with names of its own for what it refers to."""
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'(?<=[ "])(-?\d+\.\d{3,})(?=[ "\n])', _rounded, body)
    body = re.sub(r" font-family: [^;]*;| transform=\"rotate\(-?0 [^)]*\)\"", "", body)
    for colour, shown in _COLOURS.items():
        body = body.replace(colour, shown)
    return re.sub(r"\s*\n\s*", "\n", body).strip()


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
