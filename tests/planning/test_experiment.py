"""From a spec file to an experiment with nothing left open."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specs import write_spec

from clrbench.data import DatasetSizes, Library, in_silence
from clrbench.errors import BackendError, SpecError
from clrbench.planning.experiment import Experiment, check_installed, load_data, open_experiment
from clrbench.records import Dataset


class GrowingLibrary(Library):
    """Expects the sizes of a data set before it is loaded, and knows them afterwards."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__()
        object.__setattr__(self, "rows", [expected, found])

    def beside(self, base: Path) -> Library:
        return self

    def measure(self, dataset: str, how: object = None) -> DatasetSizes:
        return DatasetSizes(self.rows[0], 10, (2, 2, 1))

    def load(self, dataset: str, show: object = None, how: object = None) -> Dataset:
        object.__setattr__(self, "rows", self.rows[-1:])
        labels = np.arange(self.rows[0], dtype=np.int32) % 2
        images = np.zeros((self.rows[0], 2, 2, 1), np.uint8)
        return Dataset(dataset, images, labels, images[:10], labels[:10], 2, "abc")


def opened(folder: Path, library: Library | None = None, **changes: Any) -> Experiment:
    own = {"data": {"dataset": "mnist", "validation": "100 rows"}, "batch_size": 20, "seeds": 6}
    path = write_spec(folder, **{**own, **changes})
    return open_experiment(path, folder / "out", library or Library(), installed=("torch",))


def test_what_a_spec_leaves_open_is_filled_in(tmp_path: Path) -> None:
    experiment = opened(tmp_path)
    assert experiment.backends == experiment.spec.backends == ("torch",)
    assert experiment.spec.baseline == "constant"
    assert experiment.comparisons == [("clr", "constant")]
    assert experiment.root == tmp_path / "out/test"
    assert experiment.sizes.train_rows == 60_000


def test_backends_that_a_spec_names_are_kept_in_its_order(tmp_path: Path) -> None:
    assert opened(tmp_path, backends=["keras", "torch"]).backends == ("keras", "torch")


def test_the_same_experiment_on_other_backends(tmp_path: Path) -> None:
    both = opened(tmp_path).on(("torch", "keras"))
    assert both.backends == both.spec.backends == ("torch", "keras")


def test_without_a_path_it_is_the_demo(tmp_path: Path) -> None:
    assert open_experiment(None, tmp_path, Library(), installed=("keras",)).spec.name == "demo"


def test_loading_fits_the_experiment_to_the_data_found(tmp_path: Path) -> None:
    experiment = opened(tmp_path, GrowingLibrary(1_000, 500))
    assert experiment.sizes.train_rows == 1_000
    loaded, dataset = load_data(experiment, in_silence)
    assert loaded.sizes.train_rows == len(dataset.y_train) == 500
    assert loaded.spec == experiment.spec
    assert loaded.root == experiment.root
    assert load_data(loaded, in_silence)[0] is loaded


def test_data_that_does_not_fit_once_it_is_loaded_is_an_error_of_the_spec(tmp_path: Path) -> None:
    experiment = opened(tmp_path, GrowingLibrary(1_000, 110))
    with pytest.raises(SpecError, match=r"spec.yaml:\d+: batch_size: got 20; allowed: at most 10"):
        load_data(experiment, in_silence)


def test_a_spec_without_arms_is_refused_by_what_needs_them(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"spec.yaml:\d+: arms: names no arm"):
        opened(tmp_path, arms=None, range_test={"start_lr": 0.001, "end_lr": 1.0}).check_has_arms()


def test_backends_must_be_installed() -> None:
    check_installed(("torch",), ("torch", "keras"))
    with pytest.raises(BackendError, match=r"backend keras is not installed; run pip install 'clrbench\[keras\]'"):
        check_installed(("torch", "keras"), ("torch",))
    with pytest.raises(BackendError, match="no backend is installed"):
        check_installed((), ("torch",))
