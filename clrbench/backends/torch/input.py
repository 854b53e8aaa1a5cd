"""How images reach the network on torch: gathered from the device's memory, or read piece by piece on the way there."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from clrbench.backends.pieces import cut, rows_within
from clrbench.records import Images, IntArray, Pipeline, Standardisation

Arrays: TypeAlias = tuple[npt.NDArray[np.generic], ...]
Piece: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Images, their labels, and rows of both: all on the device."""


class _Source(Protocol):
    def pieces(self, rows: IntArray, unit: int) -> Iterator[Piece]: ...


class Input:
    """The images and labels of a data set's training or test rows, as the network takes them."""

    def __init__(
        self, images: Images, labels: IntArray, scale: Standardisation | None, pipeline: Pipeline, device: str
    ) -> None:
        """Bring the images to the device, or prepare to do so piece by piece; bytes are scaled to 0..1."""
        self._source: _Source = (_Resident if pipeline == "resident" else _Stream)(images, labels, device)
        self._image_shape: tuple[int, ...] = images.shape[1:]
        self._is_bytes = images.dtype == np.uint8
        self._scale = scale
        self._device = device

    @property
    def image_bytes(self) -> int:
        """Bytes of one image as float32."""
        return 4 * math.prod(self._image_shape)

    def chunks(self, rows: IntArray, at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels, `at_once` entries of `rows` (int32[n, ...]) at a time; the last chunk may be shorter.

        Yields:
            float32[at_once, ..., height, width, channels], valid until the next are drawn, and int64[at_once, ...]
        """
        if not len(rows):
            return
        gather = self._gather(at_once * rows[:1].size)
        for images, labels, local in self._source.pieces(rows, at_once):
            for chunk in torch.split(local, at_once):
                yield gather(images, chunk), labels[chunk]

    def _gather(self, capacity: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what makes float32 of rows, in the same memory every time: new pages cost more than copying."""
        height, width, channels = self._image_shape
        all_floats = torch.empty(capacity, height * width * channels, device=self._device)
        all_bytes = torch.empty_like(all_floats, dtype=torch.uint8) if self._is_bytes else None
        scale = self._scale
        if scale is not None:
            mean, deviation = (
                torch.tensor(np.tile(values, height * width), device=self._device)
                for values in (scale.mean, scale.deviation)
            )

        def gather(images: Tensor, rows: Tensor) -> Tensor:
            floats = all_floats[: rows.numel()]
            if all_bytes is None:
                torch.index_select(images.flatten(1), 0, rows.flatten(), out=floats)
            else:
                found = torch.index_select(images.flatten(1), 0, rows.flatten(), out=all_bytes[: rows.numel()])
                torch.div(floats.copy_(found), 255, out=floats)
            if scale is not None:
                floats.sub_(mean).div_(deviation)
            return floats.view(*rows.shape, height, width, channels)

        return gather


class _Resident:
    """All images on the device; on the CPU the very memory of the array."""

    def __init__(self, images: Images, labels: IntArray, device: str) -> None:
        self._device = device
        with warnings.catch_warnings():
            # Torch warns about read-only arrays; nothing here writes to them.
            warnings.simplefilter("ignore", UserWarning)
            self._images = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        self._labels = torch.tensor(labels, dtype=torch.int64, device=device)

    def pieces(self, rows: IntArray, unit: int) -> Iterator[Piece]:
        yield self._images, self._labels, torch.tensor(rows, device=self._device)


class _Stream(TorchDataset[Arrays]):
    """Images that stay where they are, on the disk perhaps; a piece of the order is an item of the data set."""

    def __init__(self, images: Images, labels: IntArray, device: str) -> None:
        self._images = images
        self._labels = np.asarray(labels, np.int64)
        self._device = device

    def __getitem__(self, piece: IntArray) -> Arrays:
        rows = piece.ravel()
        return self._images[rows], self._labels[rows], rows_within(piece)

    def pieces(self, rows: IntArray, unit: int) -> Iterator[Piece]:
        # A process of its own (num_workers) would get the images pickled, and need memory for torch once more.
        loader = DataLoader(self, batch_size=None, sampler=cut(rows, self._images, unit), num_workers=0)
        for images, labels, local in loader:
            yield images.to(self._device), labels.to(self._device), local.to(self._device)
