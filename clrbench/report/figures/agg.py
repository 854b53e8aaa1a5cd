"""Imports matplotlib whatever backend a notebook or a user has asked for: figures are drawn with Agg alone."""

import os
from contextlib import suppress

# A backend that is not installed here, as each shell of Jupyter names one, stops matplotlib at its import.
_asked = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
finally:
    if _asked is not None:
        os.environ["MPLBACKEND"] = _asked
if _asked is not None:
    with suppress(ValueError, ImportError):
        matplotlib.rcParams["backend"] = _asked  # as it would have been, for what else runs in this process
