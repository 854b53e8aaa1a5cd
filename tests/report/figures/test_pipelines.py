"""The figure of the input pipelines."""

import numpy as np
import pandas as pd
import pytest
from figure_samples import assert_texts_are_whole_and_apart, caption, legend_texts

from clrbench.report.figures.pipelines import conditions, draw_pipelines, rounded

CONDITIONS = ["torch: batches of 100, 1 thread, cpu", "keras: batches of 100, 2 threads, cuda"]


def pipelines(backends=("torch", "keras")):
    rng = np.random.default_rng(0)
    rows = [
        {"backend": backend, "pipeline": pipeline, "measured": measured, "repetition": repetition}
        | {"images_per_second": mean * rng.uniform(0.8, 1.2), "batch_size": 100}
        | ({"threads": 1, "device": "cpu"} if backend == "torch" else {"threads": 2, "device": "cuda"})
        for backend in backends
        for measured, mean in (("alone", 2.5e6), ("training", 1e5))
        for repetition in range(1, 6)
        for pipeline in ("resident", "stream")
    ]
    return pd.DataFrame(rows)


def test_bars_are_medians_and_dots_are_repetitions():
    table = pipelines()
    figure = draw_pipelines(table)
    for axes, measured in zip(figure.axes, ("alone", "training"), strict=True):
        assert axes.get_xlabel() == "images per second"
        assert axes.get_xlim()[0] == 0
        rows = table[table["measured"] == measured].groupby(["pipeline", "backend"])["images_per_second"]
        rates = [rows.get_group((p, b)).to_numpy() for p in ("resident", "stream") for b in ("torch", "keras")]
        bars = [bar for container in axes.containers for bar in container]
        np.testing.assert_allclose([bar.get_width() for bar in bars], np.median(rates, axis=1))
        np.testing.assert_array_equal([line.get_xdata() for line in axes.get_lines()], rates)
        for bar, line in zip(bars, axes.get_lines(), strict=True):
            np.testing.assert_allclose(line.get_ydata(), bar.get_y() + bar.get_height() / 2)
        assert [text.get_text() for text in axes.texts] == [rounded(np.median(found)) for found in rates]


def test_legend_names_the_pipelines_and_caption_the_conditions():
    table = pipelines()
    assert conditions(table) == CONDITIONS
    figure = draw_pipelines(table)
    assert legend_texts(figure) == ["resident", "stream"]
    assert "medians of 5 repetitions" in caption(figure)
    assert all(condition in caption(figure) for condition in CONDITIONS)


@pytest.mark.parametrize(("rate", "text"), [(2549649.2, "2,550,000"), (91716.0, "91,700"), (12.34, "12.3")])
def test_rates_have_three_digits(rate, text):
    assert rounded(rate) == text


@pytest.mark.parametrize("backends", [("torch", "keras"), ("torch",)], ids=len)
def test_texts_neither_overlap_nor_are_cut(backends):
    assert_texts_are_whole_and_apart(draw_pipelines(pipelines(backends)))
