"""Run every experiment beside this file whose data is at hand, and say how the outcome differs from the committed results."""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from clrbench.spec import load_spec

EXPERIMENTS = Path(__file__).parent
COMMITTED = EXPERIMENTS.parent / "results"
CLRBENCH = Path(sys.executable).parent / "clrbench"
REFUSED = 3
FINDINGS_FILE = "findings.csv"
_KEYS = ["backend", "metric", "candidate", "baseline"]
_SHOWN = ["mean_difference", "ci_low", "ci_high", "verdict"]


def main() -> None:
    """Run them; exit with 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the new results go")
    out = parser.parse_args().out
    failed, lines, findings = [], list[str](), list[pd.DataFrame]()
    without_data: dict[str, list[str]] = {}
    ready = {entry["name"]: entry["is_ready"] for entry in _datasets()}
    print(
        f"Budgets stated in the specs: {sum(map(budget_minutes, EXPERIMENTS.glob('*.yaml')))} minutes on 2 cores in total"
    )
    for path in sorted(EXPERIMENTS.glob("*.yaml")):
        spec = load_spec(path).spec
        if not ready.get(spec.data.dataset, True):
            without_data.setdefault(spec.data.dataset, []).append(path.name)
            continue
        command = "compare" if spec.arms else "range-test"
        print(f"\n=== clrbench {command} {path.relative_to(EXPERIMENTS.parent)}", flush=True)
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "clrbench", command, str(path), "--out", str(out)], check=False)
        minutes = (time.monotonic() - started) / 60
        if done.returncode not in {0, REFUSED}:
            failed.append(path.name)
            continue
        new, old = out / spec.name, COMMITTED / spec.name
        beside = findings_of(new, old) if (new / "comparison.csv").exists() and old.is_dir() else None
        found = [f"{spec.name} ({minutes:.1f} min):", *_differences(new, old, beside)]
        print(*found, sep="\n", flush=True)
        lines += found
        if beside is not None:
            findings.append(beside)
            pd.concat(findings).to_csv(out / FINDINGS_FILE, index=False, float_format="%.6g")
    print("\n=== Against the committed results", *lines, sep="\n")
    for dataset, names in without_data.items():
        print(f"\nNot run, as {dataset} is not here: {', '.join(names)}. This gets it: {CLRBENCH} data fetch {dataset}")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


def budget_minutes(path: Path) -> int:
    """Return the minutes on 2 cores that the comment of an experiment states; 0 where it is made for a GPU."""
    stated = re.search(r"Budget: (\d+) minutes? on 2 cores", path.read_text(encoding="utf-8"))
    return int(stated[1]) if stated else 0


def _datasets() -> list[dict[str, Any]]:
    listed = subprocess.run(
        [sys.executable, "-m", "clrbench", "data", "list", "--json"], check=True, capture_output=True, text=True
    )
    found: list[dict[str, Any]] = json.loads(listed.stdout)["datasets"]
    return found


def _differences(new: Path, old: Path, findings: pd.DataFrame | None) -> Iterator[str]:
    if not old.is_dir():
        yield "  no committed results to set it against"
        return
    for name in ("summary.csv", "comparison.csv"):
        if (new / name).exists() and (old / name).exists():
            same = (new / name).read_bytes() == (old / name).read_bytes()
            yield f"  {name}: {'identical' if same else 'differs'}"
    if (new / "summary.csv").exists():
        yield from _accuracy_differences(new, old)
    if findings is not None:
        yield from _verdict_differences(findings)
    for path in sorted(new.glob("range-test/**/bounds.json")):
        yield from _bounds_differences(path, old / path.relative_to(new))


def _accuracy_differences(new: Path, old: Path) -> Iterator[str]:
    keys = ["backend", "arm"]
    both = pd.read_csv(new / "summary.csv").merge(
        pd.read_csv(old / "summary.csv"), on=keys, suffixes=("", "_committed")
    )
    for row in both.to_dict("records"):
        mean, committed = row["test_accuracy_mean"], row["test_accuracy_mean_committed"]
        yield f"  {row['backend']} {row['arm']}: test accuracy {mean:.4f}, committed {committed:.4f} ({mean - committed:+.4f})"


def _verdict_differences(findings: pd.DataFrame) -> Iterator[str]:
    for row in findings[findings["metric"] == "test_accuracy"].to_dict("records"):
        same = (
            "as committed" if row["verdict"] == row["committed_verdict"] else f"committed: {row['committed_verdict']}"
        )
        yield f"  {row['backend']} {row['candidate']} against {row['baseline']}: {row['verdict']} ({same})"


def findings_of(new: Path, old: Path) -> pd.DataFrame:
    """Return what an experiment shows of each candidate in its accuracy and loss, beside what is committed of it."""
    found, committed = (pd.read_csv(folder / "comparison.csv")[[*_KEYS, *_SHOWN]] for folder in (new, old))
    committed = committed.rename(columns={name: f"committed_{name}" for name in _SHOWN})
    both = found.merge(committed, on=_KEYS)
    both.insert(0, "experiment", new.name)
    return both[both["metric"].isin(["test_accuracy", "test_loss"])]


def _bounds_differences(new: Path, old: Path) -> Iterator[str]:
    committed = json.loads(old.read_text()) if old.exists() else {}
    for backend, found in json.loads(new.read_text()).items():
        there = committed.get(backend, {})
        yield (
            f"  {backend} range test: base_lr {found['base_lr']}, max_lr {found['max_lr']}; committed {there.get('base_lr')}, "
            f"{there.get('max_lr')}"
        )


if __name__ == "__main__":
    main()
