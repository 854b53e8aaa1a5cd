"""The recipes in docs/, run as they stand; other people's frameworks come with the extra `integrations`."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from specs import write_spec

from clrbench.cli import main
from clrbench.commands.export import Wanted, export
from clrbench.data import Library
from clrbench.progress import Display
from clrbench.spec import Clock, load_spec

DOCS = Path(__file__).parents[1] / "docs"
NUM_STEPS = 60
TIMEOUT_SECONDS = 600


def recipes(name: str) -> dict[str, str]:
    """Return the Python code of each section of a document; that before the first section stands under ""."""
    parts = re.split(r"^## (.+)$", (DOCS / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    found = {
        title: "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        for title, text in sections.items()
    }
    return {title: code for title, code in found.items() if code}


LOOPS, EXPORTS = recipes("range-test.md"), recipes("export.md")


def run(code: str, folder: Path) -> str:
    """Run code in a process of its own and return what it printed."""
    around = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(DOCS.parent), os.environ.get("PYTHONPATH", "")]),
        "KERAS_BACKEND": "tensorflow",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=around,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_recipe_is_found() -> None:
    assert len(LOOPS) == 7
    assert set(EXPORTS) == {"PyTorch", "Lightning", "Hugging Face Trainer", "Keras"}


@pytest.mark.acceptance
@pytest.mark.parametrize("title", [title for title in LOOPS if title])
def test_a_recipe_of_the_range_test_finds_rates(title: str, tmp_path: Path) -> None:
    shown = "print(json.dumps([bounds.max_lr, bounds.constant_lr, bounds.confirmed, list(bounds.caveats)]))"
    code = f"{LOOPS['']}\n{LOOPS[title]}\nimport json\n{shown}"
    max_lr, constant_lr, confirmed, caveats = json.loads(run(code, tmp_path).splitlines()[-1])
    assert 1e-3 <= max_lr <= 10
    assert 3e-4 <= constant_lr <= max_lr
    assert confirmed == ("trials()" in LOOPS[title])
    assert not any("running mean" in caveat or "was left after" in caveat for caveat in caveats)


@pytest.mark.acceptance
@pytest.mark.parametrize("warmup", [{}, {"warmup": "7 steps"}], ids=["plain", "warmed up"])
@pytest.mark.parametrize("title", list(EXPORTS))
def test_a_recipe_of_the_export_trains_at_the_table(title: str, warmup: dict[str, str], tmp_path: Path) -> None:
    schedule = {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 3, **warmup}
    data = {"dataset": "mnist", "train_rows": 1000}
    path = write_spec(
        tmp_path, data=data, duration=f"{NUM_STEPS} steps", arms={"clr": {"schedule": schedule}}, backends=["torch"]
    )
    for to, name in (("torch", "lr.py"), ("keras", "keras_lr.py")):
        export(path, Wanted("clr", to), tmp_path / name, Library(None), Display(quiet=True))
    used = json.loads(run(f"{EXPORTS[title]}\nimport json\nprint(json.dumps(used))", tmp_path).splitlines()[-1])
    table = load_spec(path).spec.resolved_arm("clr").schedule.table(Clock(10, NUM_STEPS))
    np.testing.assert_allclose(used, table.astype(np.float32), rtol=2.0**-22)


@pytest.mark.acceptance
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)
    done = nbclient.NotebookClient(
        notebook, timeout=TIMEOUT_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [output.get("data", {}) for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum('src="data:image/png;base64,' in data.get("text/html", "") for data in shown) == 4
    assert (tmp_path / "range-test" / "bounds.json").exists()
    assert (tmp_path / "results" / "quick" / "report.html").exists()


@pytest.mark.acceptance
def test_the_schedules_of_transformers_are_those_here() -> None:
    import torch
    from transformers import get_polynomial_decay_schedule_with_warmup, get_wsd_schedule

    from clrbench.schedules import polynomial, wsd

    def rates(make) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        scheduler = make(optimizer)
        used = []
        for _ in range(500):
            used.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return used

    for shape, theirs in (("linear", "linear"), ("cosine", "cosine"), ("sqrt", "1-sqrt")):
        expected = rates(
            lambda optimizer, theirs=theirs: get_wsd_schedule(
                optimizer,
                num_warmup_steps=0,
                num_stable_steps=399,
                num_decay_steps=100,
                decay_type=theirs,
                min_lr_ratio=0.01,
            )
        )
        np.testing.assert_allclose(wsd(500, lr=0.5, end_lr=0.005, shape=shape), expected, rtol=1e-12)
    expected = rates(
        lambda optimizer: get_polynomial_decay_schedule_with_warmup(
            optimizer, num_warmup_steps=0, num_training_steps=499, lr_end=0.005, power=2.5
        )
    )
    np.testing.assert_allclose(polynomial(500, lr=0.5, end_lr=0.005, power=2.5), expected, rtol=1e-12)


def write_own_results(folder: Path) -> None:
    """Write the files that the commands of `judge.md` name: 8 seeds of two or three methods."""
    accuracies = {
        name: [round(0.7 + gain + 0.001 * (seed * step % 5), 4) for seed in range(8)]
        for name, gain, step in (("base", 0.0, 1), ("new", 0.02, 2), ("other", 0.01, 3))
    }
    wide = pd.DataFrame({"seed": range(8), **accuracies})
    wide.to_csv(folder / "wide.csv", index=False)
    long = wide[["seed", "base", "new"]].melt("seed", var_name="method", value_name="accuracy")
    long.to_csv(folder / "results.csv", index=False)
    for name in ("base", "new"):
        wide[["seed", name]].rename(columns={name: "accuracy"}).to_csv(folder / f"{name}.csv", index=False)
    epochs = [long.assign(epoch=epoch, accuracy=long["accuracy"] - 0.1 / epoch) for epoch in (1, 2, 3)]
    pd.concat(epochs).to_csv(folder / "logs.csv", index=False)
    pd.concat([long.assign(dataset=name) for name in ("digits", "letters")]).to_csv(folder / "all.csv", index=False)


@pytest.mark.acceptance
def test_the_commands_on_results_of_ones_own_come_to_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own_results(tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^clrbench (judge [^#\n]+)", (DOCS / "judge.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        done = CliRunner().invoke(main, [*shlex.split(command), "--out", "judged"])
        assert done.exit_code == 0, (command, done.output)
        assert "better" in done.output
