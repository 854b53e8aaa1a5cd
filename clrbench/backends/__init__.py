"""The backends by name: which are installed, and loading one; a framework is imported only when it is asked for."""

from importlib import import_module
from importlib.util import find_spec
from typing import cast

from clrbench.backends.protocol import Backend
from clrbench.errors import BackendError

_PACKAGES: dict[str, tuple[str, ...]] = {"torch": ("torch",), "keras": ("keras", "tensorflow"), "script": ()}
BACKENDS = tuple(_PACKAGES)


def installed() -> tuple[str, ...]:
    """Return the names of the backends whose packages are there, without importing them."""
    return tuple(name for name, packages in _PACKAGES.items() if not _missing(packages))


def load(name: str) -> Backend:
    """Import the module `clrbench.backends.<name>.backend`.

    Raises:
        BackendError: If there is no such backend, or a package of it is missing or cannot be imported.
    """
    if name not in _PACKAGES:
        raise BackendError(f"no backend {name!r}; choose {', '.join(BACKENDS)}")
    if missing := _missing(_PACKAGES[name]):
        raise BackendError(f"the {name} backend needs {' and '.join(missing)}: pip install 'clrbench[{name}]'")
    try:
        return cast(Backend, import_module(f"clrbench.backends.{name}.backend"))
    except ImportError as err:
        raise BackendError(f"the {name} backend cannot be imported ({err}): pip install 'clrbench[{name}]'") from err


def _missing(packages: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(package for package in packages if find_spec(package) is None)
