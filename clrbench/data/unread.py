"""Arrays that look as if they were for validation, and are not read under the names that they have."""

import re
from collections.abc import Iterable

from clrbench.data.content import VALIDATION_NAMES
from clrbench.data.foreign import key_of
from clrbench.data.image_listing import UNUSED_VALIDATION
from clrbench.data.refusal import shown


def unread_validation(names: Iterable[object], *, verb: str = "save") -> tuple[str, ...]:
    """Return a warning about the arrays of a data set, by their names, that are left unread; none where there are none.

    Args:
        names: Of all arrays that are there.
        verb: What their owner does with them: "save" or "return".
    """
    there = sorted(str(name).removesuffix(".npy") for name in names)
    found = [name for name in there if _is_for_validation(name) and name not in VALIDATION_NAMES]
    if not found:
        return ()
    is_there = set(VALIDATION_NAMES) <= set(there)
    advice = (
        ""
        if is_there
        else f"; to validate on them, {verb} them as {' and '.join(VALIDATION_NAMES)}; {UNUSED_VALIDATION}"
    )
    return (f"the arrays {shown(', '.join(found))} are not read{advice}",)


def _is_for_validation(name: str) -> bool:
    is_split = re.search(r"(^|_)val(id|idation)?(_|$)", name.lower()) is not None
    return is_split or key_of(name) in {"x_val", "y_val"}
