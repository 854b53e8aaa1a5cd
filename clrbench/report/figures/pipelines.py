"""The figure of the pipelines: images a second of each on each backend, alone and in training."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrbench.report.figures import style
from clrbench.report.words import counted

_TITLES = {
    "alone": "alone: images brought to the device",
    "training": "training: and an update with each batch",
}
_BAR_HEIGHT = 0.36
_DOT_COLOUR = "#333333"


@style.house_style
def draw_pipelines(table: pd.DataFrame) -> Figure:
    """Draw the median of each pipeline as a bar and each repetition as a dot, a panel for each way to measure.

    Args:
        table: The table pipelines.csv: backend, pipeline, measured, repetition, images_per_second, batch_size, threads,
            device, a row a stretch.
    """
    backends = [str(backend) for backend in table["backend"].unique()]
    figure = style.new_figure(1.6 + 0.8 * len(backends))
    panels = figure.subplots(1, len(_TITLES), sharey=True, squeeze=False)[0]
    for axes, (measured, title) in zip(panels, _TITLES.items(), strict=True):
        _draw(axes, table[table["measured"] == measured], backends)
        axes.set(title=title, xlabel="images per second")
    panels[0].set_yticks(range(len(backends)), backends, fontsize=10)
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(handles))
    drawn = f"bars and numbers: medians of {table['repetition'].max()} repetitions; dots: each of them"
    style.write_caption(figure, [drawn, *conditions(table)])
    return figure


def conditions(table: pd.DataFrame) -> list[str]:
    """Return under what conditions each backend was measured, such as `torch: batches of 100, 2 threads, cpu`."""
    firsts = table.drop_duplicates("backend")
    return [
        f"{backend}: batches of {batch_size}, {counted(threads, 'thread')}, {device}"
        for backend, batch_size, threads, device in firsts[["backend", "batch_size", "threads", "device"]].to_numpy()
    ]


def _draw(axes: Axes, table: pd.DataFrame, backends: list[str]) -> None:
    """Draw the bars of a panel, a group for each backend, with the median at the end of each."""
    pipelines = [str(pipeline) for pipeline in table["pipeline"].unique()]
    colours = style.arm_colours(pipelines)
    for i, pipeline in enumerate(pipelines):
        found = table[table["pipeline"] == pipeline].groupby("backend")["images_per_second"]
        offset = (i - (len(pipelines) - 1) / 2) * _BAR_HEIGHT
        heights = [row + offset for row in range(len(backends))]
        medians = found.median().loc[backends].to_list()
        axes.barh(heights, medians, 0.9 * _BAR_HEIGHT, color=colours[pipeline], alpha=0.75, label=pipeline)
        for height, backend, median in zip(heights, backends, medians, strict=True):
            rates = found.get_group(backend)
            axes.plot(rates, [height] * len(rates), "o", color=_DOT_COLOUR, markersize=2.5, label="_repetition")
            beyond = max(median, rates.max())
            axes.annotate(
                rounded(median), (beyond, height), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8
            )
    # Room for the number at the longest bar.
    axes.set_xlim(0, 1.25 * table["images_per_second"].max())
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(visible=False, axis="y")


def rounded(rate: float) -> str:
    """Return a rate as text, to the three digits that mean something."""
    return f"{float(f'{rate:.3g}'):,.10g}"
