"""The long version of tests/execution/test_runner.py: experiments killed hundreds of times; run it with `make soak`."""

import argparse
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "commands"))

from fakes import HASTY, command
from kills import CHANGES, Killer, leftovers, tables, write_kill_spec

MAX_KILLS_OF_ONE = 8


def main() -> None:
    """Kill until it was often enough; exit with 1 at the first table that shows it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executor", choices=["local", "ray"], default="local")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    kills, expected, started = 0, {}, time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for round_number, (changes, backend) in enumerate(
            itertools.cycle(itertools.product(CHANGES, ("torch", "keras")))
        ):
            if kills >= options.kills:
                break
            setup = HASTY if round_number % 4 != 3 else None
            spec = write_kill_spec(folder, changes, backend, "60 epochs" if changes != "cnn" else "6 epochs")
            if spec not in expected:
                whole = folder / f"{spec.stem}-whole"
                Killer(spec, whole, command(), rng).run(kills=0)
                expected[spec] = tables(whole / "quick")
            out = folder / f"{spec.stem}-{round_number}"
            killer = Killer(spec, out, command(setup), rng, options.executor)
            made = killer.run(min(MAX_KILLS_OF_ONE, options.kills - kills))
            kills += made
            found = tables(out / "quick")
            different = [path for path in expected[spec] | found if expected[spec].get(path) != found.get(path)]
            left = [str(path) for path in leftovers(out / "quick")]
            print(f"{kills} kills, {time.monotonic() - started:.0f} s: {spec.stem}, {made} kills", flush=True)
            if different or left:
                sys.exit(f"{spec.stem}: different {different}, left {left}")
    print(f"{kills} kills, {len(expected)} specs: every table byte for byte that of a run never stopped")


if __name__ == "__main__":
    main()
