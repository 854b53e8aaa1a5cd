"""`clrbench parity`: the first steps through both backends."""

from pathlib import Path

import pytest
from command_line import Clrbench, answer, write_spec


@pytest.mark.acceptance
def test_parity_sets_both_backends_side_by_side(clrbench: Clrbench, tmp_path: Path) -> None:
    found = answer(clrbench("parity", write_spec(tmp_path), "--steps", "40", "--json"))
    assert [arm["arm"] for arm in found["arms"]] == ["constant", "clr"]
    for arm in found["arms"]:
        assert arm["judgement"] == "same"
        assert len(arm["torch_loss"]) == len(arm["keras_loss"]) == 40
        assert max(arm["difference"]) < 1e-5


def test_parity_refuses_dropout(clrbench: Clrbench, tmp_path: Path) -> None:
    done = clrbench("parity", write_spec(tmp_path, model={"name": "mlp", "hidden": [16], "dropout": 0.5}))
    assert done.returncode == 2
    assert "model.dropout: each framework draws dropout in its own way" in done.stderr
