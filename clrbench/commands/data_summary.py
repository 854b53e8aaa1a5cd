"""What the data of a spec is, in a few lines."""

from clrbench.counted import counted
from clrbench.data import MAX_ROWS_LOOKED_AT, Description, SplitFacts

MAX_CLASSES_SHOWN = 20
MAX_NAME_CHARACTERS = 30


def data_lines(found: Description, *, validates: bool = True) -> list[str]:
    """Return what a data set is: rows, shape and type; values; rows of each class; and what was done to it.

    Args:
        found: The data set.
        validates: Whether the spec asks for any validation rows.
    """
    rows, own = f"{counted(found.train.rows, 'row')} to train", found.validation
    if own is not None:
        rows += f", {own.rows} of their own to validate{'' if validates else ', not used (data.validation)'}"
    elif validates:
        rows += " (including validation rows)"
    values = "; ".join(f"{name} {_values(split)}" for name, split in _splits(found).items())
    lines = [
        f"{rows}, {found.test.rows} to test; {_shape(found)}",
        f"values: {values}{_sampled(found)}",
        _classes(found),
        *found.remarks.said,
    ]
    least = "at least " if found.is_repeated_sampled else ""
    what = "images" if len(found.image_shape) == 3 else "rows"
    for number, name in ((found.repeated, "test"), (found.validation_repeated, "validation")):
        if number:
            are = f"is a training {what.removesuffix('s')}" if number == 1 else f"are training {what}"
            lines.append(f"{least}{number} of the {name} {what} {are} as well")
    return lines


def _shape(found: Description) -> str:
    shape = " x ".join(map(str, found.image_shape))
    kind = "whole numbers, int32" if found.pixel_type == "int32" else found.pixel_type
    match len(found.image_shape):
        case 3:
            return f"images of {shape} (height x width x channels), {kind}"
        case 1:
            return f"rows of {shape} {'number' if shape == '1' else 'numbers'}, {kind}, taken as they are"
        case _:
            return f"rows of {shape}, {kind}, taken as they are"


def _splits(found: Description) -> dict[str, SplitFacts]:
    return {
        "train": found.train,
        **({} if found.validation is None else {"validation": found.validation}),
        "test": found.test,
    }


def _values(split: SplitFacts) -> str:
    return f"{split.smallest:.4g} to {split.largest:.4g}, mean {split.mean:.4g}"


def _sampled(found: Description) -> str:
    is_sampled = max(split.rows for split in _splits(found).values()) > MAX_ROWS_LOOKED_AT
    return f" (from {MAX_ROWS_LOOKED_AT} evenly spaced rows of a split)" if is_sampled else ""


def _classes(found: Description) -> str:
    splits = _splits(found)
    counts = list(zip(*(split.class_counts for split in splits.values()), strict=True))
    names = found.remarks.class_names or tuple(map(str, range(len(counts))))
    if len(counts) <= MAX_CLASSES_SHOWN:
        each = ", ".join(
            f"{_short(name)}: {' + '.join(map(str, rows))}" for name, rows in zip(names, counts, strict=True)
        )
        return f"{counted(len(counts), 'class')}, rows of each ({' + '.join(splits)}): {each}"
    trains = found.train.class_counts
    fewest, most = (trains.index(extreme(trains)) for extreme in (min, max))
    others = "".join(f"; {name} rows: {_spread(split)}" for name, split in splits.items() if name != "train")
    return (
        f"{counted(len(counts), 'class')}; training rows of each: from {trains[fewest]} "
        f"({_short(names[fewest])}) to {trains[most]} "
        f"({_short(names[most])}){others}"
    )


def _spread(split: SplitFacts) -> str:
    missing = sum(rows == 0 for rows in split.class_counts)
    nothing = f", none of {counted(missing, 'class')}" if missing else ""
    return f"from {min(split.class_counts)} to {max(split.class_counts)}{nothing}"


def _short(name: str) -> str:
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
    return plain if len(plain) <= MAX_NAME_CHARACTERS else f"{plain[:MAX_NAME_CHARACTERS]}..."
