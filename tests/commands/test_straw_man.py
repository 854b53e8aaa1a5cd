"""The constant rate and the bounds of real trainings, whichever way the range test is asked for."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run_clrbench, write_spec
from specs import WAYS

ARMS = {
    "constant": {"schedule": {"name": "constant", "lr": "range_test"}},
    "clr": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 3}},
}


@pytest.mark.acceptance
@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize(
    ("optimizer", "lowest", "highest"),
    [
        # Measured over 8 seeds: .919 at .0562; an exponential ramp alone used to say .00515.
        pytest.param({"name": "sgd", "momentum": 0.9}, 0.02, 0.2, id="sgd"),
        # .929 at .005 and .919 at .001; a linear ramp alone used to say .0313, where .904 is reached.
        pytest.param({"name": "adam"}, 0.001, 0.012, id="adam"),
    ],
)
def test_every_ramp_leads_to_rates_that_are_good_to_train_at(
    optimizer: dict[str, Any], lowest: float, highest: float, backend: str, tmp_path: Path
) -> None:
    found = []
    for way, limits in WAYS.items():
        folder = tmp_path / way
        folder.mkdir()
        spec = write_spec(
            folder,
            data={"dataset": "mnist", "train_rows": 3000, "validation": "500 rows", "test_rows": 2000},
            model={"name": "mlp", "hidden": [100, 50]},
            optimizer=optimizer,
            batch_size=100,
            duration="6 epochs",
            arms=ARMS,
            backends=[backend],
            range_test={"duration": "5 epochs", "seeds": 3, **limits},
        )
        done = run_clrbench("range-test", spec, "--workers", 1, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        found.append(json.loads((folder / "results/quick/range-test/bounds.json").read_text())[backend])
    for rate in ("constant_lr", "max_lr", "triangle_base_lr"):
        rates = [rates[rate] for rates in found]
        assert max(rates) <= 2 * min(rates)
    assert all(lowest <= rates["constant_lr"] <= highest for rates in found)
