"""`clrbench schedule`: rates before any training."""

from pathlib import Path

import pandas as pd
import pytest
from command_line import Clrbench, answer, write_spec


def test_schedule_previews_every_update_and_trains_nothing(clrbench: Clrbench, tmp_path: Path) -> None:
    found = answer(clrbench("schedule", write_spec(tmp_path), "--json"))
    assert found["arms"]["clr"]["steps"] == 80
    table = pd.read_csv(tmp_path / "results/quick/schedule/schedule.csv")
    assert list(table) == ["arm", "step", "epoch", "lr"]
    assert table[table["arm"] == "clr"]["lr"].max() == pytest.approx(0.1)
    assert (tmp_path / "results/quick/schedule/lr_schedule.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "results/quick/runs").exists()
