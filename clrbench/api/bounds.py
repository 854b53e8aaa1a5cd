"""The rates that a range test suggests, to look at, draw and save."""

import base64
import html
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from clrbench.analysis.own_bounds import OwnBounds
from clrbench.commands.bounds import write_own_bounds
from clrbench.rates import Rates
from clrbench.report.figures.own_bounds import draw_own_bounds
from clrbench.report.figures.style import to_png
from clrbench.report.own_bounds import own_bounds_file, own_bounds_text
from clrbench.store.files import write_file

_FILES = (
    *(".json", ".csv", ".png", ".txt", ".md", ".html", ".htm", ".tsv", ".jsonl", ".yaml", ".yml", ".toml", ".xml"),
    *(".svg", ".pdf", ".jpg", ".jpeg", ".gif", ".eps", ".xlsx", ".parquet", ".feather", ".pkl", ".npy", ".npz", ".zip"),
)
"""Ends of names that mean a file; the first three are written, and the others refused."""


class RangeTestBounds:
    """The rates that curves suggest, or why they suggest none; a notebook shows them as picture and text."""

    def __init__(self, found: OwnBounds) -> None:
        self._found = found

    @property
    def rates(self) -> Rates:
        """All that is known of the rates."""
        return self._found.rates

    @property
    def base_lr(self) -> float | None:
        """Rate at which learning starts; None where that is not known, or there is no answer."""
        return self.rates.base_lr

    @property
    def max_lr(self) -> float | None:
        """Upper bound of cycles; None where there is no answer."""
        return self.rates.max_lr

    @property
    def constant_lr(self) -> float | None:
        """The constant rate; `max_lr` / 3, not confirmed, unless trainings have confirmed it."""
        return self.rates.constant_lr

    @property
    def reason(self) -> str | None:
        """Why there is no answer; None where there is one."""
        return self.rates.reason

    @property
    def caveats(self) -> tuple[str, ...]:
        """What to know before relying on the rates, a sentence each."""
        return self.rates.caveats

    @property
    def confirmed(self) -> bool:
        """Whether `constant_lr` rests on trainings at it."""
        return self.rates.confirmed

    @property
    def curve(self) -> pd.DataFrame:
        """The curves, raw and smoothed, one row per point of each seed."""
        return self._found.curve

    def plot(self) -> Figure:
        """Return a figure of the curves and the rates."""
        return draw_own_bounds(self._found)

    def save(self, path: str | Path) -> None:
        """Write bounds.json, curve.csv and range_test.png into a folder; or one of them, by the suffix of a file's path.

        Args:
            path: A file that ends in .json, .csv or .png, or a folder, made where it is missing, such as `results-0.2`.

        Raises:
            SpecError: If it ends as another kind of file does, such as .txt.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix in _FILES and not path.is_dir():
            write_file(path, own_bounds_file(self._found, suffix))
        else:
            write_own_bounds(self._found, path)

    def __repr__(self) -> str:
        """Return the rates in words."""
        return own_bounds_text(self._found)

    def _repr_html_(self) -> str:
        """Return picture and text, for a notebook."""
        picture = base64.b64encode(to_png(self.plot())).decode()
        return f'<img width="800" alt="LR range test" src="data:image/png;base64,{picture}"/><pre>{html.escape(repr(self))}</pre>'
