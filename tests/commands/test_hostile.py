"""Broken and hostile input of every kind ends in one clear message, at once, and leaves nothing behind."""

from __future__ import annotations

import gzip
import importlib
import io
import os
import signal
import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bad_data as bad
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from clrbench.cli import main
from clrbench.data import Library, content
from clrbench.data.catalogue import CATALOGUE
from clrbench.data.mnist import MAX_BYTES
from clrbench.errors import DataError

SPEC: dict[str, Any] = {
    "name": "quick",
    "data": {"dataset": "mnist", "validation": "10 %"},
    "model": {"name": "mlp", "hidden": [8]},
    "batch_size": 5,
    "duration": "2 steps",
    "seeds": 2,
    "backends": ["torch"],
    "arms": {"constant": {"schedule": {"name": "constant", "lr": 0.1}}},
}
GOOD = yaml.safe_dump(SPEC, sort_keys=False)
LONGEST_MESSAGE = 5_000
MOST_SECONDS = 5.0


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    importlib.import_module(
        "clrbench.commands.parity"
    )  # what all commands import, so that none of them is the slow one


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the test's own, in which the command line is called."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def clrbench(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)


def everything(folder: Path) -> dict[str, int]:
    """Return the size of every file below a folder and every hidden folder there, without the locks, which stay."""
    found = [path for path in folder.rglob("*") if path.name[0] == "." or not path.is_dir()]
    return {str(path.relative_to(folder)): path.lstat().st_size for path in found if path.name != ".lock"}


def refusal(folder: Path, code: int, *arguments: object, **environment: str) -> str:
    """Return the message of a command, which must be one, and leave nothing behind."""
    before, start = everything(folder), time.process_time()
    done = clrbench(*arguments, **environment)
    seconds = time.process_time() - start
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    assert len([line for line in done.stderr.split("\n") if line.startswith("Error: ")]) == 1
    assert "Traceback" not in done.stderr
    assert all(char.isprintable() or char == "\n" for char in done.stderr)
    assert len(done.stderr) < LONGEST_MESSAGE
    assert everything(folder) == before
    assert seconds < MOST_SECONDS
    return done.stderr


def with_line(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def with_arm(name: str, text: str = "{schedule: {name: constant, lr: 0.1}}") -> str:
    return f"{GOOD}  {name}: {text}\n"


NAMES = "a name of at most 100 letters"
LENGTH = "a length with a unit"
LIMITS = "more than 20000 entries or 50 levels"
NOT_UTF8 = "cannot be read (not UTF-8 text)"
LISTS = "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(9))
SPECS: dict[str, tuple[str | bytes, str]] = {
    "empty": (b"", "got no mapping of keys"),
    "zero bytes": (bytes(1000), "U+0000 must not stand in it"),
    "zero byte at the end": (f"{GOOD}\0", "s.yaml:19: not valid YAML (the character U+0000"),
    "ten megabytes": (b"#" * 10_000_000, "got more than 1000000 bytes"),
    "UTF-16": (GOOD.encode("utf-16"), NOT_UTF8),
    "Latin-1": ("name: é".encode("latin-1"), NOT_UTF8),
    "picture": (bad.png(5, 4), NOT_UTF8),
    "tab": (with_line("  dataset", "\tdataset"), "s.yaml:3: not valid YAML"),
    "two documents": (f"{GOOD}---\n{GOOD}", "another document"),
    "version of YAML": (f"%YAML 9.9\n---\n{GOOD}", "incompatible YAML document"),
    "list": ("- name: x", "got no mapping of keys"),
    "10,000 brackets": ("name: " + "[" * 10_000, LIMITS),
    "10,000 braces": ("{" * 10_000, LIMITS),
    "10,000 dashes": ("- " * 10_000, LIMITS),
    "1,000 indents": ("\n".join(" " * i + "-" for i in range(1_000)), LIMITS),
    "alias bomb": (f"a: &a [x, x, x, x, x, x, x, x, x]\n{LISTS}\n", LIMITS),
    "merge bomb": ("a: &a {<<: [*a, *a]}\n", LIMITS),
    "alias to itself": ("arms: &a {x: *a}\n", LIMITS),
    "undefined alias": (with_line("batch_size: 5", "batch_size: *x"), "undefined alias 'x'"),
    "merge of a number": (f"{GOOD}<<: 3\n", "expected a mapping"),
    "key twice": (f"{GOOD}seeds: 3\n", "seeds: got this key twice; allowed: once (it stands on line"),
    "python object": (with_line("name: quick", "name: !!python/object/apply:os.system [ls]"), "os.system"),
    "python name": (with_line("name: quick", "name: !!python/name:os.system"), "os.system"),
    "broken tag": (with_line("seeds: 2", "seeds: !%ff 2"), "s.yaml:11: not valid YAML"),
    "bytes": (with_line("batch_size: 5", "batch_size: !!binary aGVsbG8="), "a value that cannot be read as binary"),
    "pairs": (with_line("seeds: 2", "seeds: !!pairs [a: 1]"), "seeds[0]: got ('a', 1)"),
    "set": (with_line("seeds: 2", "seeds: !!set {a, b}"), "a value that cannot be read as set"),
    "no such date": (with_line("seeds: 2", "seeds: 2024-99-99"), "cannot be read as timestamp"),
    "escape beyond Unicode": (with_line("quick", '"\\UFFFFFFFF"'), "s.yaml:1: not valid YAML (got the escape \\UFFFF"),
    "escape just beyond Unicode": (with_line("quick", '"\\U00110000"'), "s.yaml:1: not valid YAML (got the escape"),
    "half a character": (with_line("quick", '"\\ud800"'), "s.yaml:1: name: got '\\ud800'; allowed: text"),
    "5,000 digits": (with_line("batch_size: 5", f"batch_size: {'9' * 5_000}"), "cannot be read as int"),
    "20,000 sexagesimal digits": (with_line("batch_size: 5", f"batch_size: {':'.join(['59'] * 9_999)}"), "read as int"),
    "1e400": (with_line("batch_size: 5", "batch_size: 1e400"), "batch_size: got '1e400'; allowed: a finite number"),
    "infinite batch": (with_line("batch_size: 5", "batch_size: .inf"), "allowed: a finite number"),
    "nan": (with_line("lr: 0.1", "lr: .nan"), "s.yaml:18: arms.constant.schedule.lr: got nan"),
    "batch beyond the rows": (with_line("batch_size: 5", "batch_size: 60001"), "allowed: at most 54000, the training"),
    "10**300 as a seed": (with_line("seeds: 2", f"seeds: [1{'0' * 300}]"), "seeds[0]: got 1000000000"),
    "a billion seeds": (with_line("seeds: 2", "seeds: 1000000000"), "allowed: how many seeds (1 to 10000)"),
    "list of 140,000 seeds": (with_line("seeds: 2", f"seeds: [{','.join(map(str, range(140_000)))}]"), LIMITS),
    "list of 10,001 seeds": (with_line("seeds: 2", f"seeds: [{','.join(map(str, range(10_001)))}]"), "at most 10000"),
    "300,000 digits as a length": (with_line("2 steps", f"'{'9' * 300_000}'"), LENGTH),
    "30,000 digits and spaces": (
        with_line("10 %", f"'{'1' * 30_000}{' ' * 30_000}!'"),
        "a number of rows or a percent",
    ),
    "length without a unit": (with_line("2 steps", "2"), LENGTH),
    "endless length": (with_line("2 steps", "1e8 epochs"), "allowed: at most 20000000 steps"),
    "validation takes all rows": (
        with_line("10 %", "60000 rows"),
        "data.validation: got '60000 rows' of 60000 training rows",
    ),
    "5,000 bad arms": (GOOD + "".join(f"  a{i}: 3\n" for i in range(5_000)), "... and"),
    "8,000 arms": (GOOD + "".join(f"  a{i}: {{schedule: {{lr: 1}}}}\n" for i in range(8_000)), LIMITS),
    "parent folder as name": (with_line("quick", "../quick"), f"name: got '../quick'; allowed: {NAMES}"),
    "absolute name": (with_line("quick", "/tmp/quick"), NAMES),
    "dots as name": (with_line("quick", "'..'"), NAMES),
    "hidden name": (with_line("quick", ".quick"), NAMES),
    "name with a space at the end": (with_line("quick", "'quick '"), NAMES),
    "name with a newline at the end": (with_line("quick", '"quick\\n"'), "got 'quick\\n'"),
    "name with terminal codes": (with_line("quick", '"\\e[31mred\\a"'), "got '\\x1b[31mred\\x07'"),
    "name in look-alike letters": (with_line("quick", "qu\u0456ck"), "got 'qu\\u0456ck'"),
    "name written backwards": (with_line("quick", '"a\\u202eb"'), "got 'a\\u202eb'"),
    "name of 101 characters": (with_line("quick", "a" * 101), f"{'a' * 79}...; allowed: {NAMES}"),
    "name of 990,000 characters": (with_line("quick", "a" * 990_000), NAMES),
    "number as name": (with_line("quick", "3"), "name: got 3; allowed: text"),
    "arm above": (with_arm("../x"), f"arms['../x']: got '../x'; allowed: {NAMES}"),
    "arm with a newline": (with_arm('"a\\nb"'), "arms['a\\nb']: got 'a\\nb'"),
    "arm with terminal codes": (with_arm('"\\e[2J"'), "arms['\\x1b[2J']: got '\\x1b[2J'"),
    "arm without a name": (with_arm('""'), "arms['']: got ''"),
    "arm of 101 characters": (with_arm("b" * 101), NAMES),
    "arms that differ in case": (
        with_arm("CONSTANT"),
        "a name that differs from 'constant' in more than upper and lower",
    ),
    "arm under a reserved name": (with_arm("bounds.json"), "any name but runs, plots, curve.csv, "),
    "unknown key with terminal codes": (f'{GOOD}"\\e[31mx": 1\n', "['\\x1b[31mx']: unknown key"),
    "unknown key of 10,000 characters": (f"? {'k' * 10_000}\n: 1\n", f"['{'k' * 79}...]: unknown key"),
    "published under a made-up name": (with_arm("b", '{published: {"\\e[0m": 1}}'), "'\\x1b[0m'"),
    "data set with terminal codes": (with_line("mnist", '"./a\\e[31m.npz"'), "got './a\\x1b[31m.npz'"),
    "data set with a zero byte": (with_line("mnist", '"./a\\0.npz"'), "got './a\\x00.npz'"),
    "data set of 5,000 characters": (with_line("mnist", f"./{'a' * 5_000}.npz"), "got './aaaa"),
    "data set of a long name": (with_line("mnist", f"./{'a' * 300}.npz"), "no such file or folder exists"),
    "data set of a long reference": (with_line("mnist", f"{'a.' * 50_000}b:f"), "got 'a.a.a.a."),
    "device as data set": (with_line("mnist", "/dev/zero"), "got '/dev/zero', and no such file or folder exists"),
    "missing module": (with_line("mnist", "no_such_module:f"), "no module no_such_module is installed"),
    "missing file of code": (with_line("mnist", "./none.py:f"), "none.py does not exist"),
}


@pytest.mark.parametrize(("text", "expected"), SPECS.values(), ids=SPECS.keys())
def test_bad_spec(text: str | bytes, expected: str, folder: Path) -> None:
    path = folder / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refusal(folder, 2, "validate", path)
    assert message.startswith(f"Error: {path}")
    assert expected in message


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)  # a path of a socket is short


NO_FILE = "cannot be read (not a regular file); give the path of a YAML file"
PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (bad.put_fifo, NO_FILE),
    "socket": (put_socket, NO_FILE),
    "endless device": (bad.link_to("/dev/zero"), NO_FILE),
    "empty device": (bad.link_to("/dev/null"), NO_FILE),
    "link in a circle": (bad.put_loop, "cannot be read (Too many levels of symbolic links)"),
    "link to nowhere": (bad.link_to("gone"), "cannot be read (No such file or directory)"),
    "folder": (Path.mkdir, "is a directory"),
    "nothing": (lambda _: None, "cannot be read (No such file or directory)"),
}


@pytest.mark.parametrize(("put", "expected"), PLACES.values(), ids=PLACES.keys())
def test_spec_or_sources_that_are_no_file(put: Callable[[Path], object], expected: str, folder: Path) -> None:
    put(folder / "s.yaml")
    assert expected in refusal(folder, 2, "validate", "s.yaml")
    assert expected in refusal(folder, 2, "data", "list", CLRBENCH_SOURCES="s.yaml").replace("Is a d", "is a d")


SOURCES = {
    "ten megabytes": ("#" * 10_000_000, "got more than 1000000 bytes"),
    "brackets": ("[" * 10_000, LIMITS),
    "address of a file": ("svhn: {train: {url: file:///etc/passwd}}", "svhn.train.url: got 'file:///etc/passwd'"),
    "address with terminal codes": ('svhn: {train: {url: "http://a/\\e[0mx"}}', "got 'http://a/\\x1b[0mx'"),
    "key with terminal codes": ('svhn: {"\\e[0m": {url: "http://a/x"}}', "svhn['\\x1b[0m']: unknown key"),
}


@pytest.mark.parametrize(("text", "expected"), SOURCES.values(), ids=SOURCES.keys())
def test_bad_sources(text: str, expected: str, folder: Path) -> None:
    (folder / "sources.yaml").write_text(text)
    assert expected in refusal(folder, 2, "data", "list", CLRBENCH_SOURCES="sources.yaml")


@pytest.mark.parametrize("command", ["compare", "range-test", "schedule", "parity"])
def test_every_command_refuses_a_bad_spec(command: str, folder: Path) -> None:
    (folder / "s.yaml").write_text(with_line("quick", "../quick"))
    assert NAMES in refusal(folder, 2, command, "s.yaml", "--out", "results")


NPZ = "cannot be read as an .npz of plain arrays ("
NPY = "cannot be read as an .npy of plain numbers ("
LIES = "which the file cannot hold"
DATA: dict[str, tuple[bad.Make, int | None, int, str]] = {
    # What is made, the exit codes of validate (None: good so far) and of compare, and a part of the message.
    "npz: empty": (bad.raw_file(b""), 1, 1, f"{NPZ}File is not a zip file"),
    "npz: text": (bad.raw_file(b"x_train,y_train\n"), 1, 1, NPZ),
    "npz: cut short": (bad.cut(bad.npz(), 0.7), 1, 1, NPZ),
    "npz: objects": (bad.npz(x_train=np.array([{}] * 60)), 2, 2, "got images of type object"),
    "npz: objects as labels": (bad.npz(y_train=np.array([{}] * 60)), 2, 2, "got labels of type object"),
    "npz: a trillion rows": (bad.zipped(x_train=bad.npy_header("(1000000000000, 4, 5)")), 1, 1, LIES),
    "npz: a trillion labels": (bad.zipped(y_test=bad.npy_header("(1000000000000,)", "<i8")), 1, 1, LIES),
    "npz: bytes beyond all numbers": (bad.zipped(x_train=bad.npy_header("(4294967296, 4294967296, 9)")), 1, 1, LIES),
    "npz: 5,000 digits": (
        bad.zipped(x_train=bad.npy_header(f"({'9' * 5_000}, 4, 5)", version=2)),
        1,
        1,
        f"{NPZ}Cannot parse header",
    ),
    "npz: negative rows": (bad.zipped(x_train=bad.npy_header("(-60, 4, 5)")), 2, 2, "each at least 1"),
    "npz: more than the file holds": (
        bad.zipped(8, x_train=bad.npy_header("(60, 100, 100)"), x_test=bad.npy_header("(10, 100, 100)")),
        1,
        1,
        LIES,
    ),
    "npz: directory that lies": (
        bad.with_entry(bad.zipped(8, x_train=bad.npy_header("(300000, 100, 100)")), 24, b"\0\0\0\xf0"),
        1,
        1,
        LIES,
    ),
    "npz: another compression": (bad.zipped(14), 1, 1, f"{NPZ}x_train.npy is comp"),
    "npz: encrypted": (bad.with_entry(bad.npz(), 8, b"\1"), 1, 1, "encrypted"),
    "npz: member twice": (
        bad.zipped(further={"x_train.npy": bad.npy_bytes(bad.small_arrays()["x_test"])}),
        2,
        2,
        "x_train more than once",
    ),
    "npz: thousands of members": (
        bad.zipped(further={f"\x1b[31m{i}.npy": b"" for i in range(2_000)}, x_test=b""),
        1,
        1,
        NPZ,
    ),
    "npz: header of four gigabytes": (bad.zipped(x_train=b"\x93NUMPY\2\0\xff\xff\xff\xff{"), 1, 1, f"{NPZ}EOF"),
    "npz: header too long": (
        bad.zipped(x_train=b"\x93NUMPY\2\0\0\0\x10\0{" + b" " * 2**20),
        1,
        1,
        f"{NPZ}Header info length",
    ),
    "npz: nested header": (bad.zipped(x_train=bad.npy_header("(" * 4_000 + ")" * 4_000, version=2)), 1, 1, NPZ),
    "npz: version of the future": (bad.zipped(x_train=bad.npy_header("(60, 4, 5)", version=9)), 1, 1, "version (9, 0)"),
    "npz: text as type": (bad.zipped(x_train=bad.npy_header("(60, 4, 5)", "<U2000000000")), 1, 1, NPZ),
    "npz: pipe": (bad.placed("own.npz", bad.put_fifo), 2, 2, "no such file or folder exists"),
    "npz: link in a circle": (bad.placed("own.npz", bad.put_loop), 2, 2, "own.npz"),
    "npz: endless device": (bad.placed("own.npz", bad.link_to("/dev/zero")), 2, 2, "no such file or folder exists"),
    "npz: complex images": (bad.npz(x_train=np.ones((60, 4, 5), complex)), 2, 2, "got images of type complex128"),
    "npz: bool images": (bad.npz(x_train=np.ones((60, 4, 5), bool)), 2, 2, "got images of type bool"),
    "npz: no rows": (bad.npz(x_train=np.ones((0, 4, 5), np.uint8)), 2, 2, "each at least 1"),
    "npz: images of no size": (bad.npz(x_train=np.ones((60, 0, 0), np.uint8)), 2, 2, "each at least 1"),
    "npz: no channels": (bad.npz(x_train=np.ones((60, 4, 5, 0), np.uint8)), 2, 2, "each at least 1"),
    "npz: float labels": (bad.npz(y_train=np.arange(60.0)), 2, 2, "got labels of type float64"),
    "npz: negative label": (bad.npz(y_train=np.arange(60) - 1), None, 1, "got labels from -1 to 58; allowed: 0 to"),
    "npz: huge label": (bad.npz(y_test=np.arange(10) + 2**40), None, 1, "allowed: 0 to 99999"),
    "npz: one class": (bad.npz(y_train=np.zeros(60, int)), None, 1, "got class 0 only"),
    "npz: nan": (
        bad.npz(x_train=np.full((60, 4, 5), np.nan), x_test=np.ones((10, 4, 5))),
        None,
        1,
        "got nan or infinite pixels",
    ),
    "npz: infinite": (
        bad.npz(x_train=np.ones((60, 4, 5)), x_test=np.full((10, 4, 5), np.inf)),
        None,
        1,
        "x_test: got nan or infinite",
    ),
    "npz: one row": (
        bad.npz(x_train=np.ones((1, 4, 5), np.uint8), y_train=np.array([1])),
        2,
        2,
        "data.validation: got '10 %' of 1 training rows",
    ),
    "npy: a file is missing": (bad.npy_folder(x_test=lambda _: None), 2, 2, "x_test.npy missing"),
    "npy: a trillion rows": (bad.npy_folder(x_train=bad.npy_header("(1000000000000, 4, 5)")), 1, 1, NPY),
    "npy: rows beyond int32": (
        bad.npy_folder(
            x_train=lambda path: sparse(path, bad.npy_header("(3000000000, 1, 1)"), 3_000_000_200),
            y_train=lambda path: sparse(path, bad.npy_header("(3000000000,)"), 3_000_000_200),
            x_test=bad.npy_bytes(np.ones((10, 1, 1), np.uint8)),
        ),
        2,
        2,
        "got 3000000000 rows; allowed: at most 2147483647",
    ),
    "npy: objects": (bad.npy_folder(x_train=bad.npy_header("(60, 4, 5)", "|O")), 1, 1, NPY),
    "npy: pipe": (bad.npy_folder(x_train=bad.put_fifo), 2, 2, "x_train.npy missing"),
    "npy: link in a circle": (bad.npy_folder(y_train=bad.put_loop), 2, 2, "y_train.npy missing"),
    "npy: empty file": (bad.npy_folder(y_train=b""), 1, 1, NPY),
    "npy: float64": (bad.npy_folder(x_train=bad.npy_bytes(np.ones((60, 4, 5)))), 2, 2, "got images of type float64"),
    "images: empty file": (bad.images(bad.replace_with(Path.touch)), 1, 1, "00.png: cannot be read (cannot identify"),
    "images: later empty file": (
        bad.images(bad.replace_with(Path.touch, "train/dog/03.png")),
        None,
        1,
        "03.png: cannot be read (cannot identify",
    ),
    "images: pipe": (bad.images(bad.replace_with(bad.put_fifo)), 1, 1, "00.png: cannot be read (not a regular file)"),
    "images: pipe as a later image": (
        bad.images(bad.replace_with(bad.put_fifo, "test/dog/02.png")),
        1,
        1,
        "02.png: cannot be read (not a regular file)",
    ),
    "images: device": (
        bad.images(bad.replace_with(bad.link_to("/dev/zero"))),
        1,
        1,
        "00.png: cannot be read (not a regular file)",
    ),
    "images: link in a circle": (bad.images(bad.replace_with(bad.put_loop)), 1, 1, "Too many levels of symbolic links"),
    "images: class in a circle": (
        bad.images(bad.replace_with(bad.put_loop, "train/eel")),
        1,
        1,
        "Too many levels of symbolic links",
    ),
    "images: link to nowhere": (bad.images(bad.replace_with(bad.link_to("gone"))), 1, 1, "No such file or directory"),
    "images: terminal codes in a name": (
        bad.images(bad.replace_with(Path.touch, "train/cat/\x1b[31m.png")),
        1,
        1,
        "\\x1b[31m.png: cannot be read",
    ),
    "images: terminal codes in a class": (
        bad.images(lambda own: (own / "test/\x1b[31m").mkdir()),
        2,
        2,
        "got the class '\\x1b[31m', which train/ has not",
    ),
    "images: bomb": (bad.images(bad.all_of(bad.png(30_000, 30_000))), 1, 1, "decompression bomb"),
    "images: many small bombs": (
        bad.images(bad.all_of(bad.png(9_000, 9_000))),
        2,
        2,
        "GB, more than the 1 GB of memory here",
    ),
    "images: declares too many pixels": (
        bad.images(bad.all_of(bad.png(500, 400, b"few"))),
        None,
        1,
        "00.png: cannot be read",
    ),
    "images: postscript": (bad.images(bad.all_of(b"%!PS-Adobe-3.0 EPSF-3.0\n")), 1, 1, "cannot identify image file"),
    "function: raises": (
        bad.raw_file(b"def f(): raise ValueError('no')", "own.py"),
        1,
        1,
        "calling it raised ValueError",
    ),
    "function: endless recursion": (bad.raw_file(b"def f(): return f()", "own.py"), 1, 1, "RecursionError"),
    "function: leaves": (bad.raw_file(b"import sys\nsys.exit(0)", "own.py"), 1, 1, "importing it raised SystemExit"),
    "function: broken file": (bad.raw_file(b"def f(:", "own.py"), 1, 1, "importing it raised SyntaxError"),
    "function: zero bytes": (bad.raw_file(bytes(99), "own.py"), 1, 1, "importing it raised"),
    "function: another form": (bad.raw_file(b"def f(): return [1, 2, 3]", "own.py"), 2, 2, "a list of another form"),
    "function: pipe": (bad.placed("own.py", bad.put_fifo), 2, 2, "own.py does not exist"),
}


def sparse(path: Path, head: bytes, size: int) -> None:
    path.write_bytes(head)
    os.truncate(path, size)


@pytest.mark.parametrize(("make", "of_validate", "of_compare", "expected"), DATA.values(), ids=DATA.keys())
def test_bad_data(
    make: bad.Make,
    of_validate: int | None,
    of_compare: int,
    expected: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(content, "memory_bytes", lambda: 1e9)
    path = make(folder)
    reference = f"{path}:f" if path.suffix == ".py" else str(path)
    (folder / "s.yaml").write_text(yaml.safe_dump({**SPEC, "data": {"dataset": reference}}))
    where = ("--data-dir", folder / "data")
    if of_validate is None:
        assert clrbench("validate", "s.yaml", *where).exit_code == 0
    else:
        assert expected in refusal(folder, of_validate, "validate", "s.yaml", *where)
    assert expected in refusal(folder, of_compare, "compare", "s.yaml", *where, "--out", "results", "--quiet")


X, Y = bad.mat_part("X", (32, 32, 3, 2), bytes(6_144)), bad.mat_part("y", (2, 1), b"\1\2")
MAT = "cannot be read as a MATLAB 5 file ("
BATCHES = {f"cifar-10-batches-bin/data_batch_{number}.bin": bytes(3_073) for number in range(1, 6)}
IDX3, IDX1 = b"\0\0\x08\3" + struct.pack(">3I", 2, 28, 28), b"\0\0\x08\1" + struct.pack(">I", 2)
FASHION = {
    "train_images": bad.gzipped_zeros(2 * 784, IDX3),
    "train_labels": bad.gzipped_zeros(2, IDX1),
    "test_images": bad.gzipped_zeros(2 * 784, IDX3),
    "test_labels": bad.gzipped_zeros(2, IDX1),
}
NO_IDX = "got no idx file of bytes"
FETCHED: dict[str, tuple[str, dict[str, bytes], str]] = {
    # The data set, what its files are replaced by, and a part of the message.
    "svhn: empty": ("svhn", {"train": b"", "test": b""}, MAT),
    "svhn: a billion rows": (
        "svhn",
        {"train": bad.mat(bad.mat_part("X", (32, 32, 3, 10**9), b"few"), Y), "test": b""},
        MAT,
    ),
    "svhn: negative rows": (
        "svhn",
        {"train": bad.mat(bad.mat_part("X", (32, 32, 3, -2), bytes(6_144)), Y), "test": b""},
        "svhn",
    ),
    "svhn: X twice": ("svhn", {"train": bad.mat(X, X, Y), "test": b""}, "got the arrays X, X, y"),
    "svhn: cells": (
        "svhn",
        {"train": bad.mat(bad.mat_part("X", (32, 32, 3, 2), bytes(99), kind=1), Y), "test": b""},
        MAT,
    ),
    "svhn: text as labels": (
        "svhn",
        {"train": bad.mat(X, bad.mat_part("y", (2, 1), b"ab", kind=4)), "test": b""},
        "got y of <U1[2]",
    ),
    "svhn: label 11": (
        "svhn",
        {"train": bad.mat(X, bad.mat_part("y", (2, 1), b"\1\x0b")), "test": b""},
        "got y of uint8",
    ),
    "svhn: names with terminal codes": (
        "svhn",
        {"train": bad.mat(bad.mat_part("\x1b[2J", (1, 1), b"1")), "test": b""},
        "got the arrays \\x1b[2J",
    ),
    "svhn: version 7.3": (
        "svhn",
        {"train": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(512), "test": b""},
        f"{MAT}Please use HDF reader",
    ),
    "svhn: thousands of arrays": ("svhn", {"train": bad.mat(bytes(10**6)), "test": b""}, MAT),
    "svhn: damaged zip": ("svhn", {"train": bad.mat(X[:40] + bytes(20) + X[60:], Y), "test": b""}, MAT),
    "cifar10: empty": ("cifar10", {"archive": b""}, "cannot be read as a .tar.gz"),
    "cifar10: endless batch": (
        "cifar10",
        {"archive": bad.gzipped_zeros(0, bad.tar_header("cifar-10-batches-bin/test_batch.bin", 2**33 - 1, b"0"))},
        "bytes; allowed:",
    ),
    "cifar10: thousands of members": (
        "cifar10",
        {"archive": bad.tar_gz({f"{i}": b"" for i in range(1_000)} | BATCHES)},
        "test_batch.bin missing",
    ),
    "cifar10: other folders": (
        "cifar10",
        {"archive": bad.tar_gz({"../x": b"x", "/etc/x": b"x"} | BATCHES)},
        "test_batch.bin missing",
    ),
    "cifar10: label 10": (
        "cifar10",
        {"archive": bad.tar_gz({**BATCHES, "cifar-10-batches-bin/test_batch.bin": b"\x0a" * 3_073})},
        "got class 0 only",
    ),
    "fashion: bomb": (
        "fashion_mnist",
        {"train_images": bad.gzipped_zeros(100_000_000)},
        "got more than 47040016 bytes",
    ),
    "fashion: empty": ("fashion_mnist", {"train_images": b""}, NO_IDX),
    "fashion: cut short": ("fashion_mnist", {"train_images": FASHION["train_images"][:-9]}, "cannot be read"),
    "fashion: hundred axes": (
        "fashion_mnist",
        {"train_images": bad.gzipped_zeros(1, b"\0\0\x08\x64" + struct.pack(">I", 1) * 100)},
        NO_IDX,
    ),
    "fashion: product beyond int64": (
        "fashion_mnist",
        {"train_images": bad.gzipped_zeros(0, b"\0\0\x08\3" + struct.pack(">3I", 2**31, 2**31, 4))},
        NO_IDX,
    ),
    "fashion: no rows": (
        "fashion_mnist",
        {"train_images": bad.gzipped_zeros(0, b"\0\0\x08\3" + struct.pack(">3I", 0, 28, 28))},
        "each at least 1",
    ),
    "fashion: too few labels": (
        "fashion_mnist",
        {"train_labels": bad.gzipped_zeros(1, b"\0\0\x08\1" + struct.pack(">I", 1))},
        "got shape (1,) beside 2 images",
    ),
    "fashion: one class": ("fashion_mnist", {}, "got class 0 only"),
}

MISFITS = {"each at least 1", "got shape (1,) beside 2 images"}
"""Sound files whose arrays are of other shapes than any data set's."""


def fetched(folder: Path, code: int, dataset: str, replaced: dict[str, bytes]) -> str:
    """Put a data set's files where a user would, name their checksums as a company's mirror would, and fetch it."""
    files = {**(FASHION if dataset == "fashion_mnist" else {}), **replaced}
    place = folder / "data" / dataset
    place.mkdir(parents=True)
    sources = {key: {"url": "http://127.0.0.1:9/x", "sha256": bad.sha256(raw)} for key, raw in files.items()}
    for key, raw in files.items():
        (place / CATALOGUE[dataset].files[key].name).write_bytes(raw)  # type: ignore[union-attr]
    (folder / "sources.yaml").write_text(yaml.safe_dump({dataset: sources}))
    return refusal(folder, code, "data", "fetch", dataset, "--data-dir", "data", CLRBENCH_SOURCES="sources.yaml")


@pytest.fixture(scope="module")
def honest_peak() -> int:
    """Return the bytes that this version of Python sets aside while it unzips the largest file that is allowed."""
    file = io.BytesIO(bad.gzipped_zeros(MAX_BYTES))
    tracemalloc.start()
    with gzip.open(file) as unzipped:
        assert len(unzipped.read(MAX_BYTES + 1)) == MAX_BYTES
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(("dataset", "replaced", "expected"), FETCHED.values(), ids=FETCHED.keys())
def test_bad_file_of_a_published_data_set(
    dataset: str, replaced: dict[str, bytes], expected: str, folder: Path, honest_peak: int
) -> None:
    tracemalloc.start()
    code = 2 if expected in MISFITS else 1
    message = fetched(folder, code, dataset, replaced)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert expected in message
    assert peak < 1.1 * honest_peak


TAR = "cannot be read as a .tar.gz ("
DECLARED: dict[str, tuple[str, dict[str, bytes], str]] = {
    "svhn: four gigabytes": (
        "svhn",
        {"train": bad.mat(bad.mat_part("X", (32, 32, 3, 2), b"few", declared=2**32 - 16), Y), "test": b""},
        MAT,
    ),
    "cifar10: endless name": (
        "cifar10",
        {"archive": bad.gzipped_zeros(0, bad.tar_header("x", 2**33 - 1, b"L"))},
        TAR,
    ),
    "cifar10: endless header": (
        "cifar10",
        {"archive": bad.gzipped_zeros(0, bad.tar_header("x", 2**33 - 1, b"x"))},
        TAR,
    ),
}
"""What only the owner of a checksum could publish; the libraries ask for the memory, and are refused it or give it back."""


@pytest.mark.parametrize(("dataset", "replaced", "expected"), DECLARED.values(), ids=DECLARED.keys())
def test_published_file_that_declares_gigabytes(
    dataset: str, replaced: dict[str, bytes], expected: str, folder: Path
) -> None:
    assert expected in fetched(folder, 1, dataset, replaced)


HOLD_BACK = {
    "a lie in an archive": bad.zipped(x_train=bad.npy_header("(1000000000000, 4, 5)")),
    "an honest archive beyond memory": bad.zipped(
        8,
        x_train=bad.npy_header("(60, 1000, 1000)", body=bytes(60_000_000)),
        x_test=bad.npy_header("(10, 1000, 1000)", body=bytes(10_000_000)),
    ),
    "small pictures of large images": bad.images(bad.all_of(bad.png(9_000, 9_000))),
    "a header without end": bad.zipped(x_train=b"\x93NUMPY\2\0\xff\xff\xff\xff{"),
}


@pytest.mark.parametrize("make", HOLD_BACK.values(), ids=HOLD_BACK.keys())
def test_what_is_declared_is_not_allocated(make: bad.Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "memory_bytes", lambda: 50e6)
    path = make(folder)
    library = Library(folder / "data")
    tracemalloc.start()
    for function in (library.measure, library.load):
        with pytest.raises(DataError):
            function(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


MARK = "from pathlib import Path\nPath({!r}).touch()\n{}"


def test_code_runs_only_where_a_sound_spec_names_it(folder: Path) -> None:
    """`validate` calls the function that a spec names, for the sizes of its arrays; nothing else imports a file."""
    mark = folder / "mark"
    function = "import numpy as np\ndef f(): raise ValueError('seen')\n"
    (folder / "own.py").write_text(MARK.format(str(mark), function))
    (folder / "mnist.py").write_text(MARK.format(str(mark), function))
    (folder / "other.yaml").write_text(GOOD)
    (folder / "broken.yaml").write_text(with_line("mnist", "./own.py:f").replace("batch_size: 5", "batch_size: x"))
    (folder / "own.yaml").write_text(with_line("mnist", "./own.py:f"))
    assert clrbench("validate", "other.yaml").exit_code == 0
    assert clrbench("compare", "other.yaml", "--dry-run").exit_code == 0
    assert clrbench("data", "list", "--data-dir", ".").exit_code == 0
    assert clrbench("validate", "broken.yaml").exit_code == 2
    assert clrbench("data", "fetch", "./own.py:f").exit_code == 2
    assert clrbench("report", ".").exit_code == 1
    assert not mark.exists()
    assert clrbench("validate", "own.yaml").exit_code == 1
    assert mark.exists()


@pytest.mark.parametrize("name", ["evil.py", "x_extra.npy", "train/cat/evil.py"])
def test_code_that_lies_beside_data_never_runs(name: str, folder: Path) -> None:
    own = (bad.images(lambda _: None) if "/" in name else bad.npy_folder())(folder)
    (own / name).write_text(MARK.format(str(folder / "mark"), ""))
    (folder / "s.yaml").write_text(with_line("mnist", str(own)))
    assert clrbench("validate", "s.yaml", "--data-dir", folder / "data").exit_code == 0
    Library(folder / "data").load(str(own))
    assert not (folder / "mark").exists()


def test_the_longest_names_make_folders_that_a_file_system_takes(folder: Path) -> None:
    longest = {**SPEC, "name": "a" * 100, "arms": {"b" * 100: SPEC["arms"]["constant"]}, "seeds": [2**63 - 1]}
    (folder / "s.yaml").write_text(yaml.safe_dump(longest))
    assert clrbench("validate", "s.yaml").exit_code == 0
    # As it is written, under a name of its own, and set aside.
    (folder / f".keras-{'b' * 100}-s{2**63 - 1}-01234567-abcdefgh-replaced").mkdir()
