"""What was made of a results folder bears the checksum of what it was made from, so that it need not be made again.

A stamp holds where it was written and nowhere else: it counts inodes and change times, which no copy or archive keeps, of
the runs, of the files written, and of the code that wrote them.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from clrbench.errors import ResultsError
from clrbench.files import checksum
from clrbench.records import Json
from clrbench.store.folder import ResultsFolder
from clrbench.store.index import INDEX_FILE

_LIBRARIES = ("numpy", "pandas", "matplotlib", "scipy", "jinja2", "rich")
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Stamp:
    """What says whether files of a results folder still stand for its runs.

    Attributes:
        name: Of the stamp, in the folder.
        asked: What they were made by, beside the runs: the spec, warnings.
    """

    folder: ResultsFolder
    name: str
    asked: Sequence[str]

    def kept(self) -> Mapping[str, Json] | None:
        """Return what was kept with the files; None where they, or what they were made from, are not as they were."""
        try:
            content = json.loads((self.folder.root / self.name).read_bytes())
            if content["made_from"] == self._made_from() and content["wrote"] == _states(self._paths(content["files"])):
                kept: Mapping[str, Json] = content["kept"]
                return kept
        except (OSError, ValueError, KeyError, TypeError, ResultsError):
            pass
        return None

    def write(self, names: Iterable[str], kept: Mapping[str, Json]) -> None:
        """Write the stamp of files by their names in the folder; what a full disk refuses is no loss."""
        written = sorted(names)
        try:
            states = {"made_from": self._made_from(), "wrote": _states(self._paths(written))}
            content = {**states, "files": written, "kept": dict(kept)}
            self.folder.write_bytes(self.name, json.dumps(content).encode())
        except (OSError, ResultsError):
            # Another process changes the runs, or the disk is full: the next report is written anew.
            self.folder.remove(self.name)

    def _made_from(self) -> str:
        root = self.folder.root
        states = [_states(sorted(_files_of_runs(root))), state_of_code(), *self.asked, str(root.resolve())]
        return checksum(json.dumps([*states, repr(self.folder.index())]).encode())

    def _paths(self, names: Iterable[str]) -> list[Path]:
        return [self.folder.root / name for name in names]


def _files_of_runs(root: Path) -> Iterator[Path]:
    """Yield every file of the runs of an experiment, of its search and of its range tests, and what says which count."""
    for runs in (root / "runs", *root.glob("*/runs"), *root.glob("*/*/runs")):
        yield from (path for path in runs.rglob("*") if path.is_file())
    yield from root.glob(f"*/{INDEX_FILE}")


def _states(paths: Iterable[Path]) -> str:
    """Return a checksum of which files there are, and which state each is in."""
    found = [(str(path), state.st_ino, state.st_size, state.st_ctime_ns) for path in paths for state in [path.stat()]]
    return checksum(repr(found).encode())


@cache
def state_of_code() -> str:
    """Return a checksum of the state of the code, and of the versions of what it draws and counts with."""
    code = sorted(path for path in _PACKAGE.rglob("*") if path.suffix in {".py", ".css", ".jinja"})
    return _states(code) + "".join(f" {name} {version(name)}" for name in _LIBRARIES) + sys.version
