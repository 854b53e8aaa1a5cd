"""An untuned baseline, and rates with and without what finding them took, on the real command line."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command_line import answer, run_clrbench, write_spec

BOUNDS = {"base_lr": 0.01, "max_lr": 0.1}
LOW = (
    "baseline constant trains at a mean rate of 1e-05, more than half a decade below clr (0.055, 5.5e+03 times as high)"
)


def arms(lr: Any, bounds: dict[str, Any]) -> dict[str, Any]:
    return {
        "constant": {"schedule": {"name": "constant", "lr": lr}},
        "clr": {"schedule": {"name": "triangular", **bounds, "cycles": 2}},
    }


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which clr was compared with a constant rate that is far too low, all rates typed in."""
    folder = tmp_path_factory.mktemp("untuned")
    spec = write_spec(folder, backends=["torch"], seeds=6, arms=arms(1e-5, BOUNDS))
    done = run_clrbench("compare", spec, "--workers", 1, "--json", folder=folder)
    (folder / "answer.json").write_text(done.stdout)
    assert done.returncode == 0, done.stderr
    return folder


def run_folders(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("results/quick/runs/*/run.json")}


@pytest.mark.acceptance
def test_better_than_an_untuned_baseline_is_said_to_be_so_and_fails_unless_allowed(workplace: Path) -> None:
    found = json.loads((workplace / "answer.json").read_text())
    (verdict,) = found["verdicts"]
    assert (verdict["verdict"], verdict["untuned"]) == ("better", True)
    assert [text.startswith(LOW) for text in found["warnings"]].count(True) == 1
    for options, code in (((), 4), (("--allow-untuned",), 0)):
        done = run_clrbench("compare", "quick.yaml", "--fail-if", "not-better", *options, folder=workplace)
        assert done.returncode == code, done.stderr
        assert "Verdict   torch: clr beats constant (untuned)." in done.stdout
        assert ("give --allow-untuned." in done.stdout) is bool(code)
    done = run_clrbench("compare", "quick.yaml", "--fail-if", "worse", "--allow-untuned", folder=workplace)
    assert done.returncode == 0


@pytest.mark.acceptance
def test_what_finding_the_rates_took_trains_nothing_anew_and_is_charged(workplace: Path) -> None:
    results = workplace / "results" / "quick"
    before, metrics = run_folders(workplace), (results / "metrics.csv").read_bytes()
    assert len(before) == 12
    assert pd.read_csv(results / "costs.csv")["total_steps"].isna().all()
    stated = arms({"value": 1e-5, "steps": 300}, {"bounds": {**BOUNDS, "steps": 8250}})
    spec = write_spec(workplace, backends=["torch"], seeds=6, arms=stated)
    for command in ("validate", "schedule"):
        assert run_clrbench(command, spec, folder=workplace).returncode == 0
    found = answer(run_clrbench("compare", spec, "--json", "--fail-if", "not-better", folder=workplace))
    assert run_folders(workplace) == before
    assert (results / "metrics.csv").read_bytes() == metrics
    assert [row["untuned"] for row in found["verdicts"]] == [False]
    costs = pd.read_csv(results / "costs.csv").set_index("arm")
    assert costs["total_steps"].to_dict() == {"constant": 80 + 300, "clr": 80 + 8250}
    assert pd.read_csv(results / "costs" / "timing.csv")["total_seconds"].isna().all()
    assert "steps: 8250" in (results / "spec.yaml").read_text()
    sides = answer(run_clrbench("report", "results/quick", "results/quick", "--json", folder=workplace))
    assert [side["warnings"] for side in sides["experiments"]] == [found["warnings"]] * 2
    assert found["warnings"]
