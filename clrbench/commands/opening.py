"""A spec file, or the packaged demo, as an experiment."""

from pathlib import Path

from clrbench.backends import installed
from clrbench.data import Library
from clrbench.planning.experiment import Experiment, open_experiment
from clrbench.store import spec_folder


def open_spec(path: Path | None, out: Path, library: Library) -> Experiment:
    """Return the experiment of a spec file, or of the packaged demo (None), on the backends installed; see `open_experiment`.

    Relative paths in the resolved spec of a results folder start from where those of the first one did.
    """
    return open_experiment(path, out, library, installed=installed(), folder_of=spec_folder)
