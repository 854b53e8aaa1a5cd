from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from functools import partial
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clrbench.data import street_digits
from clrbench.data.street_digits import FONTS, make, render
from clrbench.errors import DataError


@pytest.fixture(scope="module")
def rows() -> street_digits.Block:
    return render("train", range(1500))


def test_importing_the_module_imports_neither_pillow_nor_matplotlib() -> None:
    code = "import sys, clrbench.data.street_digits; print(*{'PIL', 'matplotlib'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []


@pytest.mark.acceptance
def test_types_and_shapes(rows: street_digits.Block) -> None:
    images, labels = rows
    assert (images.dtype, images.shape) == (np.uint8, (1500, *street_digits.IMAGE_SHAPE))
    assert (labels.dtype, labels.shape) == (np.int64, (1500,))


@pytest.mark.acceptance
def test_classes_are_as_uneven_as_those_of_svhn(rows: street_digits.Block) -> None:
    published = np.array([4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659]) / 73_257
    np.testing.assert_allclose(np.bincount(rows[1], minlength=10) / 1500, published, atol=0.03)


def test_a_row_is_the_same_whatever_else_is_rendered(rows: street_digits.Block) -> None:
    images, labels = render("train", range(700, 710))
    np.testing.assert_array_equal(images, rows[0][700:710])
    np.testing.assert_array_equal(labels, rows[1][700:710])


def test_train_and_test_are_different_images(rows: street_digits.Block) -> None:
    train, test = ({image.tobytes() for image in images} for images in (rows[0], render("test", range(300))[0]))
    assert len(train) == 1500
    assert len(test) == 300
    assert not train & test


@pytest.mark.acceptance
def test_bytes_do_not_depend_on_the_number_of_processes(rows: street_digits.Block) -> None:
    advanced: list[int] = []
    one, two = make(620, 30, advanced.append, num_processes=1), make(620, 30, num_processes=2)
    assert list(one) == ["x_train", "y_train", "x_test", "y_test"]
    assert len(advanced) > 2
    assert sum(advanced) == 650
    for key, array in one.items():
        np.testing.assert_array_equal(array, two[key])
    np.testing.assert_array_equal(one["x_train"], rows[0][:620])
    np.testing.assert_array_equal(one["y_test"], render("test", range(30))[1])


def test_workers_end_when_the_caller_is_interrupted() -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    others = set(multiprocessing.active_children())
    with pytest.raises(KeyboardInterrupt):
        make(2000, 0, interrupt, num_processes=1)
    assert set(multiprocessing.active_children()) <= others


def test_dead_worker_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_digits, "_end_with_parent", partial(os._exit, 3))
    with pytest.raises(DataError, match="street_digits: a worker process died"):
        make(10, 10, num_processes=1)


def test_missing_font_is_a_data_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_digits, "FONTS", ("NoSuchFont",))
    with pytest.raises(DataError, match=r"street_digits: .*NoSuchFont.ttf: cannot be read .*; reinstall matplotlib"):
        render("train", range(1))


@pytest.mark.parametrize("font", FONTS)
def test_font_holds_ten_different_digits_of_one_height(font: str) -> None:
    glyphs = [street_digits._glyph(font, digit, 0) for digit in range(10)]
    heights = [glyph.height for glyph in glyphs]
    assert min(heights) >= 40
    assert max(heights) <= 60
    canvases = [np.asarray(glyph.resize((24, 40)), dtype=np.float64) for glyph in glyphs]
    assert min(np.abs(one - other).mean() for one, other in combinations(canvases, 2)) > 10


def test_fonts_differ_from_each_other() -> None:
    assert len({street_digits._glyph(font, 2, 0).tobytes() for font in FONTS}) == len(FONTS)


def test_images_vary_in_light_colour_and_grain(rows: street_digits.Block) -> None:
    images = rows[0].astype(np.float64)
    light = images.mean(axis=(1, 2, 3))
    redness = (images[..., 0] - images[..., 1]).mean(axis=(1, 2))
    grain = np.abs(np.diff(images[:, :4, :4], axis=2)).mean(axis=(1, 2, 3))
    for values, least_spread in ((light, 120), (redness, 40), (grain, 8)):
        low, high = np.quantile(values, [0.05, 0.95])
        assert high - low > least_spread


def test_ink_is_lighter_or_darker_than_the_wall_by_much_or_little_behind_a_sharp_or_blurred_edge() -> None:
    half = Image.fromarray(np.repeat([[0] * 16 + [255] * 16], 32, axis=0).astype(np.uint8))
    pictures = [street_digits._photograph(np.random.default_rng(seed), half) for seed in range(300)]
    columns = np.stack(pictures).mean(axis=(1, 3))
    steps = columns[:, 18:22].mean(axis=1) - columns[:, 10:14].mean(axis=1)
    sharpness = (columns[:, 16] - columns[:, 15]) / steps
    assert 0.4 < (steps > 0).mean() < 0.6
    for values, lowest, highest in ((np.abs(steps), 50, 100), (sharpness, 0.4, 0.9)):
        low, high = np.quantile(values, [0.1, 0.9])
        assert low < lowest
        assert high > highest


def test_most_images_show_neighbours_cut_off_at_an_edge_but_some_do_not() -> None:
    masks = np.stack([np.asarray(street_digits._number(np.random.default_rng(seed), 0)) for seed in range(400)])
    for edge in (0, -1):
        assert 0.3 < (masks[:, 4:-4, edge] > 100).any(axis=1).mean() < 0.7
    assert (masks[:, 8:24, 8:24].max(axis=(1, 2)) > 200).mean() > 0.95


def test_digits_are_turned_either_way_but_never_so_far_that_6_and_9_could_be_confused() -> None:
    x_x, x_y, _, y_x, y_y, _ = _affine_numbers()
    turns, leans = np.degrees(np.arctan2(-y_x, y_y)), np.degrees(np.arctan2(x_y, x_x))
    for degrees in (turns, leans):
        low, high = np.quantile(degrees, [0.05, 0.95])
        assert low < -15
        assert high > 15
    assert np.abs(turns).max() < 25
    assert np.abs(leans).max() < 40
    assert np.std(leans - turns) > 3  # sheared, not only turned


def test_digits_vary_in_size_and_place() -> None:
    x_x, x_y, x_0, y_x, y_y, y_0 = _affine_numbers()
    matrices, offsets = np.array([[x_x, x_y], [y_x, y_y]]), np.array([96 - x_0, 48 - y_0])
    across, down = np.linalg.solve(np.moveaxis(matrices, -1, 0), offsets.T[..., None])[..., 0].T
    for values, least_spread in ((1 / np.hypot(y_x, y_y), 0.4), (1 / np.hypot(x_x, x_y), 0.5), (across, 10), (down, 8)):
        low, high = np.quantile(values, [0.05, 0.95])
        assert high - low > least_spread


def _affine_numbers() -> npt.NDArray[np.float64]:
    return np.array([street_digits._affine(np.random.default_rng(seed)) for seed in range(400)]).T
