"""Images as a viewer shows them, held against pixels worked out by numpy alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clrbench.data import decode

Pixels = npt.NDArray[np.uint8]
RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)
GRAY = RNG.integers(0, 256, (4, 5), dtype=np.uint8)
ALPHA = np.array([[0, 255, 128, 7, 200]] * 4, np.uint8)


def on_white(colour: Pixels, alpha: Pixels) -> npt.NDArray[np.float64]:
    share = alpha[..., None] / 255
    return colour * share + 255 * (1 - share)


def decoded(path: Path, mode: decode.Mode = "RGB", resize: int | None = None) -> tuple[Pixels, Counter[str]]:
    tally: Counter[str] = Counter()
    pixels = decode.decode(str(path), mode, resize, tally)
    assert pixels.dtype == np.uint8
    return pixels, +tally


def saved(tmp_path: Path, image: Image.Image, name: str = "a.png", **options: Any) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


def palette_with_alpha() -> tuple[Image.Image, Pixels, Pixels]:
    indices = np.arange(20, dtype=np.uint8).reshape(4, 5)
    colours = RNG.integers(0, 256, (20, 3), dtype=np.uint8)
    opacities = np.linspace(0, 255, 20).astype(np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(colours.tobytes())
    image.info["transparency"] = opacities.tobytes()
    return image, colours[indices], opacities[indices]


def test_colours_hidden_under_transparency_do_not_show(tmp_path: Path) -> None:
    for name in ("a.png", "a.webp", "a.tif"):
        options = {"lossless": True, "exact": True} if name == "a.webp" else {}
        path = saved(tmp_path, Image.fromarray(np.dstack([RGB, ALPHA])), name, **options)
        pixels, tally = decoded(path)
        np.testing.assert_allclose(pixels, on_white(RGB, ALPHA), atol=1)
        assert tally == {"transparency": 1}
        assert (pixels[:, 0] == 255).all()


def test_a_black_icon_on_transparent_keeps_its_shape(tmp_path: Path) -> None:
    shape = np.where(GRAY > 127, 255, 0).astype(np.uint8)
    pixels, tally = decoded(saved(tmp_path, Image.fromarray(np.dstack([np.zeros_like(RGB), shape]))), "RGB")
    np.testing.assert_array_equal(pixels, np.repeat(255 - shape[..., None], 3, axis=2))
    assert tally == {"transparency": 1}


def test_gray_with_alpha_stays_gray(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.dstack([GRAY, ALPHA]), "LA"))
    assert decode.read_header(str(path)).is_gray
    pixels, tally = decoded(path, "L")
    np.testing.assert_allclose(pixels, on_white(GRAY[..., None], ALPHA), atol=1)
    assert tally == {"transparency": 1}


def test_palettes_with_transparency(tmp_path: Path) -> None:
    image, colour, alpha = palette_with_alpha()
    pixels, tally = decoded(saved(tmp_path, image))
    np.testing.assert_allclose(pixels, on_white(colour, alpha), atol=1)
    assert tally == {"palette": 1, "transparency": 1}


def test_one_colour_that_stands_for_transparent(tmp_path: Path) -> None:
    rgb = RGB.copy()
    rgb[0, 0] = rgb[2, 3] = (9, 8, 7)
    pixels, tally = decoded(saved(tmp_path, Image.fromarray(rgb), transparency=(9, 8, 7)))
    expected = rgb.copy()
    expected[0, 0] = expected[2, 3] = 255
    np.testing.assert_array_equal(pixels, expected)
    assert tally == {"transparency": 1}


def test_what_is_opaque_throughout_is_not_counted(tmp_path: Path) -> None:
    pixels, tally = decoded(saved(tmp_path, Image.fromarray(np.dstack([RGB, np.full_like(ALPHA, 255)]))))
    np.testing.assert_array_equal(pixels, RGB)
    assert tally == {}


UPRIGHT = {
    1: GRAY,
    2: GRAY[:, ::-1],
    3: GRAY[::-1, ::-1],
    4: GRAY[::-1],
    5: GRAY.T,
    6: GRAY[::-1].T,
    7: GRAY[::-1, ::-1].T,
    8: GRAY[:, ::-1].T,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_every_orientation_stands_upright_and_is_measured_so(orientation: int, name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, Image.fromarray(GRAY), name, exif=exif, **options)
    pixels, tally = decoded(path, "L")
    np.testing.assert_array_equal(pixels[..., 0], UPRIGHT[orientation])
    assert decode.read_header(str(path)).size == UPRIGHT[orientation].shape[::-1]
    assert tally == ({} if orientation == 1 else {"orientation": 1})


def test_a_photo_that_lies_on_its_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    light = np.zeros((32, 48), np.uint8)
    light[:16] = 255
    path = saved(tmp_path, Image.fromarray(light), "a.jpg", exif=exif, quality=95)
    pixels, _ = decoded(path, "L")
    assert decode.read_header(str(path)).size == (32, 48)
    np.testing.assert_allclose(pixels[..., 0].astype(int), light[::-1].T, atol=12)


def test_of_several_frames_the_first_is_taken_and_counted(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 5), value, np.uint8)) for value in (10, 200, 90)]
    for name in ("a.gif", "a.tif", "a.png", "a.webp"):
        options = {"lossless": True} if name == "a.webp" else {}
        path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
        pixels, tally = decoded(path)
        np.testing.assert_array_equal(pixels, np.full((4, 5, 3), 10))
        assert tally["frames"] == 1


def test_cmyk_and_sixteen_bits_are_counted(tmp_path: Path) -> None:
    inked = Image.merge("CMYK", [*Image.fromarray(255 - RGB).split(), Image.new("L", (5, 4))])
    pixels, tally = decoded(saved(tmp_path, inked, "a.tif"))
    np.testing.assert_array_equal(pixels, RGB)
    assert tally == {"CMYK": 1}


def test_the_centre_square_is_averaged(tmp_path: Path) -> None:
    wide = RNG.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    pixels, _ = decoded(saved(tmp_path, Image.fromarray(wide)), resize=4)
    centre = wide[:, 2:10].reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(pixels, centre, atol=1)
    tall = saved(tmp_path, Image.fromarray(wide.transpose(1, 0, 2)))
    np.testing.assert_allclose(decoded(tall, resize=4)[0], centre.transpose(1, 0, 2), atol=1)


def test_images_smaller_than_asked_for_are_enlarged(tmp_path: Path) -> None:
    pixels, _ = decoded(saved(tmp_path, Image.fromarray(GRAY[:2, :2])), "L", resize=4)
    np.testing.assert_array_equal(pixels[..., 0], GRAY[:2, :2].repeat(2, axis=0).repeat(2, axis=1))


def test_metadata_that_cannot_be_read_does_no_harm(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(GRAY), exif=b"Exif\0\0nonsense")
    pixels, tally = decoded(path, "L")
    np.testing.assert_array_equal(pixels[..., 0], GRAY)
    assert tally == {}


def test_all_that_is_counted_can_be_said() -> None:
    said = decode.said(Counter({kind: number for number, kind in enumerate(decode.CONVERSIONS)}))
    assert len(said) == len(decode.CONVERSIONS) - 1
    assert said[0].startswith("1 image turned upright")
