"""What the data of a spec is, in a few lines."""

from clrbench.data import MAX_ROWS_LOOKED_AT, Description, SplitFacts

MAX_CLASSES_SHOWN = 20
MAX_NAME_CHARACTERS = 30


def data_lines(found: Description) -> list[str]:
    """Return what a data set is: rows, shape and type; values; rows of each class; and what was done to it."""
    shape = " x ".join(map(str, found.image_shape))
    lines = [
        f"{found.train.rows} rows to train (validation rows are among them), {found.test.rows} to test; images of {shape} "
        f"(height x width x channels), {found.pixel_type}",
        f"values: train {_values(found.train)}; test {_values(found.test)}{_sampled(found)}",
        _classes(found),
        *found.remarks.said,
    ]
    if found.repeated:
        least = "at least " if found.is_repeated_sampled else ""
        lines.append(f"{least}{found.repeated} of the test images are training images as well")
    return lines


def _values(split: SplitFacts) -> str:
    return f"{split.smallest:.4g} to {split.largest:.4g}, mean {split.mean:.4g}"


def _sampled(found: Description) -> str:
    is_sampled = max(found.train.rows, found.test.rows) > MAX_ROWS_LOOKED_AT
    return f" (of {MAX_ROWS_LOOKED_AT} rows of a split, at equal distances)" if is_sampled else ""


def _classes(found: Description) -> str:
    counts = list(zip(found.train.class_counts, found.test.class_counts, strict=True))
    names = found.remarks.class_names or tuple(map(str, range(len(counts))))
    if len(counts) <= MAX_CLASSES_SHOWN:
        each = ", ".join(f"{_short(name)}: {train} + {test}" for name, (train, test) in zip(names, counts, strict=True))
        return f"{len(counts)} classes, rows of each (train + test): {each}"
    trains = found.train.class_counts
    fewest, most = (trains.index(extreme(trains)) for extreme in (min, max))
    missing = sum(test == 0 for test in found.test.class_counts)
    return (
        f"{len(counts)} classes; training rows of each: from {trains[fewest]} ({_short(names[fewest])}) to {trains[most]} "
        f"({_short(names[most])}); test rows: from {min(found.test.class_counts)} to {max(found.test.class_counts)}"
        f"{f', none of {missing} classes' if missing else ''}"
    )


def _short(name: str) -> str:
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
    return plain if len(plain) <= MAX_NAME_CHARACTERS else f"{plain[:MAX_NAME_CHARACTERS]}..."
