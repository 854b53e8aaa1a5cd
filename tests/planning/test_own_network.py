"""What decides the numbers of a network of the user's own, and where it runs; no framework is imported for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from specs import make_spec, write_spec

from clrbench.data import Library
from clrbench.errors import SpecError
from clrbench.planning.experiment import open_experiment
from clrbench.planning.network import framework_versions
from clrbench.planning.plan import make_plan, run_identity, standardisation
from clrbench.planning.runs import training_runs
from clrbench.records import Dataset
from clrbench.spec import RunSpec

TORCH = "from torch import nn\ndef build(image_shape, num_classes, width=3): return nn.Linear(1, 1)\n"
KERAS = "import keras\ndef build(image_shape, num_classes, width=3): return keras.Sequential()\n"


SHAPES = [((16,), np.float32), ((5, 3), np.float32), ((5, 3), np.int32), ((16,), np.uint8), ((2, 3, 4, 5), np.float32)]


def dataset(shape: tuple[int, ...] = (4, 4, 1), kind: type = np.float32) -> Dataset:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 9, (60, *shape)).astype(kind)
    labels = np.arange(60, dtype=np.int32) % 3
    return Dataset("own", rows[:40], labels[:40], rows[40:], labels[40:], 3, "checksum")


def run(model: object, *, number: int = 0) -> RunSpec:
    spec = make_spec(model=model, data={"dataset": "own.npz", "validation": "6 rows"}, batch_size=8, backends=["torch"])
    sizes = Library().measure("mnist")
    runs = training_runs(spec, replace(sizes, train_rows=40, test_rows=20, image_shape=(4, 4, 1)), ("torch",), {})
    return runs[number]


def identity(model: object, folder: Path, number: int = 0) -> str:
    return run_identity(run(model, number=number), dataset(), "cpu", 1, folder)


def test_identity_holds_source_options_and_seed_and_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "there", "changed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.py").write_text(TORCH + "#" * (name == "changed"))
    here = tmp_path / "here"
    usual = identity("./net.py:build", here)
    assert identity("./net.py:build", tmp_path / "there") == usual
    assert identity("here/net.py:build", tmp_path) == usual
    assert identity({"function": "net.py:build"}, here) == usual
    others = [
        identity("./net.py:build", tmp_path / "changed"),
        identity({"function": "net.py:build", "width": 4}, here),
        identity({"function": "net.py:build", "width": 4.5}, here),
        identity("./net.py:build", here, number=2),
        identity({"name": "mlp"}, here),
    ]
    monkeypatch.setattr("clrbench.planning.plan.framework_versions", lambda _: {"torch": "0.1"})
    others.append(identity("./net.py:build", here))
    assert len({usual, *others}) == 1 + len(others)


def test_a_plan_says_what_builds_it_and_arms_share_that(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TORCH)
    model = {"function": "./net.py:build", "width": 4}
    constant, clr, other_seed = (make_plan(run(model, number=number), dataset(), tmp_path) for number in (0, 1, 2))
    assert constant.network is not None
    assert constant.network.reference == f"{tmp_path / 'net.py'}:build"
    assert (constant.network.folder, constant.network.options) == (tmp_path, '{"width": 4}')
    assert (constant.layers, dict(constant.weights)) == ((), {})
    assert constant.network == clr.network
    assert constant.network != other_seed.network == replace(constant.network, seed=other_seed.network.seed)
    np.testing.assert_array_equal(constant.batches, clr.batches)


@pytest.mark.parametrize(
    ("shape", "kind", "scaled"),
    [
        ((4, 4, 1), np.float32, True),
        ((16,), np.float32, False),
        ((4, 4), np.float32, False),
        ((4, 4, 1), np.int32, False),
        ((4, 4, 1), np.uint8, False),
    ],
)
def test_only_images_are_scaled(tmp_path: Path, shape: tuple[int, ...], kind: type, scaled: bool) -> None:
    (tmp_path / "net.py").write_text(TORCH)
    plan = make_plan(run("./net.py:build"), dataset(shape, kind), tmp_path)
    assert (plan.standardisation is not None) == scaled


@pytest.mark.parametrize(
    ("shape", "kind"),
    SHAPES,
)
def test_rows_of_any_shape_are_standardised_along_the_last_axis(shape: tuple[int, ...], kind: type) -> None:
    rows = dataset(shape, kind).x_train
    found = standardisation(rows, np.arange(40, dtype=np.int32))
    axes = tuple(range(rows.ndim - 1))
    np.testing.assert_allclose(found.mean, rows.astype(np.float64).mean(axes), rtol=1e-6)
    np.testing.assert_allclose(found.deviation, rows.astype(np.float64).std(axes), rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        (TORCH, {}, ("torch",)),
        (KERAS, {}, ("keras",)),
        (TORCH, {"backends": ["torch"]}, ("torch",)),
        ("def build(s, n): pass\n", {"backends": ["keras"]}, ("keras",)),
        (TORCH + KERAS.replace("build", "other"), {}, ("torch",)),
    ],
)
def test_it_runs_on_the_backend_that_it_is_made_with(
    tmp_path: Path, text: str, changes: dict[str, object], expected: tuple[str, ...]
) -> None:
    (tmp_path / "net.py").write_text(text)
    path = write_spec(tmp_path, model="./net.py:build", **changes)
    experiment = open_experiment(path, tmp_path, Library(), installed=("torch", "keras"))
    assert experiment.backends == expected


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        (
            TORCH,
            {"backends": ["keras"]},
            "backends: got keras, but net.py:build makes its network with torch; allowed: .*torch",
        ),
        (TORCH, {"backends": ["torch", "keras"]}, "backends: got torch, keras; allowed: one backend"),
        (
            KERAS,
            {"backends": ["torch", "keras"]},
            "as your own network uses one framework: backends: .keras.",
        ),
        ("def build(s, n): pass\n", {}, "model: net.py:build imports no framework that is known.*add backends"),
        (
            "import torch, keras\ndef build(s, n): return torch, keras\n",
            {},
            "imports torch and keras, so its framework cannot be inferred",
        ),
        ("def biuld(s, n): pass\n", {}, "model: .*got no such function in net.py; allowed: biuld"),
        ("def build(\n", {}, "model: .*net.py, line 1 is not Python"),
    ],
)
def test_what_does_not_fit_is_an_error_of_the_spec(
    tmp_path: Path, text: str, changes: dict[str, object], words: str
) -> None:
    (tmp_path / "net.py").write_text(text)
    path = write_spec(tmp_path, model="./net.py:build", **changes)
    with pytest.raises(SpecError, match=rf"spec.yaml:\d+: {words}|{words}"):
        open_experiment(path, tmp_path, Library(), installed=("torch", "keras"))


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        ({"name": "cnn"}, (16,), r"cnn takes images.*has the shape \(16,\); choose mlp, or a network of your own"),
        ({"name": "lenet5"}, (16,), "lenet5 takes images"),
        ({"name": "mlp"}, (16,), None),
    ],
)
def test_built_in_networks_say_what_they_take(
    tmp_path: Path, model: dict[str, str], shape: tuple[int, ...], words: str | None
) -> None:
    rows = dataset(shape)
    np.savez(tmp_path / "own.npz", x_train=rows.x_train, y_train=rows.y_train, x_test=rows.x_test, y_test=rows.y_test)
    path = write_spec(tmp_path, model=model, data={"dataset": "own.npz"}, batch_size=8)
    if words is None:
        assert open_experiment(path, tmp_path, Library(), installed=("torch",)).sizes.image_shape == shape
        return
    with pytest.raises(SpecError, match=words):
        open_experiment(path, tmp_path, Library(), installed=("torch",))


def test_versions_are_those_that_are_installed() -> None:
    assert framework_versions("torch").keys() == {"torch"}
    assert framework_versions("keras").keys() == {"keras", "tensorflow"}


def test_no_framework_is_imported_to_know_a_run_again(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TORCH)
    write_spec(tmp_path, model="./net.py:build", batch_size=8)
    code = (
        "import sys\nfrom pathlib import Path\nfrom clrbench.data import Library\n"
        "from clrbench.planning.experiment import open_experiment\nfrom clrbench.planning.plan import run_identity\n"
        "from clrbench.planning.runs import training_runs\n"
        "library = Library(base=Path())\n"
        "experiment = open_experiment(Path('spec.yaml'), Path('out'), library, installed=('torch', 'keras'))\n"
        "runs = training_runs(experiment.spec, experiment.sizes, experiment.backends, {})\n"
        "print(run_identity(runs[0], library.load('mnist'), 'cpu', 1, library.place))\n"
        "assert not {'torch', 'keras', 'tensorflow'} & set(sys.modules), 'imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) == 64
