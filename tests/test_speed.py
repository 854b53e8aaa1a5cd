"""The benchmarks: what is committed adds up, and the worst repetition decides whether a goal is met."""

import resource
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from speed import commands, table
from speed.made_runs import Shape, spec_text
from speed.table import DEMO_SHARE, GOALS, Goal, Measured

from clrbench.spec import load_spec

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
MINIMAL = "keras, mlp, batch 100: minimal loop"


def rows(*of: tuple[str, float, float | None, str]) -> pd.DataFrame:
    """Return repetitions, numbered from 1, of which each has one row."""
    made = [(number, "2026-01-01", *one) for number, one in enumerate(of, 1)]
    return pd.DataFrame(made, columns=list(table.REPETITION_COLUMNS)).astype({"theirs": float})


def test_a_ratio_is_how_many_times_better_clrbench_is_in_any_unit():
    found = table.ratios(
        rows(("a", 300, 100, "images/s"), ("b", 5, 20, "s"), ("c", 2e6, 1e6, "bytes"), ("d", 1, None, "s"))
    )
    np.testing.assert_array_equal(found, [3, 4, 0.5, np.nan])


@pytest.mark.parametrize(("slowest", "met"), [(95.0, "yes"), (94.9, "no")])
def test_the_worst_repetition_decides_whether_a_ratio_is_met(slowest, met):
    measured = [(MINIMAL, speed, 100.0, "images/s") for speed in (130.0, slowest, 110.0)]
    (row,) = table.summary(rows(*measured)).to_dict("records")
    assert (row["ours"], row["ratio"], row["goal"], row["met"]) == (110, 1.1, 0.95, met)
    assert (row["worst"], row["best"], row["repetitions"]) == (slowest / 100, 1.3, 3)


@pytest.mark.parametrize(("largest", "met"), [(0.15, "yes"), (0.151, "no")])
def test_the_worst_repetition_of_a_figure_without_a_ratio_is_the_largest(largest, met):
    (row,) = table.summary(rows(*((DEMO_SHARE, share, None, "share") for share in (0.1, largest)))).to_dict("records")
    assert (row["worst"], row["best"], row["met"]) == (largest, 0.1, met)
    assert np.isnan([row["theirs"], row["ratio"]]).all()


def test_every_repetition_of_a_name_counts_and_names_keep_their_order():
    found = table.summary(rows(*(("b", number, 1, "images/s") for number in (9, 1, 2, 4)), ("a", 1, 1, "s")))
    assert found["name"].tolist() == ["b", "a"]
    assert (found["ratio"][0], found["worst"][0], found["best"][0], found["met"][0]) == (3, 1, 9, "")


def test_a_goal_about_a_ratio_is_not_held_against_a_figure():
    with pytest.raises(AssertionError, match="minimal loop"):
        table.summary(rows((MINIMAL, 1, None, "images/s")))


def test_repetitions_are_added_and_read_back(tmp_path):
    assert table.next_repetition(tmp_path) == 1
    for number in (1, 2):
        measured = [Measured(MINIMAL, 100 * number, 100, "images/s"), Measured(DEMO_SHARE, 0.1, None, "share")]
        table.append(tmp_path, measured, number, "2026-01-01")
    assert table.next_repetition(tmp_path) == 3
    written = table.write(tmp_path)
    assert written["ratio"].tolist()[0] == 1.5
    assert list(written)[:7] == ["name", "ours", "theirs", "unit", "ratio", "goal", "met"]
    assert written["met"].tolist() == ["yes", "yes"]
    assert table.table_text(written).splitlines()[2:] == [
        "| keras, mlp, batch 100: minimal loop | 150/s | 100/s | 1.50x | 1.00x to 2.00x | >= 0.95x | yes |",
        "| of the demo, all but training and evaluation | 10 % |  |  | 10 % to 10 % | <= 15 % | yes |",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (123_456, "images/s", "123,000/s"),
        (1.39e9, "bytes", "1.39 GB"),
        (38_200, "bytes", "38 kB"),
        (0.142, "share", "14 %"),
        (123.4, "s", "123 s"),
        (1.234, "s", "1.23 s"),
        (0.0047, "s", "4.7 ms"),
    ],
)
def test_a_figure_is_shown_with_its_unit(value, unit, text):
    assert table.figure_text(value, unit) == text


def test_goals_are_those_of_limits_that_lie_on_the_right_side():
    assert Goal(2, "ratio").is_met(2)
    assert not Goal(2, "ratio").is_met(1.99)
    assert Goal(2, "ours").is_met(2)
    assert not Goal(2, "ours").is_met(2.01)


def test_the_committed_table_is_that_of_the_committed_repetitions_and_holds_every_goal(tmp_path):
    page = (RESULTS.parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    if table.NOT_MEASURED in page:
        assert not (RESULTS / table.TABLE_FILE).exists()
        return
    committed = (RESULTS / table.REPETITIONS_FILE).read_bytes()
    (tmp_path / table.REPETITIONS_FILE).write_bytes(committed)
    table.write(tmp_path)
    assert (tmp_path / table.TABLE_FILE).read_bytes() == (RESULTS / table.TABLE_FILE).read_bytes()
    found = table.read(RESULTS)
    assert set(GOALS) <= set(found["name"])
    assert (found["met"] != "").tolist() == found["name"].isin(list(GOALS)).tolist()


def test_what_keras_can_gain_on_fit_at_batch_2000_is_what_the_page_says():
    page = " ".join((RESULTS.parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8").split())
    theirs = pd.read_csv(RESULTS / table.REPETITIONS_FILE).pivot_table("theirs", "repetition", "name")
    fit = theirs["keras, mlp, batch 2000: fit with a callback"]
    products, loop = (
        theirs[f"keras, mlp, batch 2000: {name}"] / fit for name in ("matrix products alone", "minimal loop")
    )
    assert products.max() < GOALS["keras, mlp, batch 2000: fit with a callback"].limit
    assert (
        f"the matrix products alone are {products.min():.1f} to {products.max():.1f} times as fast as `fit`, "
        f"a minimal loop {loop.min():.1f} to {loop.max():.1f} times."
    ) in page


@pytest.mark.parametrize("shape", [Shape("tiny", 10, 100, 20), Shape("long", 1, 7, 5000)], ids=str)
def test_a_made_up_experiment_has_the_runs_that_it_says(shape, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(spec_text(shape))
    spec = load_spec(path).spec
    assert len(spec.arms) * len(spec.seeds) == shape.num_runs
    assert str(spec.duration) == f"{shape.num_steps} steps"


def test_the_memory_of_a_command_is_its_own_not_that_of_the_process_that_starts_it(tmp_path):
    found = commands.run([sys.executable, "-c", "print('done')"], tmp_path)
    assert (tmp_path / "command.log").read_text() == "done\n"
    assert 1e6 < found.peak_bytes < 50e6 < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_the_memory_of_a_command_is_that_of_its_largest_process(tmp_path):
    large = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'bytearray({200_000_000})'], check=True)"
    assert 200e6 < commands.run([sys.executable, "-c", large], tmp_path).peak_bytes < 250e6


def test_a_command_that_fails_is_said_with_what_it_printed(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)exit code 3: .*what went wrong"):
        commands.run([sys.executable, "-c", "print('what went wrong'); raise SystemExit(3)"], tmp_path)


def test_what_each_repetition_was_measured_with_is_kept_and_said_once_where_it_is_the_same(tmp_path):
    machine = pd.DataFrame({"what": ["processor", "cores"], "value": ["one", "2"]})
    for repetition in (1, 2):
        table.append_machine(tmp_path, machine, repetition)
    kept = pd.read_csv(tmp_path / table.MACHINE_FILE, dtype=str)
    assert table.machine_text(kept) == "processor one; cores 2."
    table.append_machine(tmp_path, machine.assign(value=["another", "2"]), 3)
    kept = pd.read_csv(tmp_path / table.MACHINE_FILE, dtype=str)
    assert (
        table.machine_text(kept) == "Repetition 1, 2: processor one; cores 2. Repetition 3: processor another; cores 2."
    )
