"""What is handed out, looked through and tried: contents, an empty environment, an experiment there without a network.

Run it with `make dist`, which builds the wheel and the source distribution before.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
IN_WHEEL = {"clrbench/__init__.py", "clrbench/py.typed", "clrbench/data/mnist/train-images-idx3-ubyte.gz"}
IN_SOURCE = IN_WHEEL | {
    "Makefile",
    "constraints.txt",
    "CITATION.cff",
    "tests/soak.py",
    "docs/index.md",
    "results/mnist-fair/comparison.csv",
}
KEPT_OUT = (".ci/", ".git/", ".venv", "build/", "dist/", "/runs/", "__pycache__")
SPEC = """\
name: tried
data: {dataset: mnist, train_rows: 1000, test_rows: 500}
model: {name: mlp, hidden: [20], activation: relu}
batch_size: 50
duration: 2 epochs
seeds: 6
backends: [torch]
baseline: constant
arms:
  constant: {schedule: {name: constant, lr: 0.1}}
  clr: {schedule: {name: triangular, base_lr: 0.03, max_lr: 0.3, step_size: 10 steps}}
"""


def main() -> None:
    """Check what lies in a folder; exit with a line that says what is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path)
    dist = parser.parse_args().dist
    (wheel,) = dist.glob("*.whl")
    (source,) = dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        check(wheel.name, archive.namelist(), IN_WHEEL, (*KEPT_OUT, "/tests/", "/results/"))
    with tarfile.open(source) as packed:
        check(source.name, [name.partition("/")[2] for name in packed.getnames()], IN_SOURCE, KEPT_OUT)
    with tempfile.TemporaryDirectory() as folder:
        try_out(wheel, Path(folder))


def check(archive: str, names: Iterable[str], wanted: Iterable[str], kept_out: Iterable[str]) -> None:
    """Exit where an archive lacks what belongs into it, or holds what does not."""
    found = set(names)
    missing = sorted(set(wanted) - found)
    too_much = sorted(name for name in found if any(part in f"/{name}" for part in kept_out))
    if missing or too_much:
        sys.exit(f"{archive}: missing {missing}, and too much {too_much[:5]}")
    print(f"{archive}: {len(found)} files")


def try_out(wheel: Path, folder: Path) -> None:
    """Install a wheel with PyTorch into an empty environment, and compare there on MNIST without a network."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, f"{wheel.resolve()}[torch]"], check=True)
    (folder / "tried.yaml").write_text(SPEC, encoding="utf-8")
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        print("This machine grants no network namespace; the experiment runs beside a network.")
        alone = []
    subprocess.run([*alone, folder / "venv/bin/clrbench", "compare", "tried.yaml"], cwd=folder, check=True)
    if not (folder / "results/tried/comparison.csv").is_file():
        sys.exit("compare wrote no comparison.csv")


if __name__ == "__main__":
    main()
