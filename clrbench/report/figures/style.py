"""What all figures share: colours, scales, captions and the way to PNG."""

import io
import textwrap
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

LineStyle: TypeAlias = Literal["-", "--", ":", "-."]
Dashes: TypeAlias = tuple[float, Sequence[float]]

MEAN_WIDTH = 1.8
BAND_COLOUR = "#ececec"
"""Of what is within the margin."""
BOUND_COLOUR = "#00734f"
"""Of the rates that a range test names."""
LINE_STYLES: tuple[LineStyle, ...] = ("-", "--", ":", "-.")
_WIDTH_INCHES = 8.0
_PNG_WIDTH_PIXELS = 1600
_CAPTION_CHARACTERS = 144
_LEGEND_CHARACTERS = 112
# Okabe and Ito's colour-blind-safe set without its yellow, which is lost on white.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# "default" first: a matplotlibrc of the user must not change the figures.
house_style = style.context(
    [
        "default",
        {
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#555555",
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.formatter.useoffset": False,
            "grid.color": "#e4e4e4",
            "grid.linewidth": 0.7,
            "legend.frameon": False,
            "xtick.color": "#333333",
            "ytick.color": "#333333",
            "lines.solid_capstyle": "round",
        },
    ]
)


def arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """Return the colour `#rrggbb` of each arm, by the order of the spec; from the eighth arm on they repeat."""
    return {arm: _PALETTE[i % len(_PALETTE)] for i, arm in enumerate(arms)}


def arm_line_styles(arms: Sequence[str]) -> dict[str, LineStyle]:
    """Return the line style of each arm: solid while the colours last, then another one for each round of them."""
    return {arm: LINE_STYLES[i // len(_PALETTE) % len(LINE_STYLES)] for i, arm in enumerate(arms)}


def draw_line(
    axes: Axes, x: ArrayLike, y: ArrayLike, arm: str, arms: Sequence[str], line_style: LineStyle | Dashes | None = None
) -> Line2D:
    """Draw a line in the colour of an arm, labelled with its name, in a style of its own or in the arm's."""
    colour, line_style = arm_colours(arms)[arm], line_style or arm_line_styles(arms)[arm]
    return axes.plot(x, y, color=colour, linewidth=MEAN_WIDTH, linestyle=line_style, label=arm)[0]


def lay_out(figure: Figure) -> None:
    """Put everything in a figure where it belongs, once: a second time would move things a little."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


@house_style
def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG 1600 pixels wide, for display at 800; equal figures give equal bytes."""
    buffer = io.BytesIO()
    lay_out(figure)
    # Software: by default the file names the version of matplotlib that drew it. To compress harder takes longer than to draw.
    how = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 2}}
    FigureCanvasAgg(figure).print_png(buffer, **how)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def new_figure(height_inches: float) -> Figure:
    """Return an empty figure of the common width whose layout keeps labels, legend and caption apart."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    return Figure(figsize=(_WIDTH_INCHES, height_inches), dpi=_PNG_WIDTH_PIXELS / _WIDTH_INCHES, layout=layout)


def row_of_panels(height_inches: float, number: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with a number of panels side by side that share their axes."""
    figure = new_figure(height_inches)
    return figure, list(figure.subplots(1, number, sharex=True, sharey=True, squeeze=False)[0])


def write_caption(figure: Figure, sentences: Sequence[str]) -> None:
    """Write the sentences in small type under the figure, wrapped to its width."""
    text = textwrap.fill("; ".join(filter(None, sentences)), _CAPTION_CHARACTERS)
    # The label of the whole figure is the one text that the layout makes room for at the bottom.
    figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color="#444444", linespacing=1.3)


def write_legend(figure: Figure, handles: Sequence[Line2D], title: str | None = None) -> None:
    """Write a legend above all panels, in as many columns as fit side by side."""
    # The line before a label takes the room of about 8 characters.
    widths = [len(str(handle.get_label())) + 8 for handle in handles]
    fits = sum(widths) <= _LEGEND_CHARACTERS
    columns = len(handles) if fits else max(1, _LEGEND_CHARACTERS // max(widths))
    figure.legend(
        handles=list(handles),
        loc="outside upper left",
        ncols=columns,
        title=title,
        title_fontproperties={"size": 12, "weight": "bold"},
        alignment="left",
        columnspacing=1.6,
    )


def decades(values: ArrayLike) -> float:
    """Return how many powers of ten the finite values > 0 span; 0 without any."""
    array = np.asarray(values, np.float64)
    positive = array[np.isfinite(array) & (array > 0)]
    return float(np.log10(positive.max() / positive.min())) if len(positive) else 0.0


def log_scale(axes: Axes, which: str, span_decades: float) -> None:
    """Make the `x` or `y` axis logarithmic, with plain numbers at its ticks: at 1, 2 and 5 where it spans few decades."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span_decades <= 2.5 else (1.0,)))
    axis.set_major_formatter(_plain_number)
    axis.set_minor_formatter(NullFormatter())


def _plain_number(value: float, _: float) -> str:
    """Return the label of a tick; a function with a name, as a figure goes to another process with it."""
    return f"{value:g}"


def epoch_axis(axes: Axes, last_epoch: float) -> None:
    """Label the x axis with epochs, from 0 to the last one."""
    axes.set_xlabel("epoch")
    axes.set_xlim(0, last_epoch * 1.01)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=last_epoch >= 2))
