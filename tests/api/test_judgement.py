"""`clrbench.judge` on frames and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clrbench
from clrbench.errors import SpecError
from clrbench.stats import compare_paired

BASE = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]
NEW = [0.74, 0.75, 0.74, 0.79, 0.75, 0.79]


def frame() -> pd.DataFrame:
    return pd.DataFrame({"arm": ["base"] * 6 + ["new"] * 6, "seed": [*range(6)] * 2, "accuracy": BASE + NEW})


def test_a_frame_has_the_verdict_of_its_file(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "results.csv", index=False)
    found, of_file = clrbench.judge(frame()), clrbench.judge(tmp_path / "results.csv")
    assert found.verdict == of_file.verdict == "better"
    expected = compare_paired(NEW, BASE)
    assert found.verdicts[0].p_value == expected.p_value
    pd.testing.assert_frame_equal(found.comparison, of_file.comparison)
    assert found.differences["difference"].tolist() == pytest.approx(np.subtract(NEW, BASE).tolist())
    assert found.summary["accuracy_mean"].tolist() == pytest.approx([np.mean(BASE), np.mean(NEW)])


def test_numbers_pass_through_text_without_loss() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 1, (6, 2))
    wide = pd.DataFrame({"seed": range(6), "a": values[:, 0], "b": values[:, 1]})
    assert (
        clrbench.judge(wide, arms=["a", "b"]).verdicts[0].mean_difference
        == compare_paired(values[:, 1], values[:, 0]).mean_difference
    )


def test_a_notebook_shows_words_and_picture() -> None:
    found = clrbench.judge(frame(), margin=0.001)
    assert repr(found).startswith("new beats base: accuracy")
    assert found._repr_html_().startswith("<pre>new beats base")
    assert 'src="data:image/png;base64,iVBOR' in found._repr_html_()
    assert len(found.plot().axes) == 2
    assert found.data["margin"] == 0.001
    assert "pair: column seed, by its name" in found.notes


def test_saving_writes_what_the_command_writes(tmp_path: Path) -> None:
    clrbench.judge(frame()).save(tmp_path / "judged")
    names = sorted(path.name for path in (tmp_path / "judged").rglob("*") if path.is_file())
    assert names == ["comparison.csv", "differences.csv", "differences.png", "report.html", "summary.csv"]


def test_several_verdicts_have_no_single_word() -> None:
    found = clrbench.judge(frame().assign(half=[0, 1, 0, 1, 0, 1] * 2), by="half")
    with pytest.raises(ValueError, match="there are 2 verdicts"):
        _ = found.verdict


def test_nan_among_numbers_has_diverged_and_elsewhere_is_missing() -> None:
    table = frame()
    table.loc[2, "accuracy"] = np.nan
    assert clrbench.judge(table).verdicts[0].baseline_diverged == 1
    table = frame()
    table.loc[2, "arm"] = None
    with pytest.raises(SpecError, match="frame:3: arm is empty"):
        clrbench.judge(table)


def test_columns_may_be_named() -> None:
    table = frame().set_axis(["who", "which", "how_good"], axis=1)
    found = clrbench.judge(table, arm="who", pair="which", metric="how_good", baseline="new", lower_is_better=True)
    assert found.verdict == "better"


def test_levels_of_the_index_are_columns() -> None:
    pd.testing.assert_frame_equal(
        clrbench.judge(frame().set_index(["arm", "seed"])).comparison, clrbench.judge(frame()).comparison
    )


def test_a_frame_that_is_no_table_is_refused() -> None:
    with pytest.raises(SpecError, match="frame: got no rows below the header"):
        clrbench.judge(frame().iloc[:0])
    with pytest.raises(SpecError, match="got the column seed twice"):
        clrbench.judge(pd.concat([frame(), frame()["seed"]], axis=1))


@pytest.mark.parametrize("results", [[], [{"arm": "a", "accuracy": 0.9}], 12])
def test_what_is_neither_a_table_nor_a_path_is_refused(results: Any) -> None:
    with pytest.raises((SpecError, TypeError), match=r"results: allowed: a DataFrame, the path|not iterable"):
        clrbench.judge(results)


@pytest.mark.parametrize("at", ["last", -1, 2.5])
def test_a_step_is_a_whole_number(at: Any) -> None:
    with pytest.raises(SpecError, match=r"at: got .*; allowed: 'end', 'best' or the number of a step"):
        clrbench.judge(frame(), at=at)
