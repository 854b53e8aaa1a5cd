"""`clrbench data bench`: images a second of each input pipeline."""

from pathlib import Path

import pandas as pd
import pytest
from command_line import Clrbench, write_spec


@pytest.mark.acceptance
def test_bench_measures_each_pipeline_alone_and_in_training(clrbench: Clrbench, tmp_path: Path) -> None:
    done = clrbench("data", "bench", write_spec(tmp_path, backends=["torch"]))
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "results/quick/data-bench/pipelines.csv")
    assert set(zip(table["pipeline"], table["measured"], strict=True)) == {
        (pipeline, measured) for pipeline in ("resident", "stream") for measured in ("alone", "training")
    }
    assert (table["images_per_second"] > 0).all()
    for word in ("torch: batches of 50, 1 thread, cpu", "resident", "stream / resident"):
        assert word in done.stdout
