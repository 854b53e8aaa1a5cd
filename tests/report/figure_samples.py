"""Tables with known values, findings made by hand of them, and what can be seen in a figure of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from page_samples import sample_spec
from specs import CONSTANT

from clrbench.analysis.comparison import COMPARISON_COLUMNS
from clrbench.analysis.curves import bands_table
from clrbench.analysis.metrics import last_rows
from clrbench.analysis.pairs import DIFFERENCE_COLUMNS
from clrbench.analysis.results import Results, own_metrics
from clrbench.analysis.search import Search
from clrbench.analysis.summary import summary_table
from clrbench.analysis.tables import Findings
from clrbench.analysis.targets import TARGET_COLUMNS
from clrbench.analysis.train_curve import train_curve
from clrbench.records import DoubleArray

ARMS = ("constant", "clr", "one_cycle")
BACKENDS = ("torch", "keras")
EPOCHS = np.arange(1.0, 13.0)
STEPS_PER_EPOCH = 550
NO_PUBLISHED = pd.DataFrame(columns=["backend", "arm", "metric", "value"])


@dataclass(frozen=True, eq=False, kw_only=True)
class GivenMetrics(Results):
    """Results whose evaluations are given, in place of those of runs."""

    given: pd.DataFrame

    def once(self, make: Callable[[Results], Any]) -> Any:
        return self.given if make in (own_metrics, train_curve) else super().once(make)


def findings_by_hand(
    arms: Sequence[str],
    tables: dict[str, pd.DataFrame],
    *,
    metric: str = "test_accuracy",
    margin: float = 0.001,
    seeds: int = 10,
) -> Findings:
    """Return findings that hold the tables given and no others, but for the level of a lone comparison."""
    spec = sample_spec(
        name="mnist-mlp",
        arms=dict.fromkeys(arms, CONSTANT),
        baseline=arms[0],
        verdict={"metric": metric, "margin": margin},
        seeds=seeds,
    )
    return Findings(spec, {"evidence": pd.DataFrame({"alpha": [0.05], "comparisons": [1]}), **tables})


def findings_from_metrics(
    metrics: pd.DataFrame, arms: Sequence[str] = ARMS, *, metric: str = "test_accuracy", **tables: pd.DataFrame
) -> Findings:
    """Return findings whose bands, summary, schedules and paired differences are those of the evaluations given.

    Args:
        metrics: A table like metrics.csv.
        arms: In the order of the spec; the first one is the baseline.
        metric: That of the verdict.
        tables: Further tables, or some in place of those made of the metrics.
    """
    bare = findings_by_hand(arms, {}, metric=metric)
    nothing = pd.DataFrame()
    results = GivenMetrics(bare.spec, (), Search((), nothing, nothing, ()), given=metrics)
    comparison, differences = paired_tables(metrics, metric=metric)
    made = {
        "metrics": metrics,
        "train_curve": metrics,
        "summary": results.once(summary_table),
        "bands": results.once(bands_table),
        "schedule": schedule_table(metrics["backend"].unique(), arms),
        "comparison": comparison,
        "differences": differences,
        "published": NO_PUBLISHED,
        "targets": pd.DataFrame(columns=list(TARGET_COLUMNS)),
    }
    return Findings(bare.spec, {**bare.tables, **made, **tables})


def summary_of(arms: Sequence[str], backends: Sequence[str] = BACKENDS, *, runs: int = 10) -> pd.DataFrame:
    """Return the columns of summary.csv that count runs, none of which diverged."""
    rows = product(backends, arms, [runs], [0])
    return pd.DataFrame(rows, columns=["backend", "arm", "runs", "diverged"])


def lr_at(arm: str, epoch: np.ndarray) -> np.ndarray:
    if arm == "constant":
        return np.full_like(epoch, 0.03)
    if arm == "clr":
        return 0.01 + 0.09 * (1 - np.abs(epoch % 4 / 2 - 1))
    return np.interp(epoch, [0, 3.6, 12], [0.004, 0.1, 1e-5])


def run_rows(backend: str, arm: str, seed: int, epochs: np.ndarray = EPOCHS) -> pd.DataFrame:
    """Return the evaluations of one run."""
    rng = np.random.default_rng([seed, *arm.encode(), *backend.encode()])
    lr = lr_at(arm, epochs)
    loss = 0.32 * epochs**-0.75 + 0.35 * lr + 0.028 + rng.normal(0, 0.004, len(epochs))
    table = pd.DataFrame({"epoch": epochs, "step": (epochs * STEPS_PER_EPOCH).astype(int), "lr": lr})
    return table.assign(
        experiment="mnist-mlp",
        backend=backend,
        arm=arm,
        seed=seed,
        train_loss=loss * 0.8 - 0.02 * epochs / 12,
        train_accuracy=1 - loss / 4,
        validation_loss=loss + 0.02,
        validation_accuracy=1 - loss / 3.4,
        test_loss=loss + 0.015,
        test_accuracy=(1 - loss / 3.5).round(4),
        test_balanced_accuracy=(1 - loss / 3.3).round(4),
        status="finished",
    )


def diverge(metrics: pd.DataFrame, backend: str, arm: str, seed: int, epoch: float) -> None:
    """Let a run of the table diverge after an epoch."""
    run = (metrics["backend"] == backend) & (metrics["arm"] == arm) & (metrics["seed"] == seed)
    columns = [name for name in metrics if name.endswith(("loss", "accuracy"))]
    metrics.loc[run & (metrics["epoch"] > epoch), [*columns, "lr"]] = np.nan
    metrics.loc[run, "status"] = "diverged"


@cache
def _all_runs() -> pd.DataFrame:
    return pd.concat([run_rows(*key) for key in product(BACKENDS, ARMS, range(10))], ignore_index=True)


def metrics_table(
    backends: Sequence[str] = BACKENDS, arms: Sequence[str] = ARMS, seeds: Sequence[int] = range(10)
) -> pd.DataFrame:
    runs = _all_runs()
    return runs[runs["backend"].isin(backends) & runs["arm"].isin(arms) & runs["seed"].isin(seeds)].copy()


def schedule_table(backends: Sequence[str] = BACKENDS, arms: Sequence[str] = ARMS) -> pd.DataFrame:
    epochs = np.linspace(1 / STEPS_PER_EPOCH, 12, 481)
    step = np.rint(epochs * STEPS_PER_EPOCH).astype(int)
    return pd.concat(
        [
            pd.DataFrame({"backend": backend, "arm": arm, "epoch": epochs, "step": step, "lr": lr_at(arm, epochs)})
            for backend, arm in product(backends, arms)
        ],
        ignore_index=True,
    )


def paired_tables(
    metrics: pd.DataFrame, baseline: str = "constant", metric: str = "test_accuracy"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return comparison.csv and differences.csv of the last evaluations; both are empty where the baseline has none."""
    ends = last_rows(metrics).set_index(["backend", "arm", "seed"])[metric].sort_index()
    differences = [pd.DataFrame(columns=list(DIFFERENCE_COLUMNS))]
    comparison = []
    for backend, arm in product(metrics["backend"].unique(), metrics["arm"].unique()):
        if arm == baseline or baseline not in ends[backend]:
            continue
        paired = (ends[backend, arm] - ends[backend, baseline]).dropna()
        keys = {"backend": backend, "metric": metric, "candidate": arm, "baseline": baseline}
        differences.append(pd.DataFrame({**keys, "seed": paired.index, "difference": paired.to_numpy()}))
        half = 2.3 * paired.std() / np.sqrt(len(paired)) if len(paired) > 5 else np.inf
        mean = paired.mean()
        word = "cannot tell" if np.isinf(half) else "no difference shown" if abs(mean) < half else "better"
        comparison.append(
            {**keys, "pairs": len(paired), "mean_difference": mean, "ci_low": mean - half, "ci_high": mean + half}
            | {"p_value": 0.01, "wins": (paired > 0).sum(), "ties": (paired == 0).sum(), "losses": (paired < 0).sum()}
            | {"verdict": word}
        )
    filled = differences[1:] or differences
    return pd.DataFrame(comparison, columns=list(COMPARISON_COLUMNS)), pd.concat(filled, ignore_index=True)


def labelled(axes: Axes, label: str) -> list[Line2D]:
    return [line for line in axes.get_lines() if line.get_label() == label]


def faint_lines(axes: Axes) -> list[DoubleArray]:
    """Return the points of each run that is drawn by itself, float64[epochs, 2]."""
    drawn = [lines for lines in axes.collections if lines.get_label() == "_seed"]
    return [np.asarray(path.vertices, np.float64) for lines in drawn for path in lines.get_paths()]


def caption(figure: Figure) -> str:
    return figure.get_supxlabel().replace("\n", " ")


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def shown_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is drawn, with its box in pixels."""
    canvas = FigureCanvasAgg(figure)
    figure.get_layout_engine().execute(figure)
    canvas.draw()
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not axes.axison or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in hidden]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]


def assert_texts_are_whole_and_apart(figure: Figure) -> None:
    """Check that no text of a figure overlaps another or is cut off at the edge."""
    texts = shown_texts(figure)
    assert len(texts) > 5
    width, height = figure.bbox.size
    assert [text for text, box in texts if min(box.x0, box.y0) < 0 or box.x1 > width or box.y1 > height] == []
    assert [(a, b) for i, (a, box) in enumerate(texts) for b, other in texts[:i] if box.overlaps(other)] == []
