"""The figure of the LR range test: accuracy and loss against the learning rate, and the bounds read off them."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clrbench.analysis.bounds import RangeTest, accuracy_column, confirmation_table, curve_table, is_exponential
from clrbench.counted import counted
from clrbench.rates import Rates
from clrbench.records import DoubleArray
from clrbench.report.figures import style
from clrbench.report.figures.plot import DrawnPlot, sentences
from clrbench.report.figures.svg import to_svg
from clrbench.report.words import metric_label
from clrbench.spec import BackendName

_ACCURACY_COLOUR = "#0072B2"
_LOSS_COLOUR = "#D55E00"
_SMOOTHED_FRACTION = 0.03
_HIGHEST_LOSS = 3.0
_REASON_CHARACTERS = 108
_TRIED_COLOUR = "#333333"
_LABEL_RIGHT_UP_TO = 0.75
"""Place of max_lr, as a part of the axis, up to which the bounds are named to the right of it."""
_LABEL_WIDTH = 0.35
"""Part of the width of a panel that the names of the bounds take at most."""
_LABEL_HEIGHTS = (0.04, 0.32, 0.6)
"""Where they may stand, as parts of the height of a panel."""
_LOG_ROOM = 1.15
"""How many times beyond the last mark a logarithmic axis goes on."""
_MARKERS = {"constant": "o", "triangular": "^"}


def range_test_pictures(tests: Mapping[str | None, RangeTest]) -> Iterator[DrawnPlot]:
    """Yield the picture of each range test that has a sweep, for a page; its file stands beside its curve."""
    for arm, test in tests.items():
        curve = curve_table(test.sweeps)
        if not curve.empty:
            name = "range_test" if arm is None else f"range_test-{arm}"
            figure = draw_range_test(curve, confirmation_table(test), test.bounds)
            of_arm = "" if arm is None else f" of {arm}"
            alt = sentences(_clauses(test.bounds))
            yield DrawnPlot(name, to_svg(figure, name), f"LR range test{of_arm}: accuracy and loss over the rate", alt)


def _clauses(rates: Mapping[BackendName, Rates]) -> Iterator[str]:
    for backend, found in rates.items():
        if found.reason is not None:
            yield f"{backend}: no rates, {found.reason}"
        else:
            yield f"{backend}: {_low_words(found)}, max_lr {found.bounds[1]:.3g}, constant {found.constant:.3g}"


def _low_words(found: Rates) -> str:
    """Return where cycles begin; that is `base_lr` only where a curve shows it."""
    low = f"{found.bounds[0]:.3g}"
    return f"cycles from {low}" if found.base_lr is None else f"base_lr {low}"


@style.house_style
def draw_range_test(curve: pd.DataFrame, confirmation: pd.DataFrame, rates: Mapping[BackendName, Rates]) -> Figure:
    """Draw curve.csv, the range test of each backend: accuracy above, training loss below, bounds across both.

    What trainings at rates reached (confirmation.csv) stands on the accuracy as points.
    """
    backends = [backend for backend in rates if (curve["backend"] == backend).any()]
    metric = accuracy_column(curve)
    figure = style.new_figure(5.4)
    panels = figure.subplots(2, len(backends), sharex=True, sharey="row", squeeze=False)
    losses = []
    for (accuracy_panel, loss_panel), backend in zip(panels.T, backends, strict=True):
        rows = curve[curve["backend"] == backend]
        _draw_curve(accuracy_panel, rows, metric, _ACCURACY_COLOUR)
        losses.append(_draw_curve(loss_panel, rows, "train_loss", _LOSS_COLOUR))
        _draw_tried(accuracy_panel, confirmation[confirmation["backend"] == backend], rates[backend])
        _write_title(accuracy_panel, backend, rates[backend].reason, _REASON_CHARACTERS // len(backends))
        loss_panel.set_xlabel("learning rate")
    # The others share the axes of these two.
    top, bottom = panels[:, 0]
    if is_exponential(curve):
        style.log_scale(top, "x", style.decades(curve["lr"]))
    top.set(xlim=_limits(curve, confirmation, rates.values()), ylabel=metric_label(metric))
    bottom.set_ylabel(metric_label("train_loss", own="script" in backends))
    outside = _scale_loss(bottom, np.concatenate(losses), curve)
    low, high = top.get_ylim()
    top.set_yticks([tick for tick in top.get_yticks() if low <= tick <= high])
    for column, backend in zip(panels.T, backends, strict=True):
        if rates[backend].reason is None:
            _draw_bounds(column, rates[backend])
    style.write_caption(figure, [*_captions(curve, metric), outside, _tried_caption(confirmation)])
    return figure


def _draw_tried(axes: Axes, reached: pd.DataFrame, rates: Rates) -> None:
    """Draw the accuracy that trainings at a rate reached, in the mean over their seeds; what was chosen is filled."""
    chosen = {"constant": rates.constant_lr, "triangular": rates.max_lr}
    for kind, rows in _longest(reached).groupby("kind"):
        mean = rows.groupby("lr")["validation_accuracy"].mean().dropna()
        for lr, accuracy in zip(mean.index.to_numpy(np.float64), mean.to_numpy(np.float64), strict=True):
            face = _TRIED_COLOUR if lr == chosen[str(kind)] else "white"
            marker = _MARKERS[str(kind)]
            (point,) = axes.plot(lr, accuracy, marker, color=_TRIED_COLOUR, markersize=6, clip_on=False, label="_tried")
            point.set_markerfacecolor(face)


def _longest(reached: pd.DataFrame) -> pd.DataFrame:
    """Return the longest trainings of each backend and kind, which alone can be compared."""
    longest = reached.groupby(["backend", "kind"])["step"].transform("max")
    return reached[reached["step"] == longest]


def _limits(curve: pd.DataFrame, confirmation: pd.DataFrame, rates: Iterable[Rates]) -> tuple[float, float]:
    """Return the rates of the sweep, those of all trainings shown, and the bounds, as the ends of an axis."""
    # As exact as the table of the curve, so that no tick at an end depends on its last digits.
    low, high = (float(f"{end:.6g}") for end in (curve["lr"].min(), curve["lr"].max()))
    marked = [*_longest(confirmation)["lr"], *(bound for one in rates if one.reason is None for bound in one.bounds)]
    room = _LOG_ROOM if is_exponential(curve) else 1.0
    return min([low, *(lr / room for lr in marked)]), max([high, *(lr * room for lr in marked)])


def _tried_caption(confirmation: pd.DataFrame) -> str:
    if confirmation.empty:
        return ""
    steps = _longest(confirmation).groupby("kind")["step"].max().to_dict()
    names = {"constant": "circles: constant rates", "triangular": "triangles: cycles up to a rate"}
    shown = [f"{names[str(kind)]}, {counted(count, 'update')}" for kind, count in steps.items()]
    return f"trained at ({'; '.join(shown)}; filled: chosen)"


def _write_title(axes: Axes, backend: str, reason: str | None, characters: int) -> None:
    """Write the backend above the panel and, between them, why there are no bounds."""
    lines = textwrap.wrap(f"no rates: {reason}", characters) if reason else []
    axes.set_title(backend, pad=6 + 12 * len(lines))
    axes.annotate("\n".join(lines), (0, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points")


def _draw_curve(axes: Axes, rows: pd.DataFrame, metric: str, colour: str) -> DoubleArray:
    """Draw each seed of a backend faintly and the mean over the seeds, smoothed if raw; return the latter."""
    table = rows.pivot(index="step", columns="seed", values=metric).dropna(how="all")
    lr = rows.groupby("step")["lr"].first().loc[table.index]
    raw = metric.startswith("train")
    line = table.mean(axis=1).rolling(_window(rows) if raw else 1, center=True, min_periods=1).median()
    if raw or table.shape[1] > 1:
        axes.plot(lr, table, color=colour, linewidth=0.4 if raw else 0.7, alpha=0.25 if raw else 0.4, label="_seed")
    axes.plot(lr, line, color=colour, linewidth=style.MEAN_WIDTH, label="mean")
    return line.to_numpy(np.float64)


def _window(curve: pd.DataFrame) -> int:
    """Return over how many steps raw values are smoothed: an odd number, 3 % of the ramp."""
    return 2 * round(_SMOOTHED_FRACTION * int(curve["step"].max()) / 2) + 1


def _scale_loss(axes: Axes, line: DoubleArray, curve: pd.DataFrame) -> str:
    """Scale the y axis to nearly all values, up to a few times the untrained loss; say how many lie outside."""
    losses = curve["train_loss"].to_numpy(np.float64)
    untrained = curve.loc[curve["step"] == curve["step"].min(), "train_loss"].mean()
    if not np.isfinite(untrained):
        return ""
    low, high = np.nanquantile(losses, [0.002, 0.998])
    low, high = min(low, np.nanmin(line)), min(max(high, np.nanmax(line)), _HIGHEST_LOSS * untrained)
    if high > 10 * low > 0:
        style.log_scale(axes, "y", np.log10(high / low))
    axes.set_ylim(low, high)
    outside = int(((losses < low) | (losses > high)).sum())
    return f"not shown: {outside} of {np.isfinite(losses).sum()} losses outside the axis" if outside else ""


def _draw_bounds(column: Sequence[Axes], rates: Rates) -> None:
    """Mark the bounds in both panels of a backend, and name them where the accuracy curve is not.

    Where base_lr is not known the line that cycles start from is dashed.
    """
    base_lr, max_lr = rates.bounds
    dashes = "-" if rates.base_lr is not None else (0, (2, 2))
    for axes in column:
        axes.axvspan(base_lr, max_lr, color=style.BOUND_COLOUR, alpha=0.09, linewidth=0)
        axes.axvline(base_lr, color=style.BOUND_COLOUR, linewidth=1.3, linestyle=dashes, label="_bound")
        axes.axvline(max_lr, color=style.BOUND_COLOUR, linewidth=1.3, label="_bound")
    axes = column[0]
    # Both beside the band, where neither can be taken for the name of the other's line.
    left = _place(axes, np.array([max_lr, 0.0]))[0] > _LABEL_RIGHT_UP_TO
    beside = base_lr if left else max_lr
    axes.annotate(
        f"max_lr {max_lr:.3g}\n{_low_words(rates)}",
        (beside, _free_height(axes, beside, left=left)),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if left else 4, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="bottom",
        color=style.BOUND_COLOUR,
        fontweight="bold",
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
    )


def _place(axes: Axes, points: DoubleArray) -> DoubleArray:
    """Return points of the data, float64[..., 2], as parts of the axes."""
    return np.asarray(axes.transAxes.inverted().transform(axes.transData.transform(points)), np.float64)


def _free_height(axes: Axes, beside: float, *, left: bool) -> float:
    """Return where the mean leaves room for the names of the bounds beside a rate: at the bottom, or else as low as it can be."""
    start = _place(axes, np.array([beside, 0.0]))[0]
    (mean,) = (line for line in axes.get_lines() if line.get_label() == "mean")
    x, y = _place(axes, np.asarray(mean.get_xydata(), np.float64)).T
    below = y[(start - _LABEL_WIDTH <= x) & (x <= start) if left else (start <= x) & (x <= start + _LABEL_WIDTH)]
    free = (height for height in _LABEL_HEIGHTS if not ((height - 0.04 < below) & (below < height + 0.26)).any())
    return next(free, _LABEL_HEIGHTS[0])


def _captions(curve: pd.DataFrame, metric: str) -> list[str]:
    seeds = list(curve["seed"].unique())
    ends = [run["train_loss"].iloc[-1] for _, run in curve.groupby(["backend", "seed"])]
    diverged = int(np.isnan(ends).sum())
    goes_on = "; the mean goes on without them" if len(seeds) > 1 else ""
    line = (
        f"mean of {counted(len(seeds), 'seed')}, faint: single seeds"
        if len(seeds) > 1
        else f"the only seed ({seeds[0]})"
    )
    return [
        f"LR range test, {'exponential' if is_exponential(curve) else 'linear'} ramp of {counted(curve['step'].max(), 'step')}",
        f"line: {line}",
        f"{'accuracy and loss' if metric == 'train_accuracy' else 'loss'}: moving median of {counted(_window(curve), 'step')}",
        f"{diverged} of {counted(len(ends), 'run')} diverged before the end of the ramp{goes_on}" if diverged else "",
    ]
