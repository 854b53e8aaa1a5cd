"""A network of the user's own: which files decide its numbers, and which backend it is for. Nothing of it is imported or run."""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from clrbench.errors import BackendError, SpecError
from clrbench.layers import OwnNetwork
from clrbench.own_code import Code, Sources, find_sources
from clrbench.own_code.calling import absolute
from clrbench.spec import BACKEND_NAMES, BackendName, OwnModel

_PACKAGES: Mapping[BackendName, tuple[str, ...]] = {"torch": ("torch",), "keras": ("keras", "tensorflow")}
_KEY = ("model",)


def own_network(model: OwnModel, folder: Path, seed: int) -> OwnNetwork:
    """Return what builds a network of the user's own, from a seed of its initial weights; paths start from `folder`."""
    base = folder.resolve()
    return OwnNetwork(absolute(model.function, base), base, model.options_text(), sources(model, folder).digest(), seed)


def sources(model: OwnModel, folder: Path) -> Sources:
    """Return the files that a network of the user's own is made of.

    Raises:
        SpecError: If the file or the function is not there, or the file is no Python.
    """
    base = folder.resolve()
    code = Code(absolute(model.function, base), base, _refuse, BackendError)
    texts = tuple(text for option in model.options.values() for text in _texts(option))
    return find_sources(code, texts)


def source_digest(model: OwnModel, folder: Path) -> str:
    """Return the SHA-256, in hex, of the files that a network of the user's own is made of."""
    return sources(model, folder).digest()


def framework_versions(backend: BackendName) -> dict[str, str]:
    """Return the version of each package of a backend, `not installed` where it is missing; nothing is imported."""
    found = {}
    for package in _PACKAGES[backend]:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def backends_of(
    model: OwnModel, folder: Path, asked: tuple[BackendName, ...] | None, installed: tuple[BackendName, ...]
) -> tuple[BackendName, ...]:
    """Return the one backend that a network of the user's own runs on.

    Args:
        model: The network.
        folder: Where relative paths start from.
        asked: The backends that the spec names; None where it names none.
        installed: Those that are installed, one of which is taken where its files show neither framework.

    Raises:
        SpecError: If more than one backend is asked for, or another than its files import, or nothing says which one.
    """
    used = sources(model, folder).frameworks
    fits = tuple(name for name in BACKEND_NAMES if name in used)
    if asked is not None and len(asked) > 1:
        one = fits[0] if len(fits) == 1 else "torch"
        raise SpecError(
            f"got {', '.join(asked)}; allowed: one backend, as your own network uses one framework: backends: [{one}]",
            key=("backends",),
        )
    if asked is not None:
        if fits and asked[0] not in fits:
            raise SpecError(
                f"got {asked[0]}, but {model.name} makes its network with {fits[0]}; allowed: backends: [{fits[0]}]",
                key=("backends",),
            )
        return asked
    candidates = fits or installed
    if len(candidates) == 1:
        return candidates
    what = f"imports {' and '.join(fits)}" if fits else "imports no framework that is known"
    raise SpecError(
        f"{model.name} {what}, so its framework cannot be inferred; add backends: [torch] or backends: [keras]",
        key=_KEY,
    )


def _refuse(message: str) -> SpecError:
    return SpecError(message, key=_KEY)


def _texts(option: object) -> list[str]:
    if isinstance(option, str):
        return [option]
    parts = option.values() if isinstance(option, dict) else option if isinstance(option, list) else ()
    return [text for part in parts for text in _texts(part)]
