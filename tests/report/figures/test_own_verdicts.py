"""The forest plot of results that other trainers wrote: its dots, and its band in a page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_samples import caption, labelled

import clrbench
from clrbench.api.judgement import Judgement
from clrbench.report.figures.pair_rows import MAX_DOTS
from clrbench.report.figures.style import BAND_COLOUR
from clrbench.report.figures.svg import to_svg


def judged(pairs: int, margin: float | None = None) -> Judgement:
    values = np.random.default_rng(0).normal(0, 1, (pairs, 2))
    return clrbench.judge(pd.DataFrame(values, columns=["base", "new"]), arms=["base", "new"], margin=margin)


def test_the_band_of_the_margin_follows_the_scheme_of_the_page() -> None:
    figure = judged(8, margin=0.5).plot()
    assert BAND_COLOUR not in to_svg(figure, "differences").body
    assert "var(--band)" in to_svg(figure, "differences").body
    assert "#e8e8e8" not in to_svg(figure, "differences").body


@pytest.mark.parametrize(
    ("pairs", "said"), [(8, "dot: one pair of runs;"), (3 * MAX_DOTS, f"dot: one of {MAX_DOTS} pairs at equal ranks;")]
)
def test_of_many_pairs_some_are_drawn(pairs: int, said: str) -> None:
    found = judged(pairs)
    figure = found.plot()
    (dots,) = (line.get_xdata() for line in labelled(figure.axes[0], "_pairs"))
    assert len(dots) == min(pairs, MAX_DOTS)
    assert set(dots) <= set(found.differences["difference"])
    assert caption(figure).startswith(said)
