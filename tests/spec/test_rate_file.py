"""Rates from a CSV file: what is read, what is refused, and that the file is needed no more afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specs import write_spec

from clrbench.errors import SpecError
from clrbench.planning.runs import arm_clock, lr_table
from clrbench.spec import load_spec, to_yaml
from clrbench.spec.rate_file import MAX_TABLE_ROWS, packed, read_rate_file, unpacked

RATES = [0.1, 0.5, 0.25, 1e-7]


def spec_with(tmp_path: Path, text: str | bytes, file: Any = "lr.csv") -> Path:
    content = text.encode() if isinstance(text, str) else text
    (tmp_path / "lr.csv").write_bytes(content)
    data = {"dataset": "mnist", "validation": "0 rows"}
    return write_spec(
        tmp_path, data=data, duration="4 steps", arms={"only": {"schedule": {"name": "table", "file": file}}}
    )


def rows(first: int = 1) -> str:
    return "".join(f"{step},{rate}\n" for step, rate in enumerate(RATES, first))


@pytest.mark.parametrize(
    "text",
    [
        "step,lr\n" + rows(0),
        "step,lr\n" + rows(1),
        "step, lr\r\n" + rows(1).replace("\n", "\r\n"),
        "\ufeffstep,lr\n" + rows(1),
        ('"step","lr"\n' + rows(1)).rstrip(),
        "step,lr\n" + rows(0).replace(",", ", "),
    ],
)
def test_rates_of_a_file_are_the_rates_of_the_updates(tmp_path: Path, text: str) -> None:
    spec = load_spec(spec_with(tmp_path, text)).spec
    table = lr_table(spec.resolved_arm("only"), arm_clock(spec, "only", 1000))
    np.testing.assert_array_equal(table.astype(np.float32), np.array(RATES, np.float32))


def test_a_resolved_spec_needs_the_file_no_more(tmp_path: Path) -> None:
    path = spec_with(tmp_path, "step,lr\n" + rows())
    spec = load_spec(path).spec
    path.write_text(to_yaml(spec), encoding="utf-8")
    (tmp_path / "lr.csv").unlink()
    assert load_spec(path).spec == spec


@pytest.mark.parametrize("number", [1, 7, MAX_TABLE_ROWS])
def test_packing_keeps_every_rate_to_float32(number: int) -> None:
    rates = np.random.default_rng(number).lognormal(-3, 2, number)
    text = packed(rates)
    np.testing.assert_array_equal(unpacked(text), rates.astype(np.float32))
    assert len(text) < 600_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its first line is ''"),
        ("step,lr\n", "it has no row"),
        ("lr,step\n0.1,1\n", "its first line is 'lr,step'"),
        ("1,0.1\n2,0.5\n", "its first line is '1,0.1'"),
        ("step,lr,loss\n1,0.1,3\n", "its first line is 'step,lr,loss'"),
        ("step,lr\n1,0.1\n2,0.1,7\n", "line 3 is '2,0.1,7'"),
        ("step,lr\n1,0.1\n\n2,0.1\n", "line 3 is ''"),
        ("step,lr\n1,0.1\n2,\n", "line 3 is '2,'"),
        ("step,lr\n1,0.1\n2,fast\n", "line 3 is '2,fast'"),
        ("step,lr\n1,0.1\n3,0.1\n", "line 3 is '3,0.1'"),
        ("step,lr\n2,0.1\n3,0.1\n", "line 2 is '2,0.1'"),
        ("step,lr\n-1,0.1\n", "line 2 is '-1,0.1'"),
        ("step,lr\n1.5,0.1\n", "line 2 is '1.5,0.1'"),
        ("step,lr\n1,0\n", "rates from 1e-30 to 1e+30; line 2 is '1,0'"),
        ("step,lr\n1,-0.1\n", "rates from 1e-30 to 1e+30; line 2"),
        ("step,lr\n1,nan\n", "rates from 1e-30 to 1e+30; line 2"),
        ("step,lr\n1,inf\n", "rates from 1e-30 to 1e+30; line 2"),
        (b"step,lr\n1,\xff\n", "lr.csv cannot be read"),
        (b"step,lr\n1,0.1\x00\n", "line 2"),
        ("step;lr\n1;0,1\n", "its first line is 'step;lr'"),
    ],
)
def test_a_file_that_holds_no_table_is_refused_with_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(spec_with(tmp_path, text))
    assert said in str(caught.value)
    assert "arms.only.schedule.file: got 'lr.csv'; allowed: " in str(caught.value)


@pytest.mark.parametrize("file", ["", "other.csv", ".", "a" * 2000, 3, None, ["lr.csv"]])
def test_what_is_no_path_of_a_file_is_refused(tmp_path: Path, file: Any) -> None:
    with pytest.raises(SpecError, match=r"arms.only.schedule.file: got "):
        load_spec(spec_with(tmp_path, "step,lr\n" + rows(), file))


def test_a_table_of_another_length_than_the_run_is_refused(tmp_path: Path) -> None:
    spec = load_spec(spec_with(tmp_path, "step,lr\n" + rows() + "5,0.1\n")).spec
    with pytest.raises(SpecError, match=r"rates: got 5 rates; allowed: 4, one for each update"):
        lr_table(spec.resolved_arm("only"), arm_clock(spec, "only", 1000))


def test_more_rows_than_a_spec_can_hold_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("step,lr\n" + "".join(f"{step},0.1\n" for step in range(MAX_TABLE_ROWS + 1)), encoding="utf-8")
    with pytest.raises(ValueError, match="at most 100000 rows"):
        read_rate_file(path)


@pytest.mark.parametrize("text", ["not base64!", "", "AAAA", packed(np.ones(3))[:-4]])
def test_a_text_that_was_not_packed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="what clrbench packed"):
        unpacked(text)


@pytest.mark.parametrize("key", [{"tune": {"rates": [0.1, 0.2]}}, {"tune": {"from": "range_test"}}])
def test_a_table_has_no_rate_to_try(tmp_path: Path, key: dict[str, Any]) -> None:
    (tmp_path / "lr.csv").write_text("step,lr\n" + rows(), encoding="utf-8")
    arm = {"schedule": {"name": "table", "file": "lr.csv"}, **key}
    path = write_spec(tmp_path, data={"dataset": "mnist"}, duration="4 steps", arms={"only": arm})
    with pytest.raises(SpecError, match=r"arms.only.tune: .*no search in an arm whose schedule is a table"):
        load_spec(path)
