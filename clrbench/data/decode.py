"""An image file -> its pixels as a viewer shows them: upright, on white, of its first frame."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from clrbench.counted import counted
from clrbench.data.refusal import decoding, misfit, shown_path
from clrbench.records import ByteArray

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = 2
"""Raised by hand whenever the same file would give other pixels; what is kept of decoded images goes by it."""

reading = partial(decoding, advice="replace or remove it")

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP")
"""Pillow goes by the content, and would hand a file that is PostScript inside to another program."""

_GRAY_MODES = frozenset({"1", "L", "LA", "La"})
_ORIENTATION = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})

Mode: TypeAlias = Literal["L", "RGB"]

CONVERSIONS = {
    "transparency": "with transparency, put on white",
    "orientation": "turned upright, as EXIF orientation says",
    "frames": "with several frames, of which the first is taken",
    "palette": "with a palette",
    "CMYK": "in CMYK, converted to RGB",
    "16 bits": "with 16 bits per channel, cut to 8",
}
"""What may be done to an image beside decoding it, and how it is said."""


@dataclass(frozen=True)
class Header:
    """Width and height of an image that stands upright, and whether it is gray."""

    size: tuple[int, int]
    is_gray: bool


def read_header(path: str) -> Header:
    """Return what an image is, without decoding it.

    Raises:
        MisfitError: If it has more than 8 bits a pixel and one channel.
    """
    with opened(path) as image:
        if image.mode.startswith(("I", "F")):
            raise misfit(
                f"{shown_path(path)}: got pixels of 16 or more bits (mode {image.mode}); allowed: 8 bits per channel; convert "
                "the images first, or save them as float32 in an .npz file; where pixels go up to 65535, by "
                "Image.fromarray((np.asarray(Image.open(path)) / 65535 * 255).astype('uint8')).save(path)"
            )
        # A PNG is decoded to find what may stand behind its pixels, and Pillow turns a TIFF by itself.
        looks_sideways = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        sideways = looks_sideways and _orientation(image) in _SIDEWAYS
        width, height = image.size
        return Header((height, width) if sideways else (width, height), image.mode in _GRAY_MODES)


def decode(path: str, mode: Mode, resize: int | None, tally: Counter[str]) -> ByteArray:
    """Return the pixels of an image, uint8[height, width, channels], and count in `tally` what was done, by `CONVERSIONS`.

    With `resize`, the centre square is averaged down (or up) to so many pixels a side.
    """
    from PIL.Image import Resampling

    with opened(path) as image:
        tally.update(_conversions(image))
        if _orientation(image) not in {None, 1}:
            tally["orientation"] += 1
        upright = _upright(image)
        if upright.has_transparency_data:
            upright, was_seen_through = _on_white(upright)
            tally["transparency"] += was_seen_through
        done = upright.convert(mode)
        if resize is not None:
            width, height = done.size
            side = min(done.size)
            left, top = (width - side) // 2, (height - side) // 2
            done = done.resize((resize, resize), Resampling.BOX, (left, top, left + side, top + side))
        return np.atleast_3d(np.asarray(done, np.uint8))


def said(tally: Counter[str]) -> tuple[str, ...]:
    """Return, in words, what was done to how many images."""
    return tuple(f"{counted(tally[kind], 'image')} {words}" for kind, words in CONVERSIONS.items() if tally[kind])


@contextmanager
def opened(path: str) -> Iterator[Image]:
    """Open an image file; whatever is wrong with it, its pixels included, is a DataError."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    with reading(path, also=bombs), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the metadata of a file; what is wrong with its pixels is raised
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # A file and no path: Pillow would map an uncompressed TIFF into memory, and turn it wrongly.
        with Path(path).open("rb") as file, Image.open(file, formats=_FORMATS) as image:
            yield image


def _conversions(image: Image) -> Iterator[str]:
    """Yield what is to be done to an image that is not decoded yet, as far as its header shows."""
    if image.mode in {"P", "PA"}:
        yield "palette"
    if image.mode == "CMYK":
        yield "CMYK"
    if any("16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        yield "16 bits"
    # A file that is damaged behind its first frame is as good as one that ends there.
    with suppress(OSError, EOFError, ValueError, SyntaxError):
        if getattr(image, "is_animated", False):
            yield "frames"


def _orientation(image: Image) -> int | None:
    """Return the EXIF orientation, 1 to 8; None where there is none that can be read."""
    with suppress(OSError, EOFError, ValueError, SyntaxError, KeyError, TypeError, AttributeError):
        found = image.getexif().get(_ORIENTATION)
        return found if isinstance(found, int) and 1 <= found <= 8 else None
    return None


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    image.load()  # what is wrong with the pixels is raised here, and not taken for a fault of the metadata
    with suppress(OSError, EOFError, ValueError, SyntaxError, KeyError, TypeError, AttributeError):
        return ImageOps.exif_transpose(image)
    return image


def _on_white(image: Image) -> tuple[Image, bool]:
    """Return an image without its transparency, and whether anything could be seen through it."""
    from PIL import Image

    shown = image.convert("RGBA")
    if shown.getchannel("A").getextrema() == (255, 255):
        return shown.convert("RGB"), False
    return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB"), True
