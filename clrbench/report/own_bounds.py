"""What curves of somebody's own come to, in words, as plain data and as the content of files."""

from clrbench.analysis.own_bounds import OwnBounds
from clrbench.counted import counted
from clrbench.errors import SpecError
from clrbench.records import Json
from clrbench.report.figures.own_bounds import draw_own_bounds
from clrbench.report.figures.style import to_png
from clrbench.report.words import range_test_words
from clrbench.store.bounds import rates_to_json
from clrbench.store.files import to_json
from clrbench.store.run import to_csv


def own_bounds_text(found: OwnBounds) -> str:
    """Return the rates or the refusal, what to know before relying on them, and what was taken for what."""
    rates = found.rates
    seeds = counted(found.curve["seed"].nunique(), "seed")
    if rates.reason is not None:
        first = f"No rates suggested: {rates.reason}."
    else:
        how = (
            f"confirmed by training at {counted(len(rates.constants), 'rate')}" if rates.confirmed else "not confirmed"
        )
        first = f"{range_test_words(rates)} ({how}); from {seeds}."
    return "\n".join([first, *(f"  - {caveat}" for caveat in rates.caveats), *found.notes])


def own_bounds_data(found: OwnBounds) -> dict[str, Json]:
    """Return the rates as plain data."""
    return {**rates_to_json(found.rates), "notes": list(found.notes)}


def own_bounds_file(found: OwnBounds, suffix: str) -> bytes:
    """Return the content of a file of the rates (.json), the curves, raw and smoothed (.csv), or the plot (.png).

    Raises:
        SpecError: If the suffix is another.
    """
    match suffix:
        case ".json":
            return to_json(own_bounds_data(found))
        case ".csv":
            return to_csv(found.curve)
        case ".png":
            return to_png(draw_own_bounds(found))
        case _:
            raise SpecError(f"got a file that ends in {suffix}; allowed: .json, .csv, .png, or a folder")
