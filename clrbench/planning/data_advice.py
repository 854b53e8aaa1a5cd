"""Warnings about data that loads and is perhaps not what its owner means, each with the line that mends it."""

from collections.abc import Iterator

from clrbench.counted import counted
from clrbench.data import Description, SplitFacts
from clrbench.planning.plan import MAX_SCALED
from clrbench.spec.data import DEFAULT_VALIDATION, Data

MAX_DIM_BYTE = 16
"""Bytes that end here or below use a sixteenth of their range."""

MAX_RANGE_RATIO = 4.0
"""Splits whose values differ by more than this factor are taken to be in different units."""

REPEATED_SHARE = 0.01
"""Of the test rows, from which on rows that were trained on are warned about; below, they are only counted."""

MIN_ROWS_PER_CLASS = 2.0
"""Training rows of a class, on average, below which labels are taken for something else."""

_AS_THEY_ARE = "leave them as they are if they are token ids"


def data_warnings(found: Description, data: Data) -> list[str]:
    """Return what looks unmeant in the data of a spec; nothing here names a folder of the user's."""
    parts = (
        *(_axes(found), _values(found, data), _one_image(found), _repeated(found), _classes(found)),
        *(_ranges(found.train, other, name, found.pixel_type) for name, other in _others(found).items()),
        _own_validation(found, data),
    )
    return [*found.remarks.warned, *(warning for part in parts for warning in part)]


def _axes(found: Description) -> Iterator[str]:
    if len(found.image_shape) != 3:
        return
    height, width, channels = found.image_shape
    if height in {1, 3} and channels not in {1, 3} and width > 1:
        yield (
            f"images of {height} x {width} x {channels} (height x width x channels) look as if their channels came first; "
            "turn them: x_train = np.moveaxis(x_train, 1, -1), and x_test likewise"
        )


def _noun(found: Description) -> str:
    return "image" if len(found.image_shape) == 3 else "row"


def _values(found: Description, data: Data) -> Iterator[str]:
    smallest, largest = found.train.smallest, found.train.largest
    where = f"x_train goes from {smallest:.4g} to {largest:.4g}"
    if found.is_one_image or data.preprocessing == "standardise":
        return
    if len(found.image_shape) != 3 or found.pixel_type == "int32":
        if found.pixel_type != "int32" and max(abs(smallest), abs(largest)) > MAX_SCALED:
            yield (
                f"{where}, outside the -{MAX_SCALED:g} to {MAX_SCALED:g} that networks are made for, and rows that are not "
                f"images are taken as they are; {_remedy(found)}"
            )
        return
    if found.pixel_type == "uint8" and largest <= MAX_DIM_BYTE:
        yield (
            f"{where}, while bytes are divided by 255: the network sees at most {largest / 255:.2g}; set preprocessing: "
            f"standardise, or save floats from 0 to 1: x_train = (x_train / {max(largest, 1):g}).astype('float32'), and x_test "
            "likewise"
        )
    size = max(abs(smallest), abs(largest))
    if found.pixel_type != "uint8" and size > MAX_SCALED:
        yield (
            f"{where}, outside the -{MAX_SCALED:g} to {MAX_SCALED:g} that networks are made for; preprocessing: scale divides it "
            f"by about {size:.4g}, the largest of the training rows; to do so yourself: x_train = x_train / {size:.6g}, x_test "
            "likewise, or set preprocessing: standardise"
        )


def _remedy(found: Description) -> str:
    if found.pixel_type == "uint8" and len(found.image_shape) == 2:
        return f"where they are gray images, say so: x_train = x_train[..., None], and x_test likewise; {_AS_THEY_ARE}"
    return f"set preprocessing: standardise, or scale them yourself; {_AS_THEY_ARE}"


def _others(found: Description) -> dict[str, SplitFacts]:
    """Return the splits beside that of training, by name."""
    return {"test": found.test, **({} if found.validation is None else {"validation": found.validation})}


def _ranges(trained: SplitFacts, other: SplitFacts, name: str, pixel_type: str) -> Iterator[str]:
    train, test = (max(abs(split.smallest), abs(split.largest)) for split in (trained, other))
    if pixel_type == "int32":
        return
    if pixel_type == "uint8" and max(train, test) > 4 * MAX_DIM_BYTE:
        ratio_matters = min(train, test) <= MAX_DIM_BYTE
    else:
        ratio_matters = max(train, test) > MAX_RANGE_RATIO * min(train, test)
    if ratio_matters:
        smaller, larger = (f"x_{name}", "x_train") if test < train else ("x_train", f"x_{name}")
        factor = 255 if {round(train), round(test)} == {1, 255} else max(train, test) / max(min(train, test), 1e-30)
        yield (
            f"x_train goes from {trained.smallest:g} to {trained.largest:g}, but x_{name} from {other.smallest:g} to "
            f"{other.largest:g}: do the scales match? Where {larger} is right: {smaller} = {smaller} * {factor:.4g}"
        )


def _one_image(found: Description) -> Iterator[str]:
    if found.is_one_image:
        yield (
            f"every training {_noun(found)} is the same one: there is nothing to learn; look at what was saved, such as icons "
            "whose shape is in their transparency alone"
        )


def _repeated(found: Description) -> Iterator[str]:
    noun = _noun(found)
    part = "pixel" if noun == "image" else "number"
    repeated = {"test": found.repeated, "validation": found.validation_repeated}
    for name, split in _others(found).items():
        if repeated[name] >= REPEATED_SHARE * split.looked_at:
            yield (
                f"{repeated[name]} of {split.rows} {name} {noun}s are training {noun}s as well, {part} by {part}: {name} "
                "accuracy is inflated by them; remove them from one of the two"
            )


def _own_validation(found: Description, data: Data) -> Iterator[str]:
    """Yield what is asked for, beyond the default, and not done, as the data set has validation rows of its own."""
    if found.validation is not None and data.validation.amount > 0 and str(data.validation) != DEFAULT_VALIDATION:
        yield (
            f"data.validation is '{data.validation}', but the data set has "
            f"{counted(found.validation.rows, 'validation row')} of its own, "
            "which are used in place of rows held out of training; leave the key out, or take these rows away"
        )


def _classes(found: Description) -> Iterator[str]:
    classes = len(found.train.class_counts)
    if found.train.rows < MIN_ROWS_PER_CLASS * classes:
        yield (
            f"{counted(classes, 'class')} for {counted(found.train.rows, f'training {_noun(found)}')}: are the labels "
            "numbers to be predicted, or row numbers?"
        )
