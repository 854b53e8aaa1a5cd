"""Street digits: a made stand-in for photographed house numbers, rendered offline; it is not SVHN and holds no image of it.

Sizes, shapes and class frequencies are those of the cropped Street View House Numbers (SVHN), so a spec can be tried
where that cannot be downloaded. The pixels are drawn from fonts, much like the "Synthetic Digits" of Ganin and Lempitsky
(2015): a digit in the middle, its neighbours cut off at the edges, uneven colours, rotation, shear, blur and noise.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from clrbench.data.content import Arrays, DatasetSizes
from clrbench.errors import DataError
from clrbench.machine import available_cpus

if TYPE_CHECKING:
    from PIL import Image, ImageFont

NAME = "street_digits"
SIZES = DatasetSizes(train_rows=73_257, test_rows=26_032, image_shape=(32, 32, 3))
IMAGE_SHAPE = SIZES.image_shape

FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmb10", "cmr10", "cmss10", "cmti10", "cmtt10"),
)
"""The fonts of matplotlib that have ten lining figures; its others hold symbols, or old-style figures (cmmi10)."""

Block: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]

_SPLITS = ("train", "test")
_SEED = 20_151_114
_BLOCK_ROWS = 100
"""Few enough that Ctrl-C, which waits for the blocks in hand, takes a fraction of a second."""

# SVHN's published counts of the training labels 0 to 9: uneven classes, as there, keep accuracies comparable in kind.
_CLASS_ENDS = np.cumsum((4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659))

_SIZE = IMAGE_SHAPE[0]
_GLYPH_HEIGHT = 44
"""Height of an upright 0, in pixels of the drawing, which has twice the resolution of the image."""


def render(split: str, rows: range) -> Block:
    """Return uint8[rows, 32, 32, 3] images and int64[rows] labels; row i is the same whatever else is rendered."""
    images = np.empty((len(rows), *IMAGE_SHAPE), dtype=np.uint8)
    labels = np.empty(len(rows), dtype=np.int64)
    for at, row in enumerate(rows):
        rng = np.random.default_rng([_SEED, _SPLITS.index(split), row])
        labels[at] = np.searchsorted(_CLASS_ENDS, rng.integers(_CLASS_ENDS[-1]), side="right")
        images[at] = _photograph(rng, _number(rng, int(labels[at])))
    return images, labels


def make(
    train_rows: int = SIZES.train_rows,
    test_rows: int = SIZES.test_rows,
    advance: Callable[[int], None] = lambda _: None,
    num_processes: int | None = None,
) -> Arrays:
    """Return the first rows of both splits, rendered in worker processes; the bytes do not depend on how many there are.

    `advance` takes how many more rows are done; by default there is a worker for every processor that this process may use.
    """
    arrays: Arrays = {}
    blocks: list[tuple[str, range]] = []
    for split, count in zip(_SPLITS, (train_rows, test_rows), strict=True):
        arrays[f"x_{split}"] = np.empty((count, *IMAGE_SHAPE), dtype=np.uint8)
        arrays[f"y_{split}"] = np.empty(count, dtype=np.int64)
        blocks += ((split, range(count)[start : start + _BLOCK_ROWS]) for start in range(0, count, _BLOCK_ROWS))
    with closing(_render_all(blocks, num_processes)) as rendered:
        for (split, rows), (images, labels) in zip(blocks, rendered, strict=True):
            arrays[f"x_{split}"][rows.start : rows.stop] = images
            arrays[f"y_{split}"][rows.start : rows.stop] = labels
            advance(len(rows))
    return arrays


def _render_all(blocks: list[tuple[str, range]], num_processes: int | None) -> Generator[Block]:
    # Only here: this module is imported by every command, for the name and the sizes.
    import multiprocessing
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor

    try:
        pool = ProcessPoolExecutor(
            num_processes or available_cpus(), multiprocessing.get_context("spawn"), initializer=_end_with_parent
        )
    except OSError:  # such as a /dev/shm that cannot be written
        yield from map(render, *zip(*blocks, strict=True))
        return
    try:
        # Workers inherit the signal mask of the thread that starts them, so Ctrl-C reaches the parent alone; and since that
        # thread is not the main one, Ctrl-C cannot break off the start of a worker half-way.
        block_ctrl_c = partial(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGINT})
        with ThreadPoolExecutor(1, initializer=block_ctrl_c) as starter:
            rendered = starter.submit(pool.map, render, *zip(*blocks, strict=True)).result()
        yield from rendered
    except BrokenExecutor as err:
        raise DataError(
            f"{NAME}: a worker process died, perhaps because memory ran out; free some and try again"
        ) from err
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when its parent is gone, even if that was killed."""
    import multiprocessing

    def wait_for_parent() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_for_parent, daemon=True).start()


def _number(rng: np.random.Generator, digit: int) -> Image.Image:
    """Return the mask of a digit and its neighbours, L[32, 32]: turned, sheared, stretched and moved."""
    from PIL import Image

    font, weight = FONTS[rng.integers(len(FONTS))], int(rng.integers(3))
    middle = _glyph(font, digit, weight)
    sheet = Image.new("L", (192, 96))
    _paste(sheet, middle, 96, 48)
    for side in (-1, 1):
        if rng.random() < 0.6:
            glyph = _glyph(font, int(rng.integers(10)), weight)
            distance = (middle.width + glyph.width) // 2 + int(rng.integers(2, 10))
            _paste(sheet, glyph, 96 + side * distance, 48 + int(rng.integers(-4, 5)))
    corners = _affine(rng)
    drawing = sheet.transform((2 * _SIZE, 2 * _SIZE), Image.Transform.AFFINE, corners, Image.Resampling.BILINEAR)
    return drawing.reduce(2)


def _paste(sheet: Image.Image, glyph: Image.Image, across: int, down: int) -> None:
    sheet.paste(255, (across - glyph.width // 2, down - glyph.height // 2), glyph)


def _affine(rng: np.random.Generator) -> tuple[float, ...]:
    """Return the six numbers that take a point of the drawing to one of the sheet."""
    turn, shear = math.radians(rng.uniform(-20, 20)), rng.uniform(-0.2, 0.2)
    height = rng.uniform(0.7, 1.2)
    width = height * rng.uniform(0.75, 1.15)
    across, down = rng.uniform(-7, 7), rng.uniform(-6, 6)
    x_x, x_y = (math.cos(turn) + shear * math.sin(turn)) / width, (math.sin(turn) - shear * math.cos(turn)) / width
    y_x, y_y = -math.sin(turn) / height, math.cos(turn) / height
    x, y = _SIZE + across, _SIZE + down
    numbers = (x_x, x_y, 96 - x_x * x - x_y * y, y_x, y_y, 48 - y_x * x - y_y * y)
    return tuple(round(number, 6) for number in numbers)  # sin and cos differ in the last bit between platforms


@cache
def _glyph(font: str, digit: int, weight: int) -> Image.Image:
    """Return the mask of a digit, cut to its edges and thickened by `weight` pixels all around."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (128, 128))
    ImageDraw.Draw(canvas).text((32, 32), str(digit), 255, _face(font), stroke_width=weight)
    return canvas.crop(canvas.getbbox())


@cache
def _face(font: str) -> ImageFont.FreeTypeFont:
    """Return a font in the size that has a 0 stand `_GLYPH_HEIGHT` pixels high."""
    from PIL import ImageFont

    matplotlib = find_spec("matplotlib")  # found, not imported: that would take half a second
    folders = matplotlib.submodule_search_locations if matplotlib else None
    path = Path(*(folders or ())[:1], "mpl-data", "fonts", "ttf", f"{font}.ttf")
    try:
        face = ImageFont.truetype(path, 100, layout_engine=ImageFont.Layout.BASIC)
    except OSError as err:
        raise DataError(
            f"{NAME}: {path}: cannot be read ({err}); it comes with matplotlib; reinstall matplotlib"
        ) from err
    _, top, _, bottom = face.getbbox("0")
    return face.font_variant(size=100 * _GLYPH_HEIGHT / (bottom - top))


def _photograph(rng: np.random.Generator, number: Image.Image) -> npt.NDArray[np.uint8]:
    """Return a picture of a number on a wall, uint8[32, 32, 3]."""
    from PIL import Image, ImageFilter

    wall_light = int(rng.integers(20, 236))
    contrast = int(rng.integers(40, 111))
    can_be_lighter, can_be_darker = wall_light + contrast <= 240, wall_light - contrast >= 15
    lighter = can_be_lighter and (not can_be_darker or rng.random() < 0.5)
    wall = _surface(rng, wall_light, 6)
    _draw_lines(rng, wall, wall_light)
    ink = _surface(rng, wall_light + (contrast if lighter else -contrast), 3)
    if rng.random() < 0.3:
        shift = (int(rng.integers(-2, 3)), int(rng.integers(1, 3)))
        wall.paste(0, shift, number.point(lambda opacity: opacity // 2))
    picture = Image.composite(ink, wall, number).filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.4)))
    noise = np.frombuffer(rng.bytes(2 * math.prod(IMAGE_SHAPE)), dtype=np.uint8).reshape(2, *IMAGE_SHAPE)
    grain = (noise.sum(axis=0, dtype=np.int32) - 255) * rng.integers(0, 33) // 256
    pixels: npt.NDArray[np.int32] = np.asarray(picture) + grain
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _surface(rng: np.random.Generator, light: int, cells: int) -> Image.Image:
    """Return an uneven, tinted surface, RGB[32, 32], of a mean light from 0 to 255."""
    from PIL import Image

    tint = rng.integers(-30, 31, 3)
    unevenness = int(rng.integers(5, 31))
    patches = rng.integers(-unevenness, unevenness + 1, (cells, cells, 1)) + rng.integers(-8, 9, (cells, cells, 3))
    patches += light + tint - tint.sum() // 3
    return Image.fromarray(np.clip(patches, 0, 255).astype(np.uint8)).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC)


def _draw_lines(rng: np.random.Generator, wall: Image.Image, light: int) -> None:
    """Draw joints, frames and wires on a wall."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(wall)
    for _ in range(rng.integers(4)):
        colour = np.clip(light + rng.integers(-60, 61), 0, 255)
        draw.line(rng.integers(-8, _SIZE + 8, 4).tolist(), (int(colour),) * 3, int(rng.integers(1, 4)))
