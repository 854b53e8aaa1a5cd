from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clrbench.data import AS_IT_IS, DatasetSizes, Library, Reading, user_function
from clrbench.errors import DataError, MisfitError

ARRAYS = """
import numpy as np
x_train = np.arange(120, dtype=np.uint8).reshape(6, 4, 5)
y_train = np.array([0, 1, 2, 0, 1, 2])
x_test = x_train[:3]
y_test = np.array([[2], [0], [1]])
"""
MAPPING = "dict(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)"
PAIRS = "((x_train, y_train), (x_test, y_test))"


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    before = set(sys.modules)
    user_function.content.cache_clear()
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def written(folder: Path, body: str, name: str = "own.py") -> str:
    """Return the reference of a function `load` with that body, in a file that defines the arrays first."""
    (folder / name).write_text(f"{ARRAYS}\ndef load():\n    {body}\n")
    return f"{folder / name}:load"


def misfit(reference: str) -> str:
    with pytest.raises(MisfitError) as caught:
        user_function.measure(reference)
    assert caught.value.key == ("data", "dataset")
    return str(caught.value)


def failure(reference: str) -> DataError:
    with pytest.raises(DataError) as caught:
        user_function.measure(reference)
    assert type(caught.value) is DataError
    assert str(caught.value).startswith(f"{reference}: ")
    return caught.value


@pytest.mark.parametrize(
    "result", [MAPPING, PAIRS, f"{MAPPING} | dict(notes='more')", "[[x_train, y_train], [x_test, y_test]]"]
)
def test_arrays_of_a_file(result: str, tmp_path: Path) -> None:
    reference = written(tmp_path, f"return {result}")
    arrays = user_function.read(reference)
    assert list(arrays) == ["x_train", "y_train", "x_test", "y_test"]
    images = np.arange(120, dtype=np.uint8).reshape(6, 4, 5)
    np.testing.assert_array_equal(arrays["x_train"], images)
    np.testing.assert_array_equal(arrays["x_test"], images[:3])
    assert arrays["y_train"].tolist() == [0, 1, 2, 0, 1, 2]
    assert arrays["y_test"].ravel().tolist() == [2, 0, 1]
    assert user_function.measure(reference) == DatasetSizes(6, 3, (4, 5, 1))


def test_function_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package/__init__.py").touch()
    written(tmp_path / "own_package", f"return {PAIRS}", "images.py")
    assert user_function.measure("own_package.images:load") == DatasetSizes(6, 3, (4, 5, 1))


def test_an_npz_file_as_numpy_opens_it(tmp_path: Path) -> None:
    body = f"import io; file = io.BytesIO(); np.savez(file, **{MAPPING}); file.seek(0); return np.load(file)"
    assert user_function.measure(written(tmp_path, body)) == DatasetSizes(6, 3, (4, 5, 1))


def test_mapped_arrays_stay_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.ones((6, 4, 5), np.float32))
    body = f"images = np.load({str(tmp_path / 'images.npy')!r}, mmap_mode='r'); return (images, y_train), (images[:3], y_test)"
    arrays = user_function.read(written(tmp_path, body))
    assert isinstance(arrays["x_train"], np.memmap)
    assert isinstance(arrays["x_test"], np.memmap)


def test_measuring_and_reading_call_the_function_once(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    reference = written(tmp_path, f"with open({str(calls)!r}, 'a') as file: file.write('.')\n    return {PAIRS}")
    user_function.measure(reference, tmp_path)
    first = user_function.read(reference, tmp_path, AS_IT_IS)
    assert user_function.read(reference, tmp_path, AS_IT_IS)["x_train"] is first["x_train"]
    assert calls.read_text() == "."


def test_classes_of_the_file_can_be_pickled_and_looked_up(tmp_path: Path) -> None:
    body = f"assert pickle.loads(pickle.dumps(Options())) == Options(); return {PAIRS}"
    reference = written(tmp_path, body)
    file = tmp_path / "own.py"
    options = "@dataclasses.dataclass\nclass Options:\n    size: int = 3\n"
    # As text, the annotation is looked up in the module, which therefore must be known by its name already.
    file.write_text(f"from __future__ import annotations\nimport dataclasses, pickle\n{options}{file.read_text()}")
    assert user_function.measure(reference).train_rows == 6


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = written(tmp_path, f"return {PAIRS}")
    second = written(tmp_path / "other", "return (x_train[:2], y_train[:2]), (x_test, y_test)")
    assert [user_function.measure(reference).train_rows for reference in (first, second, first)] == [6, 2, 6]


def test_what_the_function_prints_leaves_stdout_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    user_function.read(written(tmp_path, f"print('Downloading'); return {PAIRS}"))
    assert capsys.readouterr() == ("", "Downloading\n")


@pytest.mark.parametrize(
    "reference", ["", "load", ":load", "module:", ".module:load", "a b:load", "a/b.txt:load", "a.b:c()"]
)
def test_reference_of_another_form(reference: str) -> None:
    assert misfit(reference) == f"got {reference!r}; allowed: package.module:function, or path/of/file.py:function"


def test_missing_file(tmp_path: Path) -> None:
    reference = f"{tmp_path}/gone.py:load"
    assert misfit(reference).startswith(f"{reference}: the file {tmp_path}/gone.py does not exist")


@pytest.mark.parametrize(
    ("module", "missing"), [("no_such_package.images", "no_such_package"), ("json.no_such", "json.no_such")]
)
def test_missing_module(module: str, missing: str) -> None:
    message = misfit(f"{module}:load")
    assert message.startswith(f"{module}:load: no module {missing} is installed; install its package, or name its file")


def test_missing_function(tmp_path: Path) -> None:
    reference = written(tmp_path, f"return {PAIRS}").replace(":load", ":lode")
    assert misfit(reference).startswith(f"{reference}: got no such function in {tmp_path}/own.py; allowed: the name of")


def test_function_that_cannot_be_called(tmp_path: Path) -> None:
    reference = written(tmp_path, f"return {PAIRS}").replace(":load", ":x_train")
    assert misfit(reference).startswith(
        f"{reference}: got a ndarray, which cannot be called in {tmp_path}/own.py; allowed"
    )


@pytest.mark.parametrize(
    ("first_line", "expected", "cause"),
    [
        ("import no_such_dependency", "ModuleNotFoundError: No module named 'no_such_dependency'", ModuleNotFoundError),
        ("1 / 0", "ZeroDivisionError: division by zero", ZeroDivisionError),
        ("def", "SyntaxError: ", SyntaxError),
        ("raise SystemExit(0)", "SystemExit: 0", SystemExit),
    ],
)
@pytest.mark.parametrize("as_module", [False, True])
def test_import_that_fails(
    as_module: bool,
    first_line: str,
    expected: str,
    cause: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    reference = written(tmp_path, f"return {PAIRS}", "own_broken.py")
    file = tmp_path / "own_broken.py"
    whole = file.read_text()
    file.write_text(f"{first_line}\n{whole}")
    reference = "own_broken:load" if as_module else reference
    error = failure(reference)
    assert str(error).startswith(f"{reference}: importing it raised {expected}")
    assert isinstance(error.__cause__, cause)
    assert str(file) not in {getattr(module, "__file__", None) for module in sys.modules.values()}


@pytest.mark.parametrize(
    ("body", "expected", "cause"),
    [
        ("raise KeyError('images')", "calling it raised KeyError: 'images'; run it by itself", KeyError),
        ("import sys; sys.exit(2)", "calling it raised SystemExit: 2; run it by itself", SystemExit),
        (
            "import types; return types.MappingProxyType(Lazy(x_train=0, y_train=0, x_test=0, y_test=0))",
            "reading what it returned raised OSError: gone; run it by itself",
            OSError,
        ),
    ],
)
def test_call_that_fails(body: str, expected: str, cause: type[BaseException], tmp_path: Path) -> None:
    reference = written(tmp_path, body)
    with (tmp_path / "own.py").open("a") as file:
        file.write("class Lazy(dict):\n    def __getitem__(self, key):\n        raise OSError('gone')\n")
    error = failure(reference)
    assert str(error).startswith(f"{reference}: {expected}")
    assert isinstance(error.__cause__, cause)


def test_function_that_wants_arguments(tmp_path: Path) -> None:
    reference = written(tmp_path, f"return {PAIRS}")
    file = tmp_path / "own.py"
    file.write_text(file.read_text().replace("load()", "load(folder)"))
    assert "calling it raised TypeError: load() missing 1 required positional argument" in str(failure(reference))


@pytest.mark.parametrize(
    ("result", "got"),
    [
        ("None", "NoneType"),
        ("x_train", "ndarray"),
        ("(x_train, y_train, x_test, y_test)", "tuple"),
        ("((x_train, y_train), (x_test, y_test), (x_test, y_test))", "tuple"),
        ("iter(())", "tuple_iterator"),
    ],
)
def test_result_of_another_form(result: str, got: str, tmp_path: Path) -> None:
    reference = written(tmp_path, f"return {result}")
    message = misfit(reference)
    assert message.startswith(
        f"{reference}: returned a {got} of another form; allowed: a mapping with the numpy arrays"
    )
    assert message.endswith(
        "x_test, y_test (and x_validation, y_validation), or ((x_train, y_train), (x_test, y_test)) of them"
    )


def test_a_pair_lacks_test_rows_and_can_be_split(tmp_path: Path) -> None:
    reference = written(tmp_path, "return x_train, y_train")
    assert "test: 20 %" in misfit(reference)
    sizes = user_function.measure(reference, tmp_path, Reading(test_percent=50))
    assert (sizes.train_rows, sizes.test_rows) == (3, 3)


def test_mapping_without_an_array(tmp_path: Path) -> None:
    reference = written(tmp_path, "return dict(x_train=x_train, y_train=y_train, x_test=x_test, labels=y_test)")
    assert misfit(reference).startswith(
        f"{reference}: returned a mapping without y_test; return {{'x_train': data['x_train'],"
    )


@pytest.mark.parametrize("value", ["[0, 1, 2]", "memoryview(b'012')", "np.int64(3)"])
def test_array_likes_are_refused(value: str, tmp_path: Path) -> None:
    reference = written(tmp_path, f"return (x_train, y_train), (x_test, {value})")
    got = {"[": "list", "m": "memoryview", "n": "int64"}[value[0]]
    assert misfit(reference) == (
        f"{reference}: y_test: got a {got}; allowed: a numpy array; convert it with numpy.asarray"
    )


def test_arrays_that_do_not_fit_together(tmp_path: Path) -> None:
    reference = written(tmp_path, "return (x_train, y_train[:4]), (x_test, y_test)")
    assert misfit(reference).startswith(f"{reference}: y_train: got shape (4,) beside 6 images; allowed: [6]")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('line\\n' * 100_000)", "calling it raised ValueError: line\\n"),
        ("raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})", "calling it raised "),
        (
            "return type('Torn', (dict,), {'__contains__': lambda self, key: 1 / 0})()",
            "reading what it returned raised ",
        ),
    ],
)
def test_whatever_goes_wrong_is_said_in_a_short_line(body: str, said: str, tmp_path: Path) -> None:
    reference = written(tmp_path, body)
    with pytest.raises(DataError) as caught:
        user_function.read(reference)
    message = str(caught.value)
    assert message.startswith(f"{reference}: {said}")
    assert message.endswith("; run it by itself to see where")
    assert len(message) < len(reference) + 2_200
    assert "\n" not in message


HELPED = "from helper import {name}\nimport numpy\ndef load():\n    from later import rows\n    return {body}\n"
BODY = "dict(numpy.load({name})) | {{'x_test': numpy.full((rows, 2, 2), 3, 'uint8'), 'y_test': numpy.arange(rows) % 2}}"


def at_home(folder: Path, rows: int) -> str:
    """Write a function with modules beside it, of which one is imported in the call, and a file that it reads."""
    folder.mkdir(parents=True)
    (folder / "helper.py").write_text("name = 'own.npz'\n")
    (folder / "later.py").write_text(f"rows = {rows}\n")
    (folder / "own.py").write_text(HELPED.format(name="name", body=BODY.format(name="name")))
    np.savez(folder / "own.npz", x_train=np.ones((6, 2, 2), np.uint8), y_train=np.arange(6) % 2)
    return f"{folder / 'own.py'}:load"


def test_modules_and_files_beside_a_function_are_found_while_it_is_called(tmp_path: Path) -> None:
    path, place = sys.path.copy(), Path.cwd()
    for rows in (2, 4):  # of two folders, each has its own modules
        reference = at_home(tmp_path / str(rows), rows)
        assert user_function.measure(reference, tmp_path / str(rows)).test_rows == rows
        assert not list((tmp_path / str(rows)).glob("__pycache__"))
    assert (sys.path, Path.cwd()) == (path, place)
    assert not {"helper", "later"} & set(sys.modules)


def test_paths_start_from_the_folder_of_the_spec(tmp_path: Path) -> None:
    at_home(tmp_path / "code", 3)
    (tmp_path / "code/own.npz").rename(tmp_path / "own.npz")
    library = Library(tmp_path / "data", base=tmp_path)
    assert library.measure("./code/own.py:load").test_rows == 3
    assert library.load("code/own.py:load").y_test.tolist() == [0, 1, 0]


def test_the_folder_is_left_even_where_the_function_fails(tmp_path: Path) -> None:
    path, place = sys.path.copy(), Path.cwd()
    reference = written(tmp_path, "raise ValueError")
    with pytest.raises(DataError):
        user_function.measure(reference, tmp_path)
    assert (sys.path, Path.cwd()) == (path, place)
