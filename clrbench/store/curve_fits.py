"""What the curves of a range test were read as, kept in its folder: the fit, and what it imports, take most of a second.

A fit is found again by the checksum of all that it was made from, the code among it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

from clrbench.errors import ResultsError
from clrbench.files import checksum
from clrbench.rates import Outcome, Problem, Run
from clrbench.rates.sweep import read
from clrbench.records import Bounds
from clrbench.store.folder import ResultsFolder
from clrbench.store.stamp import state_of_code

FITS_FILE = ".fits.json"
_MAX_FOLDERS = 64


@dataclass(frozen=True)
class CurveFits:
    """The fits of the curves of a range test, by the checksum of what they were made from."""

    folder: ResultsFolder

    def read(self, problem: Problem, runs: tuple[Run, ...], made: tuple[Outcome, ...]) -> Bounds:
        """Return what the curve of these sweeps says, as `rates.sweep.read` does."""
        key = _key(problem, runs, made)
        if key not in self._kept:
            self._kept[key] = read(problem, runs, made)
            self._write()
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[str, Bounds]:
        try:
            content = json.loads((self.folder.root / FITS_FILE).read_bytes())
            return {key: _from_json(one) for key, one in content.items()}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return {}

    def _write(self) -> None:
        try:
            content = {key: asdict(one) for key, one in self._kept.items()}
            self.folder.write_bytes(FITS_FILE, json.dumps(content).encode())
        except (OSError, ResultsError):
            pass  # A full disk, or a folder that is only read: the curve is fitted anew next time.


@lru_cache(maxsize=_MAX_FOLDERS)
def fits_of(folder: ResultsFolder) -> CurveFits:
    """Return the fits of a range test's folder, always the same object, so that the file is read once."""
    return CurveFits(folder)


def _key(problem: Problem, runs: tuple[Run, ...], made: tuple[Outcome, ...]) -> str:
    arrays = [array for one in made for array in (one.train_loss, one.steps, one.loss, one.accuracy)]
    asked = repr((problem, runs, [len(array) for array in arrays], state_of_code()))
    return checksum(asked.encode() + b"".join(array.tobytes() for array in arrays))


def _from_json(content: Mapping[str, Any]) -> Bounds:
    lists = {name: tuple(content[name]) for name in ("seed_base_lr", "seed_max_lr", "caveats")}
    return Bounds(**{**content, **lists})
