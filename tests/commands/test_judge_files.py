"""`clrbench judge`: files in every form, and what is damaged or in doubt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judge_samples import BASE, NEW, found, long, only, save

from clrbench.analysis.own_verdicts import Rules
from clrbench.errors import SpecError
from clrbench.stats import compare_paired


def nested() -> str:
    rows = long().to_dict("records")
    return "\n".join(
        json.dumps(
            {"config": {"arm": row["arm"], "seed": row["seed"]}, "metrics": {"test": {"accuracy": row["accuracy"]}}}
        )
        for row in rows
    )


FORMS: dict[str, Any] = {
    "csv": lambda folder: save(folder, long()),
    "tsv": lambda folder: save(folder, long(), "results.tsv", sep="\t"),
    "semicolons": lambda folder: save(folder, long(), sep=";"),
    "json lines": lambda folder: save(folder, long().to_json(orient="records", lines=True), "results.jsonl"),
    "json": lambda folder: save(folder, long().to_json(orient="records"), "results.json"),
    "json of columns": lambda folder: save(folder, json.dumps(long().to_dict("list")), "results.json"),
    "with an index": lambda folder: save(folder, long().to_csv()),
    "carriage returns": lambda folder: save(folder, long(), lineterminator="\r\n"),
    "byte order mark": lambda folder: save(folder, b"\xef\xbb\xbf" + long().to_csv(index=False).encode()),
    "quoted": lambda folder: save(folder, long().to_csv(index=False, quoting=1)),
    "spaces": lambda folder: save(folder, long().to_csv(index=False).replace(",", ", ")),
    "capitals": lambda folder: save(folder, long().rename(columns=str.title)),
    "other names": lambda folder: save(folder, long().set_axis(["Method", "fold", "test_acc"], axis=1)),
    "a metric of its own": lambda folder: save(folder, long().set_axis(["model", "run", "dice"], axis=1)),
    "beside other columns": lambda folder: save(folder, long(note="ok", host="a", hours=3.5)),
    "no line break at the end": lambda folder: save(folder, long().to_csv(index=False).rstrip()),
    "blank lines at the end": lambda folder: save(folder, long().to_csv(index=False) + "\n\n"),
    "shuffled within arms": lambda folder: save(
        folder, pd.concat([long().iloc[[0]], long().iloc[1:].sample(frac=1, random_state=1)])
    ),
    "nested json lines": lambda folder: save(folder, nested(), "results.jsonl"),
    "mlflow": lambda folder: save(
        folder,
        long(run_id=[f"{7919 * row:x}" for row in range(16)], status="FINISHED").rename(
            columns={"arm": "params.method", "seed": "params.seed", "accuracy": "metrics.accuracy"}
        ),
    ),
    "wandb": lambda folder: save(
        folder,
        long(Name=[f"run-{row}" for row in range(16)], State="finished").rename(columns={"accuracy": "test/accuracy"}),
    ),
    "a run's name beside its arm": lambda folder: save(folder, long(name=[f"run {row}" for row in range(16)])),
    "vertical bars": lambda folder: save(folder, long(), sep="|"),
    "lists beside it": lambda folder: save(
        folder, long(tags=[["a", "b"]] * 16).to_json(orient="records", lines=True), "results.jsonl"
    ),
    "seeds as floats": lambda folder: save(folder, long(seed=[*np.arange(8.0), *np.arange(8.0)])),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_results_has_the_same_verdict(tmp_path: Path, form: str) -> None:
    verdict = only(found(FORMS[form](tmp_path)))
    expected = compare_paired(NEW, BASE)
    assert (verdict.candidate, verdict.baseline, verdict.verdict, verdict.pairs) == ("new", "base", "better", 8)
    assert (verdict.mean_difference, verdict.ci_low, verdict.ci_high, verdict.p_value) == pytest.approx(
        (expected.mean_difference, expected.ci_low, expected.ci_high, expected.p_value)
    )
    assert (verdict.wins, verdict.ties, verdict.losses) == (8, 0, 0)


def test_several_files_are_one_table_or_an_arm_each(tmp_path: Path) -> None:
    table = long()
    parts = [save(tmp_path, table.iloc[::2], "a.csv"), save(tmp_path, table.iloc[1::2], "b.csv")]
    assert only(found(*parts)).pairs == 8
    arms = [save(tmp_path, rows.drop(columns="arm"), f"{arm}.csv") for arm, rows in table.groupby("arm")]
    judgement = found(*arms)
    assert only(judgement).verdict == "better"
    assert "arms: base, new, a file each" in judgement.notes


REFUSED: list[tuple[str | bytes, dict[str, Any], str]] = [
    ("", {}, "got no header"),
    ("arm,seed,accuracy\n", {}, "got no rows below the header"),
    ("arm,seed,accuracy\na,1,.9\nb,1\n", {}, r":3: got 2 fields \(b,1\); allowed: 3, as the header has"),
    ("arm,seed,accuracy\na,1,.9,7\n", {}, ":2: got 4 fields"),
    ("arm,seed,accuracy\na,1,.9\n\nb,1,.9\n", {}, r":3: got 0 fields \(a blank line\)"),
    ("arm,seed,accuracy\na,1,.9\nb,1,\n", {}, ":3: accuracy is empty; write nan"),
    ("arm,seed,accuracy\na,1,.9\nb,1,NA\n", {}, ":3: accuracy got 'NA', a missing value"),
    ("arm,seed,accuracy\na,1,.9\nb,1,null\n", {}, ":3: accuracy got 'null'"),
    ("arm,seed,accuracy\na,1,.9\n,1,.9\nb,1,.9\n", {}, ":3: arm is empty"),
    ("arm,seed,accuracy\na,1,.9\nb,,.9\n", {}, ":3: seed is empty"),
    ("arm,seed,accuracy\na,1,.9\nb,1,high\n", {}, ":3: accuracy: got 'high'; allowed: a number, or nan"),
    ("arm,seed,accuracy\na,1,.9\nb,1,93.1%\n", {}, "write 0.931 for 93.1 %"),
    ("arm;seed;accuracy\na;1;0,9\nb;1;0,8\n", {}, ":2: accuracy: got '0,9'.*write 0.5, not 0,5"),
    ("arm,seed,accuracy\na,1,1_0\nb,1,.9\n", {}, ":2: accuracy: got '1_0'"),
    (b"arm,seed,accuracy\na,1,.9\nb,1,.\x009\n", {}, ":3: got a NUL byte"),
    (b"arm,seed,accuracy\na,1,.9\n\xff,1,.9\n", {}, ":3: got a byte that is not UTF-8"),
    ("arm,seed,accuracy\na\x07,1,.9\nb,1,.9\n", {}, r":2: arm: got 'a\\x07'"),
    ('arm,seed,accuracy\na,1,"0.9\nb,1,.9\n', {}, "cannot be read as CSV"),
    ('arm,seed,accuracy\na,1,"0.9"x\nb,1,.9\n', {}, ":2: cannot be read as CSV"),
    ("arm,arm,accuracy\na,1,.9\n", {}, ":1: got the column arm twice"),
    ("arm,,accuracy\na,1,.9\n", {}, ":1: got no name for column 2"),
    ("arm,seed,accuracy\na,1,.9\nb,1,.9\na,1,.8\n", {}, ":4: arm a, pair 1 stands here and on .*:2; allowed: once"),
    ("arm,seed,accuracy\na,1,.9\na,1.0,.9\nb,1,.8\n", {}, "pair 1 stands here"),
    ("arm,seed,step,accuracy\na,1,5,.9\na,1,5,.9\nb,1,5,.8\n", {}, ":3: arm a, pair 1 stands here"),
    (
        "arm,seed,accuracy\na,1,.9\na,2,.9\n",
        {},
        "results.csv: column arm has one value .'a'., so there is nothing to compare; add the runs of another arm",
    ),
    (
        "arm,seed,accuracy\na,1,.9\nb,1,.9\n",
        {"pair": "sede"},
        r"no column 'sede' \(option pair\); it has arm, seed, accuracy; did you mean 'seed'",
    ),
    ("arm,seed,accuracy\na,1,.9\nb,1,.9\n", {"metric": "acc"}, r"no column 'acc' \(option metric\)"),
    ("arm,seed,accuracy\na,1,.9\nb,1,.9\n", {"arms": ("a", "b")}, r"no column 'a' \(option arms\)"),
    ("seed,a,b\n1,.9,.9\n", {"arms": ("a",)}, "^arms: got a; allowed: at least two columns"),
    (
        "seed,a,b\n1,.9,.9\n",
        {"arms": ("a", "b"), "arm": "a"},
        "^arm names a column of arms, and arms one column per arm",
    ),
    (
        "arm,seed,accuracy\na,1,.9\nb,1,.9\n",
        {"at": 3},
        "at: got 3, and no column looks like the step; it has arm, seed",
    ),
    ("seed,a,b\n1,.9,.9\n", {"arms": ("a", "b"), "at": 0}, "at: got 0, and no column looks like the step"),
    (
        "seed,a,b\n1,.9,.9\n",
        {},
        "no column looks like the arms; it has seed, a, b; name it with the option arm, or, where each arm is a column",
    ),
    (
        "method,model,seed,accuracy\na,x,1,.9\nb,y,1,.9\n",
        {},
        "method and model may each be the arm; name the one with the option arm",
    ),
    ("arm,seed,fold,accuracy\na,1,1,.9\nb,1,1,.9\n", {}, "seed and fold may each be the pair"),
    (
        "arm,seed,accuracy,f1\na,1,.9,.9\nb,1,.9,.9\n",
        {},
        "accuracy, f1 may each be the metric; name it with the option metric",
    ),
    ("arm,seed,dice,iou\na,1,.9,.9\nb,1,.9,.9\n", {}, "dice, iou may each be the metric"),
    ("arm,seed,note\na,1,good\nb,1,bad\n", {}, "no column looks like the metric"),
    (
        '{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", "seed": 1}\n',
        {},
        ":2: has no accuracy, as the first row has",
    ),
    (
        '{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", "seed": 1, "accuracy": null}\n',
        {},
        ":2: accuracy is empty",
    ),
    (
        '{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", "seed": 1, "accuracy": [1]}\n',
        {},
        ":2: accuracy: got .*; allowed: a number",
    ),
    (
        '{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", "seed": 1, "acc": 1, "accuracy": 1}\n',
        {},
        ":2: got the field acc",
    ),
    ('{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", \n', {}, ":2: cannot be read as JSON"),
    ('{"arm": "a", "arm": "b", "accuracy": 0.9}\n', {}, ":1: cannot be read as JSON .a key appears twice"),
    ("[1, 2]", {}, ":1: got 1; allowed: an object"),
    ("[]", {}, "got no rows"),
    # What other programs write, and what else stands where a table should.
    ("arm,seed,accuracy\na,1,0.9 ± 0.1\nb,1,.9\n", {}, ":2: accuracy: got '0.9 ± 0.1'; allowed: a number"),
    ("arm,seed,accuracy\na,1,tensor(0.9)\nb,1,.9\n", {}, r":2: accuracy: got 'tensor\(0.9\)'"),
    ("arm;seed;accuracy\na;1;8,035.0\nb;1;9\n", {}, ":2: accuracy: got '8,035.0'"),
    ("arm,seed,accuracy\na,1,0x1F\nb,1,.9\n", {}, ":2: accuracy: got '0x1F'"),
    ("arm,seed,accuracy\na,1,True\nb,1,False\n", {}, ":2: accuracy: got 'True'"),
    ("arm,seed,accuracy\na,1,#DIV/0!\nb,1,.9\n", {}, ":2: accuracy: got '#DIV/0!'"),
    ("arm,seed,accuracy\na,1,-\nb,1,.9\n", {}, ":2: accuracy got '-', a missing value"),
    ("arm,seed,accuracy\na,1,.9\nb,1,.9\n<<<<<<< HEAD\n", {}, ":4: got 1 field .<<<<<<< HEAD."),
    ("arm,seed,accuracy\na,1,.9\narm,seed,accuracy\nb,1,.9\n", {}, ":3: accuracy: got 'accuracy'"),
    ("# made by a program\narm,seed,accuracy\na,1,.9\n", {}, ":1: got # made by a program, which names no columns"),
    ("sep=;\narm;seed;accuracy\na;1;.9\n", {}, ":1: got sep=;, which names no columns; remove this line"),
    ("| arm | seed | accuracy |\n|---|---|---|\n| a | 1 | .9 |\n", {}, ":1: got no name for column 1"),
    ("arm seed accuracy\na 1 .9\n", {}, "no column looks like the arms; it has arm seed accuracy"),
    ("accuracy of a: 0.9\n", {}, "got no rows below the header"),
    ("<table><tr><td>arm</td></tr></table>", {}, "is HTML or XML; save the table as CSV"),
    (b"PK\x03\x04" + bytes(30), {}, "is an Excel file or an archive; save the table as CSV"),
    (b"\xd0\xcf\x11\xe0" + bytes(30), {}, "is an Excel file; save the table as CSV"),
    (b"\x1f\x8b\x08" + bytes(30), {}, "is compressed; unpack it first"),
    (b"PAR1" + bytes(30), {}, r"is a Parquet file; in Python: pandas\.read_parquet\(path\)\.to_csv"),
    (b"\x80\x04\x95" + bytes(30), {}, "is a pickle, or not text"),
    (b"\x93NUMPY\x01\x00", {}, "is a NumPy array"),
    (b"SQLite format 3\x00", {}, "is an SQLite database; save the table as CSV"),
    ("arm,seed,accuracy\na,1,.9\n".encode("utf-16"), {}, "is in UTF-16; save it as UTF-8"),
    ("arm,seed,accuracy\nbäse,1,.9\n".encode("latin-1"), {}, ":2: got a byte that is not UTF-8"),
    (
        '{"arm": {"0": "a", "1": "b"}, "accuracy": {"0": 0.9, "1": 0.8}}',
        {},
        "got an object of objects; allowed: a list",
    ),
    ('{"columns": ["arm", "accuracy"], "data": [["a", 1]]}', {}, "got lists of different lengths|no column looks like"),
    ('[["a", 1, 0.9], ["b", 1, 0.8]]', {}, ":1: got .*; allowed: an object"),
    ('{"arm": "a", "m": {"x": 1}, "m.x": 2}\n', {}, ":1: got a field twice, once within an object"),
    ("{}\n{}\n", {}, ":1: got {}; allowed: an object"),
    ('{"a": ' * 12 + "1" + "}" * 12, {}, "objects within objects, more than 8 deep"),
    ("[" * 100_000, {}, "cannot be read as JSON"),
    ("12", {}, "got no rows below the header"),
    (",".join(f"c{i}" for i in range(5000)) + "\n" + ",".join(["1"] * 5000) + "\n", {}, "c19, and 4980 more; name it"),
    # A step that is no number could be neither the last one nor one that somebody asks for.
    ("arm,seed,epoch,accuracy\na,1,1,.9\nb,1,nan,.9\n", {}, ":3: epoch: got 'nan'; allowed: a finite number"),
    ("arm,seed,epoch,accuracy\na,1,inf,.9\nb,1,1,.9\n", {}, ":2: epoch: got 'inf'; allowed: a finite number"),
    ("arm,seed,epoch,accuracy\na,1,,.9\nb,1,1,.9\n", {}, ":2: epoch is empty; allowed: a finite number"),
    ("seed,epoch,a,b\n1,NA,.9,.9\n", {"arms": ("a", "b")}, ":2: epoch: got 'NA'; allowed: a finite number"),
    # Rows of a run would count as a run each.
    (
        "arm,epoch,accuracy\na,1,.5\na,2,.6\nb,1,.7\nb,2,.8\n",
        {},
        "epoch tells the rows of a run apart, and no column says which run a row is of; name it with the option pair",
    ),
    ("epoch,a,b\n1,.5,.6\n2,.6,.7\n", {"arms": ("a", "b")}, "epoch tells the rows of a run apart"),
]


NAMES_AN_OPTION = re.compile(r"--\w")
"""As the command line spells it, which a caller in Python does not know."""


@pytest.mark.parametrize(("content", "asked", "said"), REFUSED)
def test_what_is_damaged_or_in_doubt_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        found(save(tmp_path, content), **asked)
    assert "\n" not in str(caught.value)
    assert not NAMES_AN_OPTION.search(str(caught.value))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(baseline="bsae"), r"^baseline: got 'bsae'; allowed: base, new; did you mean 'base'\?"),
        (Rules(alpha=float("nan")), "alpha: got nan"),
        (Rules(margin=float("nan")), "margin: got nan"),
        (Rules(diverged_as=float("inf")), "diverged_as: got inf"),
    ],
)
def test_rules_out_of_range_are_refused(tmp_path: Path, rules: Rules, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        found(save(tmp_path, long()), rules=rules)
    assert not NAMES_AN_OPTION.search(str(caught.value))


def test_the_only_column_of_numbers_is_not_said_to_be_known_by_its_name(tmp_path: Path) -> None:
    by_numbers = found(save(tmp_path, long().rename(columns={"accuracy": "dice"})))
    assert "metric: column dice, the only other one that holds numbers" in by_numbers.notes
    assert "metric: column accuracy, by its name" in found(save(tmp_path, long())).notes


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no such file"):
        found(tmp_path / "none.csv")


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = []
    for arm, rows in long().groupby("arm"):
        (tmp_path / str(arm)).mkdir()
        paths.append(save(tmp_path / str(arm), rows.drop(columns="arm")))
    verdict = only(found(*paths))
    assert (verdict.verdict, verdict.pairs) == ("better", 8)
    assert (verdict.candidate, verdict.baseline) == (str(tmp_path / "new/results"), str(tmp_path / "base/results"))
    for path in paths:  # a column that says the same in all of them is not that of the arms
        pd.read_csv(path).assign(model="resnet").to_csv(path, index=False)
    assert only(found(*paths)).verdict == "better"
    with pytest.raises(SpecError, match="got this file twice"):
        found(paths[0], paths[0])


def test_runs_that_share_nothing_are_not_paired_unless_somebody_says_so(tmp_path: Path) -> None:
    table = long(seed=range(16))
    judgement = found(save(tmp_path, table))
    unpaired = only(found(save(tmp_path, long().drop(columns="seed"))))
    assert (only(judgement).test, only(judgement).p_value) == ("unpaired permutation", unpaired.p_value)
    assert "no value of seed stands in two arms, so runs are not paired by it" in judgement.notes
    assert only(found(save(tmp_path, table), pair="seed")).pairs == 0


def test_rows_of_a_run_count_once_where_runs_are_not_paired(tmp_path: Path) -> None:
    table = long(run=[f"r{row}" for row in range(16)]).drop(columns="seed")
    rows = pd.concat([table.assign(epoch=epoch, accuracy=table["accuracy"] - 0.1 / epoch) for epoch in (1, 2, 3)])
    verdict = only(found(save(tmp_path, rows)))
    assert (verdict.candidate_runs, verdict.baseline_runs, verdict.test) == (8, 8, "unpaired permutation")
    alike = only(found(save(tmp_path, table.assign(epoch=12).drop(columns="run"))))
    assert alike.p_value == verdict.p_value
