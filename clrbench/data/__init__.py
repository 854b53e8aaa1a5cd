"""Data sets by name or by path: a `Library` measures, fetches, loads and verifies them."""

from clrbench.data.catalogue import FETCHED_FILES, NAMES, STAND_INS
from clrbench.data.content import DatasetSizes
from clrbench.data.description import MAX_ROWS_LOOKED_AT, Description, SplitFacts
from clrbench.data.download import Replacement
from clrbench.data.foreign import FOREIGN_SUFFIXES
from clrbench.data.library import ALLOWED, Library, Status
from clrbench.data.progress import Show, in_silence
from clrbench.data.reading import AS_IT_IS, MAX_SIDE, Reading

__all__ = [
    "ALLOWED",
    "AS_IT_IS",
    "FETCHED_FILES",
    "FOREIGN_SUFFIXES",
    "MAX_ROWS_LOOKED_AT",
    "MAX_SIDE",
    "NAMES",
    "STAND_INS",
    "DatasetSizes",
    "Description",
    "Library",
    "Reading",
    "Replacement",
    "Show",
    "SplitFacts",
    "Status",
    "in_silence",
]
