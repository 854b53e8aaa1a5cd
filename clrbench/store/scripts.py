"""The folder that the script of a run works in until the run is finished, which holds what the script has kept for itself."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clrbench import files
from clrbench.store.files import disk_errors, remove
from clrbench.store.run import LOG_FILE, RUN_FILE, WRITTEN_FILE, RunId, id_pattern

RATES_FILE = "lr.csv"
OURS = (RUN_FILE, RATES_FILE, WRITTEN_FILE, LOG_FILE)
"""Files of a run folder that are no checkpoint of the script's own."""

MAX_KEPT_BYTES = 500_000_000
"""Of such a folder, where it is sent from one machine to another."""


def holds_kept(folder: Path) -> bool:
    """Return whether a script has left files of its own in a run folder."""
    with suppress(FileNotFoundError):
        return any(entry.name not in OURS for entry in folder.iterdir())
    return False


@dataclass(frozen=True)
class ScriptFolder:
    """The run folder of one run of a script; the caller of every method holds the lock of the run."""

    path: Path

    def contents(self) -> dict[str, bytes] | None:
        """Return its files by name; None where they are more than can be sent."""
        return files.read_tree(self.path, MAX_KEPT_BYTES) if self.path.is_dir() else {}

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Put these files in place of what is there, in one step."""
        with disk_errors(self.path):
            files.make_folder(self.path.parent)
            with files.new_folder(self.path) as folder:
                files.write_tree(folder, contents)

    def take_over(self, other: "ScriptFolder") -> bool:
        """Move what a script has kept under the name of another run here, unless there is something; return whether it was."""
        if holds_kept(self.path) or not holds_kept(other.path):
            return False
        self.remove()
        with disk_errors(self.path):
            files.make_folder(self.path.parent)
            other.path.rename(self.path)
        return True

    def remove(self) -> None:
        """Remove it, and what a dead process left half-written."""
        for path in (self.path, *files.find_temporary(self.path.parent, self.path.name)):
            if path.exists():
                remove(path)

    def others(self) -> Iterator[str]:
        """Yield the runs whose folders this one's end makes useless: the same run under another name, or of other files."""
        mine = RunId.parse(self.path.name)
        if mine is not None and self.path.parent.is_dir():
            for entry in sorted(path.name for path in self.path.parent.iterdir()):
                other = RunId.parse(entry)
                if other is not None and other != mine and (other.key == mine.key or other.digits == mine.digits):
                    yield entry


def script_runs(experiment: Path, roots: tuple[str, ...], digits: str) -> list[tuple[Path, str]]:
    """Return where the script of a run may have kept files: each results folder, and the name of the run there."""
    found = [path for root in roots for path in experiment.glob(f"{root}.scripts/{id_pattern(digits)}")]
    return [(path.parents[1], path.name) for path in sorted(found) if holds_kept(path)]
