"""What libraries warn of and log, kept from users: nothing of it is theirs to mend."""

import logging
import sys
import warnings


def silence_libraries() -> None:
    """Show no warnings and no log of libraries in this process, unless Python was asked for warnings (`-W`, `PYTHONWARNINGS`)."""
    if sys.warnoptions:
        return
    warnings.simplefilter("ignore")
    root = logging.getLogger()
    if not root.handlers:
        # Without any handler Python prints what is logged as a warning or worse.
        root.addHandler(logging.NullHandler())
