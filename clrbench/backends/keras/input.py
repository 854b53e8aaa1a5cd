"""How images reach the network on Keras: from the device's memory, or read piece by piece by tf.data on the way there."""

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np

from clrbench.backends.keras.imports import tf
from clrbench.backends.pieces import cut, rows_within
from clrbench.records import Images, IntArray, Pipeline

ALIGNMENT_BYTES = 64
"""Alignment that TensorFlow's kernels count on."""

Piece: TypeAlias = tuple[tf.Tensor, tf.Tensor, IntArray]
"""Images and their labels as tensors of the device, and rows of both."""


class Input(Protocol):
    """The images and labels of a data set's training or test rows."""

    def pieces(self, rows: IntArray, unit: int = 1) -> Iterator[Piece]:
        """Yield images, labels and the indices of `rows` in them, in order; `unit` entries of `rows` stay together."""


def make_input(images: Images, labels: IntArray, device: str, pipeline: Pipeline) -> Input:
    """Bring images to a device, known by TensorFlow's name, or prepare to do so piece by piece."""
    return (_Resident if pipeline == "resident" else _Stream)(images, labels, device)


class _Resident:
    """All images on the device."""

    def __init__(self, images: Images, labels: IntArray, device: str) -> None:
        with tf.device(device):
            self._images = adopted(images) if "CPU" in device else tf.constant(images)
            self._labels = tf.constant(labels, tf.int32)

    def pieces(self, rows: IntArray, unit: int = 1) -> Iterator[Piece]:
        yield self._images, self._labels, rows


class _Stream:
    """Images that stay where they are, on the disk perhaps; a thread of tf.data reads one piece ahead."""

    def __init__(self, images: Images, labels: IntArray, device: str) -> None:
        self._images, self._labels, self._device = images, labels, device
        self._options = tf.data.Options()
        self._options.threading.private_threadpool_size = 1
        self._options.autotune.enabled = False

    def pieces(self, rows: IntArray, unit: int = 1) -> Iterator[Piece]:
        pieces = cut(rows, self._images, unit)
        for (images, labels), piece in zip(self._read(pieces), pieces, strict=True):
            with tf.device(self._device):
                on_device = tf.identity(images), tf.identity(labels)
            yield *on_device, rows_within(piece)

    def _read(self, pieces: list[IntArray]) -> tf.data.Dataset:
        """Return the images and labels of each piece."""

        def read(index: int) -> list[Images | IntArray]:
            rows = pieces[index].ravel()
            return [self._images[rows], self._labels[rows].astype(np.int32, copy=False)]

        def shaped(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images, labels = tf.numpy_function(read, [index], [self._images.dtype, tf.int32])
            return tf.ensure_shape(images, [None, *self._images.shape[1:]]), tf.ensure_shape(labels, [None])

        # `from_generator` reads the same in the same order, but takes five times as long to begin.
        indices = tf.data.Dataset.range(len(pieces))
        return indices.map(shaped).prefetch(1).with_options(self._options)


def adopted(images: Images) -> tf.Tensor:
    """Return images of any memory layout as a CPU tensor by a single copy; `tf.constant` holds three at a time."""
    memory = np.empty(images.nbytes + ALIGNMENT_BYTES, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT_BYTES
    aligned = memory[start : start + images.nbytes].view(images.dtype).reshape(images.shape)
    np.copyto(aligned, images)
    return tf.experimental.dlpack.from_dlpack(aligned.__dlpack__())
