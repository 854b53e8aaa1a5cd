"""A test finds the process as the first one did, whatever ran in it before."""

import sys

import pytest


@pytest.mark.parametrize("turn", ["first", "second"])
def test_denormal_numbers_are_there_again_after_a_test_that_trained(turn: str) -> None:
    import torch

    assert sys.float_info.min / 2 > 0, f"gone before the {turn} turn"
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor keeps denormal numbers")
    assert sys.float_info.min / 2 == 0
