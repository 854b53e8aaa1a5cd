"""`clrbench bounds`: curves that other trainers wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clrbench.analysis.own_curves import CurveColumns
from clrbench.answer import ExitCode
from clrbench.commands.bounds import bounds
from clrbench.errors import SpecError
from clrbench.range_test import suggest_bounds
from clrbench.report import own_bounds

PUBLISHED = Path(__file__).parents[1] / "data" / "range_test" / "published"
LR = np.geomspace(1e-4, 1.0, 60)
ACCURACY = np.interp(np.log10(LR), [-4, -3, -1.5, -1, 0], [0.1, 0.1, 0.9, 0.9, 0.1])
LOSS = 2.4 - 2 * ACCURACY


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no plot but where the files are looked at, as that takes longer than all else."""
    if request.function is not test_three_files_are_written:
        monkeypatch.setattr(own_bounds, "draw_own_bounds", lambda _: None)
        monkeypatch.setattr(own_bounds, "to_png", lambda _: b"")


def read(out: Path, *paths: Path, **columns: str | None) -> Any:
    return bounds(paths, CurveColumns.of(columns), out / "bounds")


def curve(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"lr": LR, "loss": LOSS, "accuracy": ACCURACY, **columns})


def write(folder: Path, table: pd.DataFrame, name: str = "curve.csv", **options: Any) -> Path:
    path = folder / name
    table.to_csv(path, index=False, **options)
    return path


@pytest.mark.parametrize("name", ["cifar10-caffe-linear-a", "fashion-adam", "circles-adam"])
def test_published_curves_give_what_the_function_gives(tmp_path: Path, name: str) -> None:
    table = pd.read_csv(PUBLISHED / f"{name}.csv")
    split = "val_" if table["val_acc"].notna().all() else ""
    loss, accuracy = (table[f"{split}loss"], table["val_acc" if split else "accuracy"])
    expected = suggest_bounds(table["lr"], loss, accuracy)
    found = read(tmp_path, PUBLISHED / f"{name}.csv")
    assert found.exit_code is ExitCode.DONE
    assert found.data["max_lr"] == pytest.approx(expected.max_lr, rel=0.006)
    assert f"loss from {loss.name}, accuracy from {accuracy.name}" in found.text
    assert "not confirmed" in found.text


def test_a_refusal_exits_with_3(tmp_path: Path) -> None:
    found = read(tmp_path, PUBLISHED / "cifar10-caffe-linear-b.csv")
    assert found.exit_code is ExitCode.NO_ANSWER
    assert found.text.startswith("No rates suggested: never stops rising")


def test_the_smoothed_loss_of_a_finder_is_said_to_look_like_one(tmp_path: Path) -> None:
    found = read(tmp_path, PUBLISHED / "conebeam-loss-only.csv")
    assert "the loss looks like a running mean" in found.text


@pytest.mark.parametrize(("name", "is_said"), [("loss", True), ("train_loss", True), ("val_loss", False)])
def test_the_loss_of_validation_rows_is_no_running_mean(tmp_path: Path, name: str, is_said: bool) -> None:
    lr = np.geomspace(1e-4, 1.0, 300)
    jitter = np.random.default_rng(0).normal(0, 0.5, len(lr)).cumsum() / np.arange(1, len(lr) + 1)
    found = read(tmp_path, write(tmp_path, pd.DataFrame({"lr": lr, name: np.interp(lr, LR, LOSS) + jitter})))
    assert ("looks like a running mean" in found.text) == is_said


def test_three_files_are_written(tmp_path: Path) -> None:
    found = read(tmp_path, write(tmp_path, curve()))
    folder = tmp_path / "bounds"
    assert sorted(path.name for path in folder.iterdir()) == ["bounds.json", "curve.csv", "range_test.png"]
    assert json.loads((folder / "bounds.json").read_text())["max_lr"] == found.data["max_lr"]
    table = pd.read_csv(folder / "curve.csv")
    np.testing.assert_allclose(table["loss"], LOSS)
    assert table["smoothed_loss"].notna().all()


FORMS: dict[str, Any] = {
    "csv": lambda folder: write(folder, curve()),
    "tsv": lambda folder: write(folder, curve(), "curve.tsv", sep="\t"),
    "semicolons": lambda folder: write(folder, curve(), sep=";"),
    "with an index": lambda folder: _written(folder, curve().to_csv(), "curve.csv"),
    "json lines": lambda folder: _written(folder, curve().to_json(orient="records", lines=True), "curve.jsonl"),
    "json records": lambda folder: _written(folder, curve().to_json(orient="records"), "curve.json"),
    "torch-lr-finder": lambda folder: _written(folder, json.dumps(curve().to_dict("list")), "history.json"),
    "lightning": lambda folder: _written(
        folder, json.dumps({"mode": "exponential", "results": curve().to_dict("list")}), "lr_finder.json"
    ),
    "keras csv logger": lambda folder: write(
        folder, curve().rename(columns={"lr": "learning_rate"}).assign(epoch=np.arange(60))
    ),
    "capitals": lambda folder: write(folder, curve().rename(columns=str.upper)),
    "validation": lambda folder: write(
        folder, curve(loss=9.0, accuracy=0.2).assign(val_loss=LOSS, val_accuracy=ACCURACY)
    ),
    "per cent": lambda folder: write(folder, curve(accuracy=100 * ACCURACY)),
    "empty column": lambda folder: write(folder, curve(val_loss=np.nan, val_accuracy=np.nan)),
    "carriage returns": lambda folder: write(folder, curve(), lineterminator="\r\n"),
    "rate 0": lambda folder: write(
        folder, pd.concat([pd.DataFrame({"lr": [0.0], "loss": [2.2], "accuracy": [0.1]}), curve()])
    ),
}


def _written(folder: Path, text: str, name: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.fixture(scope="module")
def expected() -> Any:
    return suggest_bounds(LR, LOSS, ACCURACY)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_curve_gives_the_same(tmp_path: Path, form: str, expected: Any) -> None:
    found = read(tmp_path, FORMS[form](tmp_path))
    assert found.data["max_lr"] == pytest.approx(expected.max_lr, rel=0.006)
    assert found.data["base_lr"] == pytest.approx(expected.base_lr, rel=0.006)


def seeds_of(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([table.assign(seed=seed) for seed, table in enumerate(tables)])


def test_files_and_a_column_of_seeds_are_seeds(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.005, (3, 60))
    tables = [curve(accuracy=np.clip(ACCURACY + one, 0, 1)) for one in noise]
    paths = [write(tmp_path, table, f"{seed}.csv") for seed, table in enumerate(tables)]
    files = read(tmp_path, *paths)
    column = read(tmp_path, write(tmp_path, seeds_of(tables), "all.csv"))
    assert files.data["max_lr"] == column.data["max_lr"]
    assert "from 3 seeds" in files.text
    assert "Seeds: 0 is 0.csv, 1 is 1.csv, 2 is 2.csv" in files.text
    assert "seeds from seed" in column.text


def test_a_seed_that_ends_early_or_holds_nan_has_diverged(tmp_path: Path) -> None:
    short = curve().head(50)
    diverged = curve().assign(loss=np.where(np.arange(60) < 50, LOSS, np.nan))
    both = read(tmp_path, write(tmp_path, short, "a.csv"), write(tmp_path, diverged, "b.csv", na_rep="nan"))
    table = pd.read_csv(tmp_path / "bounds" / "curve.csv")
    assert table.groupby("seed")["loss"].count().tolist() == [50, 50]
    assert both.data["max_lr"] is not None


@pytest.mark.parametrize("row", [{"lr": 0.0}, {"loss": None}])
def test_a_seed_of_which_no_row_is_left_is_left_out(
    tmp_path: Path, row: dict[str, float | None], expected: Any
) -> None:
    nothing = curve().head(2).assign(**row)
    for place, tables in enumerate(([nothing, curve(), curve()], [curve(), nothing, curve()])):
        found = read(tmp_path, write(tmp_path, seeds_of(tables)))
        assert found.data["max_lr"] == pytest.approx(expected.max_lr, rel=0.006)
        assert f"curve.csv: seed {place} left out, as no row of it is left" in found.text
        assert "from 2 seeds" in found.text


def test_per_cent_or_fractions_is_decided_for_all_seeds_at_once(tmp_path: Path) -> None:
    never = curve(accuracy=np.full(60, 0.8), loss=np.full(60, 2.3))  # 0.8 per cent
    tables = [curve(accuracy=100 * ACCURACY), never]
    column = read(tmp_path, write(tmp_path, seeds_of(tables)))
    assert pd.read_csv(tmp_path / "bounds" / "curve.csv").groupby("seed")["accuracy"].max().tolist() == [0.9, 0.008]
    assert "accuracy: per cent, as it exceeds 1" in column.text
    read(tmp_path, *(write(tmp_path, table, f"{seed}.csv") for seed, table in enumerate(tables)))
    assert pd.read_csv(tmp_path / "bounds" / "curve.csv").groupby("seed")["accuracy"].max().tolist() == [0.9, 0.008]


@pytest.mark.parametrize("rates", [np.linspace(0.001, 0.03, 60).round(3), np.linspace(0.01, 0.1, 350).round(2)])
def test_rates_that_stand_twice_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rates: Any) -> None:
    monkeypatch.undo()
    learned = np.interp(np.linspace(0, 1, len(rates)), [0, 0.4, 0.6, 1], [0.1, 0.9, 0.9, 0.1])
    table = pd.DataFrame({"lr": rates, "loss": 2.4 - 2 * learned, "accuracy": learned})
    found = read(tmp_path, write(tmp_path, seeds_of([table, table])))
    assert rates[0] < found.data["max_lr"] < rates[-1]
    assert (tmp_path / "bounds" / "range_test.png").is_file()


def test_curves_at_other_rates_are_read_at_the_same(tmp_path: Path) -> None:
    other = pd.DataFrame({"lr": LR * 1.01, "loss": LOSS, "accuracy": ACCURACY})
    found = read(tmp_path, write(tmp_path, curve(), "a.csv"), write(tmp_path, other, "b.csv"))
    assert "The curves have different rates" in found.text
    assert found.data["max_lr"] is not None


def test_columns_may_be_named(tmp_path: Path) -> None:
    table = pd.DataFrame({"eta": LR, "nll": LOSS, "hits": ACCURACY})
    found = read(tmp_path, write(tmp_path, table), lr="eta", loss="nll", accuracy="hits")
    assert "lr from eta, loss from nll, accuracy from hits" in found.text


DAMAGED: list[tuple[str | bytes, str]] = [
    ("", "got no header"),
    ("lr,loss\n", "got no rows below the header"),
    ("lr,loss\n0.1,2\n0.2\n", r"curve.csv:3: got 1 field \(0.2\); allowed: 2"),
    ("lr,loss\n0.1,2,3\n", "curve.csv:2: got 3 fields"),
    ("lr,loss\n0.1,2\n\n0.2,2\n", r"curve.csv:3: got 0 fields \(a blank line\)"),
    (b"lr,loss\n0.1,2\x00\n", "curve.csv:2: got a NUL byte"),
    (b"lr,loss\n0.1,\xff\n", "curve.csv:2: got a byte that is not UTF-8"),
    ('lr,loss\n0.1,"2\n', "cannot be read as CSV"),
    ("lr,lr\n0.1,2\n", "got the column lr twice"),
    ("lr,\n0.1,2\n", "got no name for column 2"),
    ("rate of learning,loss\n0.1,2\n", "no column looks like the learning rate; it has rate of learning, loss"),
    ("lr,value\n0.1,2\n", "no column looks like a loss"),
    ("lr,loss\n0.1,two\n", "curve.csv:2: loss: got 'two'; allowed: a number"),
    ("lr;loss\n0,1;2\n", "write 0.5, not 0,5"),
    ("lr,loss\n0.2,2\n0.1,2\n", "curve.csv:3: the learning rate falls here, to 0.1"),
    ("lr,loss\n-0.1,2\n", "curve.csv:2: the learning rate is -0.1"),
    ("lr,loss\nnan,2\n", "curve.csv:2: the learning rate is nan"),
    ("lr,loss,acc\n0.1,2,3000\n", "got values from 3000 to 3000; allowed: fractions or per cent"),
    (
        "lr,loss,acc\n0.1,2,-0.5\n0.2,2,0.5\n",
        "curve.csv: acc: got values from -0.5 to 0.5; allowed: fractions or per cent",
    ),
    ("lr,loss\n0.1,2\n0.1,2\n", "the learning rate is 0.1 throughout; allowed: one that rises"),
    ("lr,loss,seed\n0,2,1\n0,2,2\n", "curve.csv: no row with all of lr, loss, seed has a rate above 0; allowed: rates"),
    ('{"lr": [0.1], "loss": [1, 2]}', r"lists of different lengths \(lr 1, loss 2\)"),
    ('{"lr": 0.1, "loss": 1}\n{"lr": 0.2}\n', "curve.csv:2: has no loss"),
    ('{"lr": 0.1, "loss": 1}\n{"lr": 0.2, "loss": 1,\n', "curve.csv:2: cannot be read as JSON"),
    ('{"lr": 0.1, "lr": 1}\n', "a key appears twice"),
    (
        '{"lr": 0.1, "loss": [1, 2]}\n{"lr": 0.2, "loss": 1}\n',
        ":1: loss: got .*1.*2.*; allowed: a number, or nan where it diverged$",
    ),
    ("3\n", "no column looks like the learning rate|got no rows"),
]


@pytest.mark.parametrize(("content", "said"), DAMAGED)
def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = tmp_path / "curve.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SpecError, match=said):
        read(tmp_path, path)


def test_a_missing_file_and_a_missing_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no such file"):
        read(tmp_path, tmp_path / "none.csv")
    with pytest.raises(SpecError, match=r"has no column 'los'; it has lr, loss, accuracy; did you mean 'loss'\?"):
        read(tmp_path, write(tmp_path, curve()), loss="los")
