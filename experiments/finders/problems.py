"""The settings of the bake-off."""

from settings import HALVES, Setting

GROUPS = ("final", "new")
"""Of the halves in `benchmarks/settings.py`, those that clrbench's rules were not tuned to."""

NAMES = (
    "digits nesterov",
    "digits softmax adam",
    "digits rmsprop",
    "spirals nesterov",
    "mixture sgd",
    "many adam",
    "unequal adam",
    "three unequal momentum",
    "few momentum",
    "random adam",
    "few norm rmsprop",
    "digits norm adam",
    "digits255 adam",
    "noisy adamw",
    "spirals sgd",
    "many momentum",
    "stripes adam",
    "parity momentum",
    "street momentum",
    "digits softmax units adam",
    "mixture softmax units momentum",
    "digits cnn momentum",
)
"""Those of them that take part: by what they cost and how they differ, chosen before anything was trained for the bake-off.

The others follow when they are named here: their brute force and all else is made by `make finders`.
"""


def chosen() -> list[tuple[Setting, str]]:
    """Return each setting and the group that it is of."""
    return [(setting, group) for group in GROUPS for setting in HALVES[group] if setting.name in NAMES]
