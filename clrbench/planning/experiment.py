"""A spec file -> an experiment with every default filled in, before anything is trained."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from clrbench.data import DatasetSizes, Description, Library, Show, in_silence
from clrbench.errors import BackendError, SpecError
from clrbench.models import build_layers
from clrbench.planning.advice import comparisons, warnings
from clrbench.planning.data_advice import data_warnings
from clrbench.planning.network import backends_of
from clrbench.planning.runs import asked_range_tests
from clrbench.planning.script import check_files, check_program, stand_in
from clrbench.planning.trials import range_test_runs
from clrbench.records import Dataset
from clrbench.spec import BACKEND_NAMES, BackendName, OwnModel, Spec, SpecFile, load_spec


@dataclass(frozen=True)
class Experiment:
    """A spec with every default filled in, the sizes of its data set, the folder of its results, and its warnings."""

    file: SpecFile
    library: Library
    spec: Spec
    sizes: DatasetSizes
    backends: tuple[BackendName, ...]
    root: Path
    warnings: list[str]

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        """Each candidate with its baseline."""
        return comparisons(self.spec)

    def locating(self) -> AbstractContextManager[None]:
        """Put the file and line of the spec in front of errors about it."""
        return self.file.locating()

    def check_has_arms(self) -> None:
        """Raise SpecError unless the spec names an arm."""
        if not self.spec.arms:
            with self.locating():
                raise SpecError(
                    "names no arm; add one, such as {constant: {schedule: {name: constant, lr: 0.03}}}", key=("arms",)
                )

    def on(self, backends: tuple[BackendName, ...]) -> "Experiment":
        """Return the same experiment on other backends."""
        return replace(self, backends=backends, spec=self.spec.model_copy(update={"backends": backends}))


def open_experiment(
    path: Path | None,
    out: Path,
    library: Library,
    *,
    installed: Collection[str],
    folder_of: Callable[[Path], Path] = lambda path: path.resolve().parent,
) -> Experiment:
    """Return the experiment of a spec file, or of the packaged demo; no data is fetched.

    Args:
        path: The spec file; None for the demo.
        out: Holds a folder for each experiment.
        library: Holds the data sets; relative paths in the spec start from its `base`.
        installed: The backends that a spec which names none runs on.
        folder_of: Returns where relative paths in a spec file that can be read start from if the library has no `base`; its own
            folder unless told otherwise.

    Raises:
        SpecError: If anything in the spec is not allowed, or does not fit the data.
        DataError: If the data cannot be read.
    """
    file = load_spec(path or Path(str(files("clrbench") / "demo.yaml")))
    if library.base is None and path is not None:
        library = library.beside(folder_of(path))
    if file.spec.train is not None:
        with file.locating():
            check_files(file.spec.train, library.base or Path())
    return _fitted(file, out, library, _chosen_backends(file, library, installed))


def _chosen_backends(file: SpecFile, library: Library, installed: Collection[str]) -> tuple[BackendName, ...]:
    asked = None if file.spec.backends == "installed" else file.spec.backends
    there = tuple(name for name in BACKEND_NAMES if name in installed)
    if isinstance(file.spec.model, OwnModel):
        with file.locating():
            return backends_of(file.spec.model, library.place, asked, there)
    return there if asked is None else asked


def load_data(experiment: Experiment, show: Show) -> tuple[Experiment, Dataset]:
    """Return the data set of an experiment, fetched or made first if need be, and the experiment fitted to it."""
    data, library = experiment.spec.data, experiment.library
    if experiment.spec.train is not None:
        return experiment, stand_in(experiment.spec.train, library.base or Path())
    with experiment.locating():
        dataset = library.load(data.dataset, show, experiment.spec.reading())
    if library.measure(data.dataset, experiment.spec.reading()) != experiment.sizes:
        experiment = _fitted(experiment.file, experiment.root.parent, library, experiment.backends)
    return experiment, dataset


def described(experiment: Experiment, show: Show = in_silence) -> tuple[Experiment, Description | None]:
    """Return an experiment with warnings about its data, and what that is; None where it has yet to be fetched or made.

    What a script trains on is not known either.

    Raises:
        SpecError: If its labels, types or shapes are not allowed, or do not fit together, or a script cannot be run.
        DataError: If it cannot be read.
    """
    data, train = experiment.spec.data, experiment.spec.train
    if train is not None:
        with experiment.locating():
            check_program(train, experiment.library.base or Path())
        return experiment, None
    with experiment.locating():
        found = experiment.library.describe(data.dataset, experiment.spec.reading(), show)
    if found is None:
        return experiment, None
    return replace(experiment, warnings=[*experiment.warnings, *data_warnings(found, data)]), found


def check_installed(wanted: Collection[str], installed: Collection[str]) -> None:
    """Raise BackendError unless any backend is wanted, and each of them is installed."""
    if not wanted:
        raise BackendError("no backend is installed; run pip install 'clrbench[torch]' or 'clrbench[keras]'")
    for name in wanted:
        if name not in installed:
            raise BackendError(f"backend {name} is not installed; run pip install 'clrbench[{name}]'")


def _fitted(file: SpecFile, out: Path, library: Library, backends: tuple[BackendName, ...]) -> Experiment:
    """Return an experiment whose runs are known to fit its data."""
    with file.locating():
        sizes = _sizes(file.spec, library)
        baseline = file.spec.baseline or next(iter(file.spec.arms), None)
        spec = file.spec.model_copy(update={"backends": backends, "baseline": baseline})
        found = warnings(spec, sizes, backends)
        _check_range_tests(spec, sizes)
    return Experiment(file, library, spec, sizes, backends, out / spec.name, found)


def _sizes(spec: Spec, library: Library) -> DatasetSizes:
    if spec.train is not None:
        return spec.train.sizes
    sizes = library.measure(spec.data.dataset, spec.reading())
    # Only the shapes matter here: a model that does not fit the images is an error of the spec.
    if not isinstance(spec.model, OwnModel):
        build_layers(spec.model.settings(), sizes.image_shape, num_classes=2)
    return sizes


def _check_range_tests(spec: Spec, sizes: DatasetSizes) -> None:
    """Raise SpecError if a range test that arms need, or that the spec describes, does not fit the data."""
    for group in asked_range_tests(spec):
        range_test_runs(spec, group, sizes, backends=())
