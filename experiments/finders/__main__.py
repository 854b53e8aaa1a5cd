"""Run the bake-off: `make finders`. Trainings and suggestions are made once and kept under --folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rates import CHOOSING_SEEDS
from settings import Setting

from finders import peers, summary
from finders.plot import draw
from finders.problems import chosen
from finders.rules import DEFAULT_UPDATES, LENGTHS, Suggestion
from finders.scoring import Row, Scorer, SettingRow, table

ROOT = Path(__file__).parents[2]


def make(setting: Setting, group: str, folder: Path) -> tuple[SettingRow, list[Row]]:
    """Return the rows of one setting; clrbench comes first, as its updates are what the peers are given."""
    scorer = Scorer(setting, folder)
    ours = scorer.ours()
    equal = max(suggestion.updates for suggestion in ours)
    theirs = [
        suggestion
        for length in LENGTHS
        for suggestion in _kept(setting, length, equal if length == "equal" else DEFAULT_UPDATES, folder)
    ]
    return scorer.setting_row(group), scorer.rows([*ours, *theirs])


def _kept(setting: Setting, length: str, num_steps: int, folder: Path) -> list[Suggestion]:
    """Return what the peers suggest, from an earlier run of the same packages where there was one."""
    question = json.loads(json.dumps({**asdict(setting), "updates": num_steps, "versions": peers.versions()}))
    path = folder / "peers" / f"{setting.name.replace(' ', '-')}-{length}.json"
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["question"] == question:
            return [Suggestion(**one) for one in kept["suggestions"]]
    found = peers.suggestions(setting, CHOOSING_SEEDS[0], length, num_steps)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"question": question, "suggestions": [asdict(one) for one in found]}))
    return found


def write(made: Sequence[tuple[SettingRow, list[Row]]], out: Path) -> None:
    """Write the tables and the plot."""
    out.mkdir(parents=True, exist_ok=True)
    table([setting for setting, _ in made]).to_csv(out / "settings.csv", index=False, float_format="%.6g")
    table([row for _, rows in made for row in rows]).to_csv(out / "finders.csv", index=False, float_format="%.6g")
    rows, settings = summary.read(out)
    summary.summary(rows, settings).to_csv(out / "summary.csv", index=False)
    draw(rows, settings, out / "finders.png")


def main() -> None:
    """Run the settings asked for, in processes of their own, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "finders")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "rates")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="names of settings")
    arguments = parser.parse_args()
    wanted = [one for one in chosen() if not arguments.only or one[0].name in arguments.only]
    with ProcessPoolExecutor(arguments.processes) as pool:
        problems, groups = zip(*wanted, strict=True)
        made = []
        for one in pool.map(partial(make, folder=arguments.folder), problems, groups):
            made.append(one)
            print(f"{one[0].setting}: done", flush=True)
    write(made, arguments.out)
    rows, settings = summary.read(arguments.out)
    print(summary.summary_text(summary.summary(rows, settings), summary.hopeless(settings)))


if __name__ == "__main__":
    main()
