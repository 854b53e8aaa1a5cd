"""`clrbench.judge` on frames and files."""

from __future__ import annotations

import json
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


def test_a_level_of_the_index_that_is_also_a_column_counts_once() -> None:
    expected = clrbench.judge(frame()).comparison
    for names in ("seed", ["arm", "seed"]):
        pd.testing.assert_frame_equal(clrbench.judge(frame().set_index(names, drop=False)).comparison, expected)
    other = frame().set_index(pd.Index(range(12), name="seed"))
    twice = frame().drop(columns="seed").set_index([pd.Index(range(12), name="seed"), pd.Index([0] * 12, name="seed")])
    for table in (other, twice):
        with pytest.raises(SpecError, match="got the column seed twice; name every column once"):
            clrbench.judge(table)


@pytest.mark.parametrize(
    ("results", "got"),
    [
        ([], "list without entries"),
        ([{"arm": "a", "accuracy": 0.9}], "list"),
        (12, "int"),
        (None, "NoneType"),
        ({"arm": ["a", "b"]}, "dict"),
        (frame()["accuracy"], "Series"),
    ],
)
def test_what_is_neither_a_table_nor_a_path_is_refused(results: Any, got: str) -> None:
    with pytest.raises(SpecError, match=f"results: got {got}; allowed: a DataFrame, the path"):
        clrbench.judge(results)


@pytest.mark.parametrize("at", ["last", -1, 2.5, True, [], None, np.array([1, 2])])
def test_a_step_is_a_whole_number(at: Any) -> None:
    with pytest.raises(SpecError, match=r"at: got .*; allowed: 'end', 'best' or the number of a step"):
        clrbench.judge(frame(), at=at)


def test_a_step_may_be_a_number_of_numpy() -> None:
    steps: Any = pd.concat([frame().assign(epoch=1), frame().assign(epoch=2, accuracy=0.5)])
    at: Any = np.int64(1)
    assert clrbench.judge(steps, at=at).verdict == clrbench.judge(steps, at=1).verdict == "better"


@pytest.mark.parametrize("arms", ["base,new", "base", 5, None, {"base", "new"}, ["base", 1]])
def test_arms_are_a_list_of_columns(arms: Any) -> None:
    wide = pd.DataFrame({"seed": range(6), "base": BASE, "new": NEW})
    with pytest.raises(SpecError, match=r"arms: got .*; allowed: a list of columns, such as \['base', 'new'\]"):
        clrbench.judge(wide, arms=arms)
    assert clrbench.judge(wide, arms=wide.columns[1:]).verdict == "better"


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        *(("look", value) for value in (1.5, np.nan, 0, True, "2", None)),
        *(("alpha", value) for value in (0, 1, "0.05", None, True)),
        *(("margin", value) for value in (-1, np.nan, np.inf, "0.1")),
        *(("diverged_as", value) for value in (np.inf, "0.1")),
        ("baseline", ""),
        ("baseline", 1),
    ],
)
def test_a_rule_of_no_use_is_refused(rule: str, value: Any) -> None:
    with pytest.raises(SpecError, match=f"^{rule}: got .*; allowed: "):
        clrbench.judge(frame(), **{rule: value})


def test_rules_may_be_numbers_of_numpy() -> None:
    rules: Any = {
        "look": np.int64(2),
        "alpha": np.float32(0.25),
        "margin": np.float64(0.001),
        "diverged_as": np.int64(0),
    }
    found = clrbench.judge(frame(), **rules)
    assert json.loads(json.dumps(found.data))["alpha"] == 0.25
    assert found.data == clrbench.judge(frame(), look=2, alpha=0.25, margin=0.001, diverged_as=0).data
