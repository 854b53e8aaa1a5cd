"""A function of the user's own, imported and called as if it were run from its folder."""

import contextlib
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from clrbench.errors import ClrbenchError

_PREFIX = "clrbench_user_"

MAX_SHOWN = 1000
"""Characters shown of what the user's code raised."""


def is_reference(text: str) -> bool:
    """Return whether a spec names a function of the user's own, such as `./file.py:function`."""
    source, colon, function = text.rpartition(":")
    return bool(source and colon) and function.isidentifier()


def absolute(reference: str, base: Path) -> str:
    """Return a reference with the path of its file made absolute, seen from the folder `base`."""
    source, _, function = reference.rpartition(":")
    return f"{base / source}:{function}" if source.endswith(".py") else reference


@dataclass(frozen=True)
class Code:
    """A function of the user's own.

    Attributes:
        reference: `package.module:function` or `/path/of/file.py:function`.
        base: The folder that is the working folder while it is imported and called.
        refuse: Makes an error of a message: the function is not there, or is none.
        fail: Likewise: it cannot be imported or called.
        version: Of its source, where a file that has changed meanwhile is to be imported anew.
    """

    reference: str
    base: Path
    refuse: Callable[[str], ClrbenchError]
    fail: Callable[[str], ClrbenchError]
    version: str = ""

    @property
    def source(self) -> str:
        """Its module, or the path of its file."""
        return self.split()[0]

    @property
    def beside(self) -> Path:
        """The folder that what it imports is looked for in first."""
        return Path(self.source).parent.resolve() if self.source.endswith(".py") else self.base.resolve()

    def split(self) -> tuple[str, str]:
        """Return its module, or the path of its file, and the name of the function."""
        source, _, function = self.reference.rpartition(":")
        is_module = all(part.isidentifier() for part in source.split("."))
        if not function.isidentifier() or not (source.endswith(".py") or is_module):
            raise self.refuse(f"got {self.reference!r}; allowed: package.module:function, or path/of/file.py:function")
        return source, function

    @contextlib.contextmanager
    def at_home(self) -> Iterator[None]:
        """Be in its folder, and import what lies beside it, for a while; no folder of bytecode is left there."""
        beside = self.beside
        path, modules, writes = sys.path.copy(), set(sys.modules), sys.dont_write_bytecode
        try:
            home = contextlib.chdir(self.base)
            home.__enter__()
        except OSError as err:
            raise self.fail(f"{self.reference}: the folder {self.base} cannot be entered ({err.strerror})") from err
        sys.path.insert(0, str(beside))
        sys.dont_write_bytecode = True
        try:
            yield
        finally:
            sys.dont_write_bytecode = writes
            sys.path[:] = path
            home.__exit__(None, None, None)
            # Another file may have another module of the same name beside it.
            for name in set(sys.modules) - modules:
                file = getattr(sys.modules[name], "__file__", None)
                if file and Path(file).is_relative_to(beside) and not name.startswith(_PREFIX):
                    del sys.modules[name]

    def find(self) -> Callable[..., object]:
        """Import it, and return the function; to be called `at_home`."""
        source, name = self.split()
        module = self._import_file(Path(source)) if source.endswith(".py") else self._import_module(source)
        with self.running("looking for it"):
            function: Callable[..., object] | None = getattr(module, name, None)
        if not callable(function):
            got = "no such function" if function is None else f"a {type(function).__name__}, which cannot be called"
            raise self.refuse(f"{self.reference}: got {got} in {source}; allowed: the name of a function")
        return function

    @contextlib.contextmanager
    def running(self, doing: str) -> Iterator[None]:
        """Run code of the user's, which can raise anything; stdout is for the answer alone."""
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except (Exception, SystemExit) as err:
            text = (
                f"SyntaxError: {err}" if isinstance(err, SyntaxError) else "".join(traceback.format_exception_only(err))
            )
            raise self.fail(
                f"{self.reference}: {doing} raised {_shown(text.strip())}; run it by itself to see where"
            ) from err

    def _import_module(self, name: str) -> ModuleType:
        try:
            with self.running("importing it"):
                return importlib.import_module(name)
        except ClrbenchError as err:
            missing = err.__cause__.name if isinstance(err.__cause__, ModuleNotFoundError) else None
            if missing is None or not f"{name}.".startswith(f"{missing}."):
                raise
            raise self.refuse(
                f"{self.reference}: no module {missing} is installed; install its package, or name its file: "
                "path/of/file.py:function"
            ) from err

    def _import_file(self, file: Path) -> ModuleType:
        name = f"{_PREFIX}{hashlib.sha256(f'{file}{self.version}'.encode()).hexdigest()[:16]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, file)
        if not file.is_file() or spec is None or spec.loader is None:
            raise self.refuse(f"{self.reference}: the file {file} does not exist; create it, or correct the path")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pickle look a module up by its name, also while it is imported
        try:
            with self.running("importing it"):
                spec.loader.exec_module(module)
        except ClrbenchError:
            del sys.modules[name]
            raise
        return module


def _shown(text: str) -> str:
    """Return what was raised as a message may show it: cut, and with nothing that a terminal acts on."""
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:MAX_SHOWN])
    return plain if len(text) <= MAX_SHOWN else f"{plain}..."
