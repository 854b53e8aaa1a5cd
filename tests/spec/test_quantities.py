from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from clrbench.spec import Clock, Length, Share
from clrbench.spec.quantities import Duration, Flag, Number, ShareOfRows, Span, Whole, as_number

property_test = settings(deadline=None, derandomize=True, database=None, max_examples=100)
amounts = st.floats(1e-6, 1e8) | st.integers(1, 10**8).map(float)


@pytest.mark.parametrize(
    ("length", "steps"),
    [
        (Length(3, "epochs"), 1407),
        (Length(0.5, "epochs"), 234),  # 234.5: half a step goes to the even neighbour
        (Length(2.25, "epochs"), 1055),  # 1055.25
        (Length(0.0001, "epochs"), 1),
        (Length(7, "steps"), 7),
    ],
)
def test_length_in_steps(length: Length, steps: int) -> None:
    assert Clock(steps_per_epoch=469, num_steps=0).steps(length) == steps


@pytest.mark.parametrize(
    ("share", "num_rows", "rows"),
    [
        (Share(10, "%"), 60_000, 6_000),
        (Share(12.5, "%"), 1_000, 125),
        (Share(0, "%"), 60_000, 0),
        (Share(10, "%"), 3, 0),
        (Share(5_000, "rows"), 60_000, 5_000),
        (Share(0, "rows"), 60_000, 0),
    ],
)
def test_share_in_rows(share: Share, num_rows: int, rows: int) -> None:
    assert share.rows(num_rows) == rows


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Length(12.0, "epochs"), "12 epochs"),
        (Length(0.1, "epochs"), "0.1 epochs"),
        (Length(1e8, "steps"), "100000000 steps"),
        (Length(1e-5, "cycles"), "1e-05 cycles"),
        (Share(5000.0, "rows"), "5000 rows"),
        (Share(10, "%"), "10 %"),
        (Share(12.5, "%"), "12.5 %"),
        (Length(1, "epochs"), "1 epoch"),
        (Length(1.0, "steps"), "1 step"),
        (Share(1, "rows"), "1 row"),
        (Share(1, "%"), "1 %"),
        (Share(0, "rows"), "0 rows"),
    ],
)
def test_quantity_is_written_as_a_user_would(quantity: Length | Share, text: str) -> None:
    assert str(quantity) == text


def test_in_files_units_are_as_they_were_so_that_runs_are_known_by_the_same_text() -> None:
    assert (Length(1, "epochs").written(), Share(1, "rows").written()) == ("1 epochs", "1 rows")


@property_test
@given(amount=amounts, unit=st.sampled_from(["epochs", "cycles"]))
def test_length_survives_its_text(amount: float, unit: str) -> None:
    length = TypeAdapter(Duration).validate_python(f"{amount!r} {unit}")
    assert length == Length(amount, unit)  # type: ignore[arg-type]
    assert TypeAdapter(Duration).validate_python(str(length)) == length


@property_test
@given(
    share=st.builds(Share, st.floats(0, 99.99), st.just("%")) | st.builds(Share, st.integers(0, 10**8), st.just("rows"))
)
def test_share_survives_its_text(share: Share) -> None:
    assert TypeAdapter(ShareOfRows).validate_python(str(share)) == share


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1 row", Share(1, "rows")),
        ("1e4 rows", Share(10_000, "rows")),
        ("10%", Share(10, "%")),
        (" 0.5  % ", Share(0.5, "%")),
        ("0 %", Share(0, "%")),
    ],
)
def test_share_with_its_unit(written: str, expected: Share) -> None:
    assert TypeAdapter(ShareOfRows).validate_python(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "5 cycles",
        "5",
        "epochs",
        "5 ep",
        "- 5 epochs",
        "--5 epochs",
        "5e epochs",
        "1.2.3 epochs",
        "٣ epochs",
        "0x5 epochs",
        5,
        None,
    ],
)
def test_span_is_refused_without_a_number_and_a_unit_in_epochs_or_steps(written: object) -> None:
    with pytest.raises(ValidationError, match=r"a length with a unit \(epochs, steps\), such as '2 epochs'"):
        TypeAdapter(Span).validate_python(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1e-3", 0.001),
        ("1e3", 1000),
        (2.0, 2),
        (2.5, 2.5),
        (7, 7),
        (" 4 ", 4),
        (None, None),
        ([], []),
        (10**400, 10**400),
    ],
)
def test_number_or_the_text_of_one(written: object, expected: object) -> None:
    value = as_number(written)
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize("written", [True, False, "ten", "", "1,5", "0x10", "1e"])
def test_what_is_no_number(written: object) -> None:
    with pytest.raises(ValueError, match=r"\Aa rate\Z"):
        as_number(written, "a rate")


@pytest.mark.parametrize("value", ["1e999", float("nan"), float("-inf"), "nan", "infinity"])
def test_numbers_are_finite(value: object) -> None:
    with pytest.raises(ValidationError, match="finite"):
        TypeAdapter(Number).validate_python(value)
    with pytest.raises(ValidationError, match="finite"):
        TypeAdapter(Whole).validate_python(value)


@pytest.mark.parametrize("value", [0, 1, "true", "yes", 1.0, None])
def test_flags_are_true_or_false_only(value: object) -> None:
    with pytest.raises(ValidationError, match="valid boolean"):
        TypeAdapter(Flag).validate_python(value)
