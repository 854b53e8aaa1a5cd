"""A spec file -> an experiment with nothing left open, before anything is read or trained."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from clrbench import backends
from clrbench.data import DatasetSizes, Library
from clrbench.errors import BackendError
from clrbench.models import build_layers
from clrbench.planning.advice import comparisons, warnings
from clrbench.planning.runs import needed_range_tests, own_range_test, range_test_runs
from clrbench.spec import BACKEND_NAMES, BackendName, Spec, SpecFile, load_spec
from clrbench.spec.model import RangeTest

DEFAULT_RESULTS = Path("results")


@dataclass(frozen=True)
class Experiment:
    """A spec with every default filled in, the size of its data, and where its results go.

    Attributes:
        file: The spec as it was read.
        library: Has its data set.
        spec: The spec, resolved.
        sizes: Of its data set.
        backends: What it runs on.
        root: The folder for its results.
        warnings: What may mislead in its outcome.
    """

    file: SpecFile
    library: Library
    spec: Spec
    sizes: DatasetSizes
    backends: tuple[BackendName, ...]
    root: Path
    warnings: list[str]

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        """Each candidate and its baseline."""
        return comparisons(self.spec)

    def locating(self) -> AbstractContextManager[None]:
        """Put the file and line in front of errors about the spec."""
        return self.file.locating()


def open_experiment(path: Path | None, out: Path, library: Library) -> Experiment:
    """Return the experiment of a spec file, or the packaged demo.

    Args:
        path: Of the spec; None for the demo.
        out: The folder that holds a folder for each experiment.
        library: Has the data sets; nothing is fetched.

    Raises:
        SpecError: If anything in the spec is not allowed, or does not fit the data.
        DataError: If the data cannot be read.
    """
    file = load_spec(path or demo_path())
    with file.locating():
        sizes = library.measure(file.spec.data.dataset)
        # Only the shapes matter here: a model that does not fit the images is an error of the spec.
        build_layers(file.spec.model.settings(), sizes.image_shape, num_classes=2)
        chosen = _chosen_backends(file.spec)
        baseline = file.spec.baseline or next(iter(file.spec.arms), None)
        spec = file.spec.model_copy(update={"backends": chosen, "baseline": baseline})
        found = warnings(spec, sizes, chosen)
        _check_range_tests(spec, sizes)
    return Experiment(file, library, spec, sizes, chosen, out / spec.name, found)


def _check_range_tests(spec: Spec, sizes: DatasetSizes) -> None:
    """Raise SpecError if a range test that arms need, or that the spec asks for by itself, does not fit the data."""
    asked = [] if spec.arms and spec.range_test == RangeTest() else [own_range_test(spec)]
    for group in [*asked, *needed_range_tests(spec)]:
        range_test_runs(spec, group, sizes, backends=())


def demo_path() -> Path:
    """Return the path of the packaged demo."""
    return Path(str(files("clrbench") / "demo.yaml"))


def check_installed(chosen: tuple[BackendName, ...]) -> None:
    """Raise BackendError unless there is a backend, and each of them is installed."""
    if not chosen:
        raise BackendError(
            "no backend is installed; run pip install 'clrbench[torch]' or pip install 'clrbench[keras]'"
        )
    for name in chosen:
        if name not in backends.installed():
            raise BackendError(f"backend {name} is not installed; run pip install 'clrbench[{name}]'")


def _chosen_backends(spec: Spec) -> tuple[BackendName, ...]:
    if spec.backends != "installed":
        return spec.backends
    there = backends.installed()
    return tuple(name for name in BACKEND_NAMES if name in there)
