"""`clrbench parity`: the first steps through both backends."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Clrbench, answer, write_spec

from clrbench.commands.parity import ArmParity, parity_text
from clrbench.parity import judge
from clrbench.records import FloatArray
from clrbench.report.console import plain


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


def arm(name: str, apart: float, control: float, *, native: bool = False) -> ArmParity:
    """Return an arm of 40 steps whose backends and controls part by so much, relatively, from the 21st step on."""
    losses = np.linspace(2.3, 1.3, 40).astype(np.float32)

    def parted(by: float) -> FloatArray:
        return np.where(np.arange(40) < 20, losses, losses * (1 + by)).astype(np.float32)

    both = (losses, parted(apart))
    judged = judge(both, ([parted(control)], [parted(apart + control)]), tolerance=1e-4)
    return ArmParity(name, np.full(40, 0.1, np.float32), both, judged, native)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_each_arm_has_a_verdict_with_its_meaning_and_a_few_steps(width: int) -> None:
    arms = [arm("constant", 0, 0), arm("clr", 0.01, 0.005), arm("cosine", 0.01, 1e-6), arm("exp", 0, 0)]
    text = plain(parity_text(arms, width))
    lines = text.splitlines()
    assert max(map(len, lines)) <= min(width, 100)
    assert [line.split()[:4] for line in lines if "x" in line.split()[-1:]] == [
        ["constant", "+", "same", "never"],
        ["clr", "~", "chaos", "step"],
        ["cosine", "-", "bug", "step"],
        ["exp", "+", "same", "never"],
    ]
    assert lines[0] == "Verdict   constant and exp: the backends train alike"
    assert sum(line.startswith("40 ") for line in lines) == len(arms)


def test_a_rule_of_its_own_is_named_as_the_cause() -> None:
    text = " ".join(plain(parity_text([arm("clr", 0.01, 1e-6, native=True)], 100)).split())
    assert text.startswith("Verdict clr: not chaos: update_rule is native")


def test_what_diverges_is_null_for_programs() -> None:
    diverged = np.where(np.arange(40) < 20, 2.3, np.nan).astype(np.float32)
    fine = np.full(40, 2.3, np.float32)
    judged = judge((fine, diverged), ([fine], [diverged]), tolerance=1e-4)
    found = ArmParity("clr", np.full(40, 0.1, np.float32), (fine, diverged), judged, native=False).data()
    json.dumps(found, allow_nan=False)
    assert found["keras_loss"] == [*diverged[:20].tolist(), *[None] * 20]
    assert found["difference"] == [0.0] * 20 + [None] * 20
    assert found["largest_ratio"] is None
