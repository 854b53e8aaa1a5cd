"""The recipe for an array of jobs, as the docs print it, without Slurm: one job after the other, then the command after them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_clrbench, write_spec
from kills import leftovers, tables

DOCS = Path(__file__).parents[2] / "docs/many-machines.md"


def blocks() -> list[str]:
    """Return the shell commands of the page, block by block."""
    return re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.mark.acceptance
def test_an_array_of_jobs_comes_to_the_tables_of_one_command(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, backends=["torch"], seeds=3)
    spec.rename(tmp_path / "mine.yaml")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "clrbench").write_text(f'#!/bin/sh\nexec {sys.executable} -m clrbench "$@"\n')
    (programs / "clrbench").chmod(0o755)
    (script,) = (block for block in blocks() if "#SBATCH --array" in block)
    (tmp_path / "array.sh").write_text(script)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    for number in (3, 1, 2):
        slurm = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_CPUS_PER_TASK": "1"}
        job = subprocess.run(
            ["bash", "array.sh"],
            cwd=tmp_path,
            env={**os.environ, **slurm, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert job.returncode == 0, job.stderr
        assert f"Shard {number}/3 is finished" in job.stdout
    assert len(list(tmp_path.glob("results/quick/runs/*"))) == 6
    (after,) = re.findall(r'--wrap "clrbench (.*)"', DOCS.read_text())
    done = run_clrbench(*after.split(), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    whole = run_clrbench("compare", "mine.yaml", "--out", "whole", "--quiet", folder=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert tables(tmp_path / "results/quick") == tables(tmp_path / "whole/quick")
    assert list(leftovers(tmp_path / "results/quick")) == []


def test_every_command_of_the_page_names_options_that_there_are() -> None:
    known = run_clrbench("compare", "--help", folder=DOCS.parent).stdout
    found = set(re.findall(r"clrbench compare [^\n#`]*", DOCS.read_text()))
    assert len(found) > 5
    options = {option for line in found for option in re.findall(r"(?<= )--[a-z][a-z-]*", line)}
    assert options >= {"--executor", "--ray-address", "--devices", "--shard"}
    assert [option for option in options if option not in known] == []
