"""Code of the user's own: what a reference such as `./file.py:function` names, how it is called, and what it is made of."""

from clrbench.own_code.calling import Code, is_reference
from clrbench.own_code.sources import Sources, find_sources, imported_files

__all__ = ["Code", "Sources", "find_sources", "imported_files", "is_reference"]
