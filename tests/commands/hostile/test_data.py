"""Broken and hostile data of one's own ends in one clear message, at once, and leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import bad_data as bad
import numpy as np
import pytest
import yaml
from hostile_input import (
    LIES,
    NPY,
    NPZ,
    SPEC,
    clrbench,
    refusal,
)

from clrbench.data import content

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
    "npz: negative label": (bad.npz(y_train=np.arange(60) - 1), 2, 2, "got labels from -1 to 58; allowed: 0 and"),
    "npz: label of test alone": (bad.npz(y_test=np.arange(10) + 2**40), 2, 2, "which no training row has"),
    "npz: one class": (bad.npz(y_train=np.zeros(60, int)), 2, 2, "got class 0 only"),
    "npz: nan": (
        bad.npz(x_train=np.full((60, 4, 5), np.nan), x_test=np.ones((10, 4, 5))),
        1,
        1,
        "got nan or infinite pixels",
    ),
    "npz: infinite": (
        bad.npz(x_train=np.ones((60, 4, 5)), x_test=np.full((10, 4, 5), np.inf)),
        1,
        1,
        "x_test: got nan or infinite",
    ),
    "npz: one row": (
        bad.npz(x_train=np.ones((1, 4, 5), np.uint8), y_train=np.array([1])),
        2,
        2,
        "data.validation: got '10 %' of 1 training row",
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
        1,
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
        "got the class '\\x1b[31m', which train/ does not have",
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
        1,
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
