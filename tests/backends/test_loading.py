import re
import subprocess
import sys

import pytest
from jobs import call, describe

from clrbench import backends
from clrbench.backends import common
from clrbench.backends.protocol import Backend
from clrbench.errors import BackendError


def run(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_asking_what_is_installed_imports_no_framework():
    child = run(
        "import sys; from clrbench import backends; print(backends.installed());"
        "print([name for name in ('torch', 'keras', 'tensorflow') if name in sys.modules])"
    )
    assert child.stdout.splitlines() == ["('torch', 'keras', 'script')", "[]"], child.stderr


@pytest.mark.parametrize(("package", "left"), [("tensorflow", ("torch", "script")), ("torch", ("keras", "script"))])
def test_a_backend_counts_as_installed_when_all_its_packages_are_there(monkeypatch, package, left):
    found = backends.find_spec
    monkeypatch.setattr(backends, "find_spec", lambda name: None if name == package else found(name))
    assert backends.installed() == left


@pytest.mark.parametrize(("name", "package"), [("keras", "tensorflow"), ("torch", "torch")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, name, package):
    found = backends.find_spec
    monkeypatch.setattr(backends, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(BackendError, match=rf"needs {package}: pip install 'clrbench\[{name}\]'"):
        backends.load(name)


def test_an_unknown_backend_is_refused():
    with pytest.raises(BackendError, match="no backend 'jax'; choose torch, keras"):
        backends.load("jax")


def test_the_backend_of_scripts_chooses_no_device_and_offers_all_that_is_asked_of_one():
    script = backends.load("script")
    asked = [name for name in vars(Backend) if not name.startswith("_")]
    assert [name for name in asked if not callable(getattr(script, name, None))] == []
    assert (script.find_device("auto"), script.find_device("own"), script.count_devices("own")) == ("own", "own", 0)


def test_auto_takes_the_best_device_and_a_name_must_be_there():
    assert common.choose_device("auto", ("cuda", "cpu")) == "cuda"
    assert common.choose_device("cpu", ("cuda", "cpu")) == "cpu"
    with pytest.raises(BackendError, match="no mps here; choose auto or cuda or cpu"):
        common.choose_device("mps", ("cuda", "cpu"))


def test_keras_comes_up_quietly_on_tensorflow_whatever_the_environment_says(ask):
    assert ask("keras", describe) == ("", "tensorflow")


def test_torch_comes_up_quietly_and_alone(ask):
    assert ask("torch", describe) == ("", False)


def test_keras_that_is_already_on_another_backend_is_refused():
    child = run(
        "import sys; from types import SimpleNamespace as Space;"
        "sys.modules['keras'] = Space(config=Space(backend=lambda: 'jax'), __spec__=object());"
        "from clrbench import backends; backends.load('keras')"
    )
    assert "BackendError: keras has already been imported on its jax backend" in child.stderr


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("torch", {"cpu_capability": r"[A-Z0-9_ ]+", "mkl": "yes|no", "onednn": "yes|no"}),
        ("keras", {"compiler": r"[\w.+-]+"}),
    ],
)
def test_a_backend_says_what_it_computes_with_in_words_that_are_the_same_each_time(ask, name, known):
    found = ask(name, call, "build", "cpu")
    assert found.keys() - {"compiler"} == known.keys() - {"compiler"}  # not every build of TensorFlow names it
    assert all(re.fullmatch(known[key], value) for key, value in found.items()), found
    assert ask(name, call, "build", "cpu") == found
