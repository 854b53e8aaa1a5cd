"""A small HTTP server on this machine, with files in SVHN's genuine format, good and broken."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.io import savemat

from clrbench.data import Library, Replacement

ROWS = {"train": 60, "test": 30}


@dataclass(frozen=True)
class Content:
    """What a file of SVHN holds: labels 1 to 10, images with the row last."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]

    @property
    def raw(self) -> bytes:
        file = io.BytesIO()
        savemat(file, {"X": self.images, "y": self.labels}, do_compression=True)
        return file.getvalue()


def content(split: str) -> Content:
    rng = np.random.default_rng(len(split))
    labels = rng.permutation(np.arange(ROWS[split]) % 10 + 1).astype(np.uint8)
    # Few colours, so that the file is smaller than the arrays in it.
    images = 80 * rng.integers(0, 4, (32, 32, 3, ROWS[split]), dtype=np.uint8)
    return Content(images, labels[:, None])


@dataclass
class Mirror:
    """What the server sends under each path, what it was asked for, and how it misbehaves."""

    url: str
    files: dict[str, bytes]
    requests: Counter[str] = field(default_factory=Counter)
    cut: dict[str, int] = field(default_factory=dict)  # path -> after how many bytes the connection drops
    cut_times: dict[str, int] = field(default_factory=dict)  # path -> how often; for ever where it does not stand here
    announces_length: bool = True

    def replacement(self, split: str, *paths: str, sha256: str | None = None) -> Replacement:
        names = paths or (f"{split}.mat",)
        good = hashlib.sha256(self.files[f"{split}.mat"]).hexdigest()
        return Replacement("svhn", split, tuple(f"{self.url}/{name}" for name in names), sha256 or good)

    def replacements(self) -> tuple[Replacement, ...]:
        return self.replacement("train"), self.replacement("test")


@contextmanager
def serving() -> Iterator[Mirror]:
    files = {f"{split}.mat": content(split).raw for split in ROWS}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            mirror.requests[name] += 1
            if name not in mirror.files:
                self.send_error(int(name) if name.isdigit() else 404)
                return
            raw = mirror.files[name]
            self.send_response(200)
            if mirror.announces_length:
                self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            drops = name in mirror.cut and mirror.requests[name] <= mirror.cut_times.get(name, 99)
            self.wfile.write(raw[: mirror.cut[name]] if drops else raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror = Mirror(f"http://127.0.0.1:{server.server_port}", files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def files_in(folder: Path) -> set[str]:
    """Return the files below a data folder, but for the lock."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"svhn/.lock"}


def assert_is_svhn(library: Library) -> None:
    dataset = library.load("svhn")
    for split in ROWS:
        expected = content(split)
        images, labels = (getattr(dataset, f"{axis}_{split}") for axis in "xy")
        np.testing.assert_array_equal(images, np.moveaxis(expected.images, 3, 0))
        np.testing.assert_array_equal(labels, expected.labels[:, 0] % 10)
    assert (dataset.name, dataset.num_classes, dataset.x_train.dtype) == ("svhn", 10, np.uint8)
