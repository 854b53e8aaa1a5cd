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

from clrbench.backends.common import keeps_integers
from clrbench.backends.pieces import cut, rows_within
from clrbench.records import Images, IntArray, TrainPlan, holds_bytes

Arrays: TypeAlias = tuple[npt.NDArray[np.generic], ...]
Piece: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Images, their labels, and rows of both: all on the device."""


class _Source(Protocol):
    def pieces(self, rows: IntArray, unit: int) -> Iterator[Piece]: ...


class Input:
    """The images and labels of a data set's training or test rows, as the network takes them."""

    def __init__(self, images: Images, labels: IntArray, plan: TrainPlan, device: str) -> None:
        """Bring the images to the device, or prepare to do so piece by piece; bytes are scaled to 0..1."""
        self._source: _Source = (_Resident if plan.pipeline == "resident" else _Stream)(images, labels, device)
        self._image_shape: tuple[int, ...] = images.shape[1:]
        self._kind = getattr(torch, images.dtype.name)
        self._is_bytes = holds_bytes(images)
        self._keeps_integers = keeps_integers(plan, images)
        self._scale = plan.standardisation
        self._device = device

    @property
    def image_bytes(self) -> int:
        """Bytes of one image as float32."""
        return 4 * math.prod(self._image_shape)

    def chunks(self, rows: IntArray, at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels, `at_once` entries of `rows` (int32[n, ...]) at a time; the last chunk may be shorter.

        Yields:
            float32[at_once, ..., height, width, channels] (or rows of another shape, and int64 where whole numbers stay such),
            valid until the next are drawn, and int64[at_once, ...]
        """
        if not len(rows):
            return
        gather = self._gather(at_once * rows[:1].size)
        for images, labels, local in self._source.pieces(rows, at_once):
            for chunk in torch.split(local, at_once):
                yield gather(images, chunk), labels[chunk]

    def _gather(self, capacity: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what makes float32 of rows, in the same memory every time: new pages cost more than copying."""
        shape = self._image_shape
        all_floats = torch.empty(capacity, math.prod(shape), device=self._device)
        all_raw = None if self._kind == torch.float32 else torch.empty_like(all_floats, dtype=self._kind)
        scale = self._scale
        # On a GPU torch multiplies by the reciprocal of a number of Python's, which rounds otherwise than to divide.
        largest = torch.tensor(255.0, device=self._device)
        if scale is not None:
            mean, deviation = (
                torch.tensor(np.tile(values, math.prod(shape[:-1])), device=self._device)
                for values in (scale.mean, scale.deviation)
            )

        def gather(images: Tensor, rows: Tensor) -> Tensor:
            floats = all_floats[: rows.numel()]
            if all_raw is None:
                torch.index_select(images.flatten(1), 0, rows.flatten(), out=floats)
            else:
                found = torch.index_select(images.flatten(1), 0, rows.flatten(), out=all_raw[: rows.numel()])
                if self._keeps_integers:
                    return found.long().view(*rows.shape, *shape)
                floats.copy_(found)
                if self._is_bytes:
                    torch.div(floats, largest, out=floats)
            if scale is not None:
                floats.sub_(mean).div_(deviation)
            return floats.view(*rows.shape, *shape)

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
        # Without a generator it would draw from that of the process, which a network of the user's own may draw from.
        order, generator = cut(rows, self._images, unit), torch.Generator()
        loader = DataLoader(self, batch_size=None, sampler=order, num_workers=0, generator=generator)
        for images, labels, local in loader:
            yield images.to(self._device), labels.to(self._device), local.to(self._device)
