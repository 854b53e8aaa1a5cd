from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clrbench.errors import BackendError, SpecError
from clrbench.own_code import Code, Sources, find_sources

FILES = {
    "net.py": """
import os
from blocks import Block
from parts.deep import head
WEIGHTS = "weights.pt"
def build(image_shape, num_classes):
    import later
    return Block(head)
""",
    "blocks.py": "import torch\nfrom more import *\n",
    "more.py": "def load():\n    with open('table.txt') as file:\n        return file.read()\n",
    "later.py": "",
    "unused.py": "import keras\n",
    "parts/__init__.py": "",
    "parts/deep.py": "from pathlib import Path\nfrom . import deeper\nHERE = Path(__file__).parent / 'sizes' / 'small.json'\n",
    "parts/deeper.py": "import os\nPLACE = os.path.join(os.path.dirname(__file__), 'sizes', 'large.json')\n",
    "parts/unused.py": "",
    "parts/sizes/small.json": "{}",
    "parts/sizes/large.json": "{}",
    "weights.pt": "1",
    "table.txt": "1",
    "notes.txt": "1",
}
CODE = ["net.py", "blocks.py", "later.py", "more.py", "parts/__init__.py", "parts/deep.py", "parts/deeper.py"]
DATA = ["parts/sizes/large.json", "parts/sizes/small.json", "table.txt", "weights.pt"]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def found(folder: Path, reference: str = "net.py:build", *texts: str) -> Sources:
    source, _, function = reference.rpartition(":")
    whole = f"{folder / source}:{function}" if source.endswith(".py") else reference
    return find_sources(Code(whole, folder, SpecError, BackendError), texts)


def names(paths: tuple[Path, ...], folder: Path) -> list[str]:
    return [path.relative_to(folder.resolve()).as_posix() for path in paths]


def test_imports_beside_it_and_files_named_in_them_belong_to_it(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    sources = found(tmp_path)
    assert names(sources.code, tmp_path) == CODE
    assert names(sources.data, tmp_path) == DATA
    assert not {"later", "blocks"} & set(sys.modules)


@pytest.mark.parametrize("reference", ["net:build", "parts.deep:HERE"])
def test_a_module_is_found_in_the_folder_and_not_imported(tmp_path: Path, reference: str) -> None:
    write(tmp_path, FILES)
    sources = found(tmp_path, reference)
    assert names(sources.code, tmp_path) == (
        CODE if reference == "net:build" else CODE[-2:-1] + CODE[-3:-2] + CODE[-1:]
    )
    assert not {"net", "parts"} & set(sys.modules)


@pytest.mark.parametrize("name", [*CODE, *DATA])
def test_the_digest_changes_with_every_file_that_counts(tmp_path: Path, name: str) -> None:
    write(tmp_path, FILES)
    before = found(tmp_path).digest()
    assert found(tmp_path).digest() == before
    (tmp_path / name).write_text(f"{FILES[name]}\n# changed", encoding="utf-8")
    assert found(tmp_path).digest() != before


def test_the_digest_is_the_same_elsewhere_and_with_other_files_and_line_ends(tmp_path: Path) -> None:
    for place in ("here", "there"):
        write(tmp_path / place, FILES)
    before = found(tmp_path / "here").digest()
    write(tmp_path / "there", {"unused.py": "1", "notes.txt": "2", "parts/unused.py": "3"})
    (tmp_path / "there" / "blocks.py").write_bytes(FILES["blocks.py"].replace("\n", "\r\n").encode())
    assert found(tmp_path / "there").digest() == before
    # A file that an option names counts.
    assert found(tmp_path / "there", "net.py:build", "notes.txt").digest() != before


def test_a_new_file_that_takes_the_place_of_a_package_counts(tmp_path: Path) -> None:
    write(tmp_path, {"net.py": "import numpy\ndef build(): pass\n"})
    before = found(tmp_path).digest()
    write(tmp_path, {"numpy.py": ""})
    assert found(tmp_path).digest() != before


def test_of_an_installed_package_only_itself_counts(tmp_path: Path) -> None:
    sources = found(tmp_path, "click.core:Command")
    assert {path.parent.name for path in sources.code} == {"click"}
    assert sources.code[0].name == "core.py"


TWO = """
import torch
import keras
from torch import nn
from blocks import Block
def with_torch(image_shape, num_classes): return nn.Linear(1, 1)
def with_keras(image_shape, num_classes): return keras.Sequential()
def with_both(image_shape, num_classes): return with_torch(1, 1) or with_keras(1, 1)
def within(image_shape, num_classes):
    import tensorflow as tf
    return tf.keras.Sequential()
class Net(nn.Module): pass
def of_a_class(image_shape, num_classes): return Net()
def of_a_file(image_shape, num_classes): return Block()
"""


@pytest.mark.parametrize(
    ("function", "frameworks"),
    [
        ("with_torch", {"torch"}),
        ("with_keras", {"keras"}),
        ("with_both", {"torch", "keras"}),
        ("within", {"keras"}),
        ("of_a_class", {"torch"}),
        ("Net", {"torch"}),
        ("of_a_file", {"torch"}),
    ],
)
def test_the_framework_is_that_which_the_function_reaches(tmp_path: Path, function: str, frameworks: set[str]) -> None:
    write(tmp_path, {"net.py": TWO, "blocks.py": "import more\n", "more.py": "import torchvision\n"})
    assert found(tmp_path, f"net.py:{function}").frameworks == frameworks


@pytest.mark.parametrize(
    ("text", "frameworks"),
    [
        ("from blocks import build\n", {"torch"}),
        ("import numpy\ndef build(): pass\n", set()),
        ("from blocks import *\n", {"torch"}),
    ],
)
def test_the_framework_of_files_where_the_function_shows_none(tmp_path: Path, text: str, frameworks: set[str]) -> None:
    write(tmp_path, {"net.py": text, "blocks.py": "import torch\ndef build(): return torch.nn.Linear(1, 1)\n"})
    assert found(tmp_path).frameworks == frameworks


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("nett.py:build", "nett.py does not exist; create it"),
        ("net.py:buidl", "got no such function in net.py; allowed: build"),
        ("broken.py:build", "broken.py, line 1 is not Python"),
        ("imports_broken.py:build", "broken.py, line 1 is not Python"),
        ("no_such_package.module:build", "no module no_such_package.module is installed"),
        ("click.no_such_module:build", "no module click.no_such_module is installed"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, reference: str, words: str) -> None:
    write(tmp_path, {**FILES, "broken.py": "def build(:\n", "imports_broken.py": "import broken\ndef build(): pass\n"})
    with pytest.raises(SpecError, match=words):
        found(tmp_path, reference)


@pytest.mark.parametrize(
    "text", ["build = 1\n", "from x import build\n", "from x import *\n", "def build(): pass\n", "class build: pass\n"]
)
def test_a_name_that_may_be_the_function_is_let_pass(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"net.py": text})
    assert found(tmp_path).code
