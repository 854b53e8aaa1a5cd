"""Data that is broken or means harm, made by code: files, archives and folders of every kind that a spec can name."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Arrays = dict[str, npt.NDArray[Any]]
Make = Callable[[Path], Path]


def small_arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (60, 4, 5), dtype=np.uint8),
        "y_train": np.arange(60) % 3,
        "x_test": rng.integers(0, 256, (10, 4, 5), dtype=np.uint8),
        "y_test": np.arange(10) % 3,
    }


def npz(**changes: Any) -> Make:
    """Return what writes an .npz of the small arrays, some of them changed."""

    def make(folder: Path) -> Path:
        np.savez(folder / "own.npz", **{**small_arrays(), **changes})
        return folder / "own.npz"

    return make


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def npy_header(shape: str, descr: str = "|u1", body: bytes = b"1234", version: int = 1) -> bytes:
    """Return an .npy file that declares what its body does not hold."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode() + body


def zipped(method: int = zipfile.ZIP_STORED, further: dict[str, bytes] | None = None, **members: bytes) -> Make:
    """Return what writes an .npz of the small arrays, some members replaced by raw bytes, further ones added."""

    def make(folder: Path) -> Path:
        contents = {f"{key}.npy": npy_bytes(array) for key, array in small_arrays().items()}
        contents |= {f"{key}.npy": raw for key, raw in members.items()}
        with warnings.catch_warnings(), zipfile.ZipFile(folder / "own.npz", "w", method) as archive:
            warnings.simplefilter("ignore")  # about a name that is there twice
            for name, raw in [*contents.items(), *(further or {}).items()]:
                archive.writestr(name, raw)
        return folder / "own.npz"

    return make


def with_entry(make: Make, at: int, value: bytes) -> Make:
    """Return what changes bytes of every entry of a zip file's directory, such as the size that it declares."""

    def change(folder: Path) -> Path:
        path = make(folder)
        raw, start = bytearray(path.read_bytes()), 0
        while (start := raw.find(b"PK\x01\x02", start)) >= 0:
            raw[start + at : start + at + len(value)] = value
            start += 4
        path.write_bytes(raw)
        return path

    return change


def raw_file(content: bytes, name: str = "own.npz") -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def cut(make: Make, keep: float) -> Make:
    """Return what keeps the first part of a file."""

    def change(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
        return path

    return change


def placed(name: str, put: Callable[[Path], object]) -> Make:
    """Return what puts something that is no file under a name."""

    def make(folder: Path) -> Path:
        put(folder / name)
        return folder / name

    return make


def npy_folder(**members: bytes | Callable[[Path], object]) -> Make:
    """Return what writes a folder of .npy files, some replaced by raw bytes or by what a function puts there."""

    def make(folder: Path) -> Path:
        own = folder / "own"
        own.mkdir()
        for key, array in small_arrays().items():
            member, path = members.get(key), own / f"{key}.npy"
            if callable(member):
                member(path)
            else:
                path.write_bytes(npy_bytes(array) if member is None else member)
        return own

    return make


def images(change: Callable[[Path], object]) -> Make:
    """Return what writes a folder of images, and changes it."""

    def make(folder: Path) -> Path:
        own = folder / "own"
        for split, rows in (("train", 20), ("test", 4)):
            for name in ("cat", "dog"):
                (own / split / name).mkdir(parents=True)
                for row in range(rows):
                    Image.fromarray(np.full((4, 5), row, np.uint8)).save(own / split / name / f"{row:02}.png")
        change(own)
        return own

    return make


def replace_with(put: Callable[[Path], object], name: str = "train/cat/00.png") -> Callable[[Path], object]:
    """Return what puts something in place of one file of a folder."""

    def change(own: Path) -> None:
        (own / name).unlink(missing_ok=True)
        put(own / name)

    return change


def png(width: int, height: int, bits: bytes = b"") -> bytes:
    """Return a gray PNG that declares a size, whatever its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bits, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def all_of(content: bytes) -> Callable[[Path], object]:
    """Return what replaces every image of a folder."""
    return lambda own: [path.write_bytes(content) for path in own.rglob("*.png")]


def put_fifo(path: Path) -> None:
    os.mkfifo(path)


def put_loop(path: Path) -> None:
    path.symlink_to(path.name)


def link_to(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def gzipped_zeros(num_bytes: int, head: bytes = b"") -> bytes:
    """Return a head and zeros, zipped a megabyte at a time, which takes no time for hundreds of them."""
    megabytes, rest = divmod(num_bytes, 10**6)
    return gzip.compress(head + bytes(rest)) + gzip.compress(bytes(10**6)) * megabytes


def tar_gz(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return content.getvalue()


def tar_header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return the header of a member that declares its size."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def mat_part(name: str, shape: tuple[int, ...], body: bytes, declared: int | None = None, kind: int = 9) -> bytes:
    """Return a zipped array of a MATLAB 5 file.

    Args:
        name: Of the array.
        shape: That it declares.
        body: Its values, uint8.
        declared: How many bytes its values are said to take.
        kind: Its class: 9 is uint8, 6 double, 4 char, 1 cell.
    """

    def padded(raw: bytes) -> bytes:
        return raw + bytes(-len(raw) % 8)

    flags = struct.pack("<IIII", 6, 8, kind, 0)
    dims = struct.pack("<II", 5, 4 * len(shape)) + padded(struct.pack(f"<{len(shape)}i", *shape))
    title = struct.pack("<II", 1, len(name)) + padded(name.encode())
    values = struct.pack("<II", 2, len(body) if declared is None else declared) + padded(body)
    content = flags + dims + title + values
    packed = zlib.compress(struct.pack("<II", 14, len(content)) + content, 1)
    return struct.pack("<II", 15, len(packed)) + packed


def mat(*parts: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(parts)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
