from __future__ import annotations

import zlib

import pytest

from clrbench.data.refusal import decoding, misfit, shown
from clrbench.errors import DataError


@pytest.mark.parametrize(
    ("error", "why"), [(zlib.error("invalid block"), "invalid block"), (EOFError(), "EOFError"), (KeyError("a"), "'a'")]
)
def test_whatever_a_library_raises_becomes_one_error_that_names_the_file(error: Exception, why: str) -> None:
    with pytest.raises(DataError) as caught, decoding("own\x1b.gz", "replace it", "a .gz"):
        raise error
    assert str(caught.value) == f"own\\x1b.gz: cannot be read as a .gz ({why}); replace it"
    assert caught.value.__cause__ is error


def test_an_error_of_ours_passes_as_it_is() -> None:
    with pytest.raises(DataError, match=r"^mine$"), decoding("own.gz", "replace it"):
        raise DataError("mine")


def test_an_error_of_the_librarys_own_is_named_by_the_caller() -> None:
    class OwnError(Exception):
        pass

    with (
        pytest.raises(DataError, match=r"^own: cannot be read \(OwnError\)"),
        decoding("own", "replace it", also=(OwnError,)),
    ):
        raise OwnError


def test_text_from_a_file_is_cut_and_holds_nothing_that_a_terminal_acts_on() -> None:
    assert shown("a\x1b[2Jé\n") == "a\\x1b[2Jé\\n"
    assert shown("x" * 300) == "x" * 200 + "..."


def test_a_misfit_points_at_the_key_that_names_the_data() -> None:
    assert misfit("too small").key == ("data", "dataset")
