"""The committed pictures are those that the code draws of the committed tables."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clrbench.store import ResultsFolder

ROOT = Path(__file__).parents[1]
QUICK = ("step-sizes", "street-digits-range-test")
NAMES = sorted(path.parent.name for path in (ROOT / "results").glob("*/spec.yaml"))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.acceptance) for name in NAMES]
)
def test_committed_pictures_are_drawn_of_the_committed_tables(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    from redraw import redraw

    committed, drawn = ROOT / "results" / name, tmp_path / name
    shutil.copytree(committed, drawn)
    pictures = sorted(path.relative_to(drawn) for path in drawn.rglob("*.png"))
    assert pictures
    for picture in pictures:
        (drawn / picture).unlink()
    redraw(ResultsFolder(drawn))
    assert sorted(path.relative_to(drawn) for path in drawn.rglob("*.png")) == pictures
    for picture in pictures:
        old, new = (np.asarray(Image.open(folder / picture).convert("L"), np.int16) for folder in (committed, drawn))
        assert old.shape == new.shape, picture
        # Fonts may be rounded to other pixels elsewhere; a line, a word or a number that is another one is far more.
        assert (abs(old - new) > 64).mean() < 0.002, picture
