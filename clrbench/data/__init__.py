"""Data sets by name or by path: a `Library` measures, fetches, loads and verifies them."""

from clrbench.data.catalogue import FETCHED_FILES, NAMES, STAND_INS
from clrbench.data.content import DatasetSizes
from clrbench.data.download import Replacement
from clrbench.data.library import ALLOWED, Library, Status
from clrbench.data.progress import Show, in_silence
from clrbench.data.user_function import is_reference

__all__ = [
    "ALLOWED",
    "FETCHED_FILES",
    "NAMES",
    "STAND_INS",
    "DatasetSizes",
    "Library",
    "Replacement",
    "Show",
    "Status",
    "in_silence",
    "is_reference",
]
