"""Which files a function of the user's own is made of, and which frameworks it uses: read, and never imported or run."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path

from clrbench.errors import ClrbenchError
from clrbench.own_code.calling import Code

FRAMEWORKS = {
    **dict.fromkeys(("torch", "torchvision", "torchaudio", "timm", "lightning", "pytorch_lightning"), "torch"),
    **dict.fromkeys(("keras", "tensorflow", "keras_hub", "keras_cv", "keras_nlp"), "keras"),
}
"""The backend whose networks are made with a package."""

MAX_CODE_BYTES = 10_000_000
"""Of one file; a longer one is taken for data."""

MAX_NAME = 200
"""Characters of a text that may name a file."""


@dataclass(frozen=True)
class Sources:
    """What a function is made of.

    Attributes:
        root: The folder that the names of the files start from.
        code: The file of the function, and each file beside it that these import.
        data: Files that a text in them names, such as weights that are loaded.
        frameworks: The backends whose packages the function uses: `torch`, `keras`, both or neither.
    """

    root: Path
    code: tuple[Path, ...]
    data: tuple[Path, ...]
    frameworks: frozenset[str]

    def digest(self) -> str:
        """Return the SHA-256, in hex, of the names and the content of all files, wherever they lie together."""
        found = hashlib.sha256()
        for path in (*self.code, *self.data):
            name = path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name
            found.update(f"{name}\n{_file_digest(path, is_code=path in self.code)}\n".encode())
        return found.hexdigest()


@dataclass(frozen=True)
class _Root:
    """Where modules are looked for; `only` is the one package of it that counts, where other people's lie beside it."""

    folder: Path
    only: str | None = None


@dataclass
class _Module:
    path: Path
    tree: ast.Module
    imports: list[tuple[ast.AST, str, list[Path]]] = field(default_factory=list)

    @cached_property
    def bindings(self) -> dict[str, str]:
        """The package behind each name that an import at the top of the file binds."""
        found = {}
        for node in self.tree.body:
            for name, package in _bound(node):
                found[name] = package
        return found


def find_sources(code: Code, texts: tuple[str, ...] = ()) -> Sources:
    """Return what a function is made of; read anew once one of the files has changed.

    Args:
        code: The function; its errors are those of a file or a function that is not there, or that is no Python.
        texts: Texts, beside those in the code, that may name a file that counts.
    """
    key = code.reference, code.base.resolve(), texts
    stamps, found = _known.get(key, ((), None))
    if found is None or stamps != _stamps(found):
        found = _find(code, texts)
        _known[key] = _stamps(found), found
    return found


def imported_files(script: Path) -> tuple[Path, ...]:
    """Return what a Python script imports from beside it, as far as its text shows; nothing where it cannot be read."""
    root = _Root(script.parent.resolve())
    code = Code(f"{script}:main", script.parent, ClrbenchError, ClrbenchError)
    try:
        return tuple(module.path for module in _follow(code, script.resolve(), root)[1:])
    except (ClrbenchError, OSError):
        return ()


_known: dict[tuple[str, Path, tuple[str, ...]], tuple[tuple[object, ...], Sources]] = {}


def _stamps(sources: Sources) -> tuple[object, ...]:
    """Return what changes when one of the files is written again, or goes."""
    try:
        # A file that is new in a folder may take the place of one that is installed.
        folders = dict.fromkeys(path.parent for path in sources.code)
        found = [path.stat() for path in (*sources.code, *sources.data, *folders)]
    except OSError:
        return (None,)
    return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)


def _find(code: Code, texts: tuple[str, ...]) -> Sources:
    source, name = code.split()
    path, root = _locate(code, source)
    modules = _follow(code, path, root)
    _check_defines(code, modules[0], name)
    named = {text for module in modules for text in _texts(module.tree)} | set(texts)
    folders = dict.fromkeys((code.base.resolve(), *(module.path.parent for module in modules)))
    data = sorted({file for text in named for file in _named_files(text, folders)} - {one.path for one in modules})
    return Sources(root.folder, tuple(one.path for one in modules), tuple(data), _frameworks(modules, name))


def _locate(code: Code, source: str) -> tuple[Path, _Root]:
    """Return the file that holds the function, without importing anything."""
    if source.endswith(".py"):
        path = Path(source).resolve()
        if not path.is_file():
            raise code.refuse(f"{code.reference}: the file {source} does not exist; create it, or correct the path")
        return path, _Root(path.parent)
    top, *rest = source.split(".")
    found = PathFinder.find_spec(top, [str(code.base.resolve()), *sys.path])
    places = [Path(place) for place in (found and found.submodule_search_locations) or ()]
    origin = Path(found.origin).resolve() if found and found.origin else None
    folder = (places[0].resolve() if places else origin or code.base.resolve() / top).parent
    root = _Root(folder, None if folder == code.base.resolve() else top)
    place = folder.joinpath(top, *rest)
    files = [file for file in (place / "__init__.py", place.with_name(f"{place.name}.py")) if file.is_file()]
    if found is None or not files:
        raise code.refuse(
            f"{code.reference}: no module {source} is installed or lies in {code.base}; install its package, or name its "
            "file: path/of/file.py:function"
        )
    return files[0], root


def _follow(code: Code, path: Path, root: _Root) -> list[_Module]:
    """Return a module and all that it imports from the same root, itself first, the others by their paths."""
    found: dict[Path, _Module] = {}
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in found or current.stat().st_size > MAX_CODE_BYTES:
            continue
        module = _Module(current, _parse(code, current))
        for node in ast.walk(module.tree):
            for package, files in _imported(node, current, root):
                module.imports.append((node, package, files))
                waiting += files
        found[current] = module
    first = found.pop(path, None) or _Module(path, ast.Module([], []))
    return [first, *sorted(found.values(), key=lambda module: module.path)]


def _parse(code: Code, path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as err:
        line = f", line {err.lineno}" if isinstance(err, SyntaxError) and err.lineno else ""
        what = err.msg if isinstance(err, SyntaxError) else str(err)
        raise code.refuse(f"{code.reference}: {path.name}{line} is not Python ({what}); fix it") from err


def _imported(node: ast.AST, path: Path, root: _Root) -> Iterator[tuple[str, list[Path]]]:
    """Yield the top package of each import, and the files of it that lie in the root."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            parts = alias.name.split(".")
            yield parts[0], _chain(root.folder, parts) if root.only in {None, parts[0]} else []
    elif isinstance(node, ast.ImportFrom):
        folder = root.folder if node.level == 0 else path.parents[min(node.level, len(path.parents)) - 1]
        parts = node.module.split(".") if node.module else []
        if node.level == 0 and root.only not in {None, *parts[:1]}:
            yield parts[0], []
            return
        files = list(_chain(folder, parts))
        for alias in node.names:
            files += _chain(folder, [*parts, alias.name])
        if node.level and (folder / "__init__.py").is_file():
            files.append(folder / "__init__.py")
        yield ("" if node.level else parts[0]), list(dict.fromkeys(files))


def _chain(folder: Path, parts: list[str]) -> list[Path]:
    """Return the files that importing a dotted name runs, as far as they lie in a folder; itself last."""
    found = []
    for part in parts:
        file, package = folder / f"{part}.py", folder / part
        if (package / "__init__.py").is_file():
            found.append(package / "__init__.py")
        elif file.is_file():
            found.append(file)
        elif not package.is_dir():
            break
        folder = package
    return found


def _check_defines(code: Code, module: _Module, name: str) -> None:
    """Raise where a file is sure not to hold the function."""
    names: set[str] = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.FunctionDef(name=defined) | ast.AsyncFunctionDef(name=defined) | ast.ClassDef(name=defined):
                names.add(defined)
            case ast.Name(id=defined, ctx=ast.Store()):
                names.add(defined)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name.partition(".")[0] for alias in aliases}
    if name not in names and not names & {"*", "__getattr__"}:
        there = [node.name for node in module.tree.body if isinstance(node, ast.FunctionDef)]
        allowed = ", ".join(there) or "there is none; define one"
        raise code.refuse(f"{code.reference}: got no such function in {module.path.name}; allowed: {allowed}")


def _frameworks(modules: list[_Module], name: str) -> frozenset[str]:
    """Return the frameworks that the function reaches; where that shows none, those that any of the files imports."""
    first, *_ = modules
    by_path = {module.path: module for module in modules}
    definitions = {
        node.name: node
        for node in first.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    seen: set[str] = set()
    waiting = [name]
    found: set[str] = set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in first.bindings:
            found |= _of_import(first, current, by_path)
        if current in definitions:
            for node in ast.walk(definitions[current]):
                waiting += [node.id] if isinstance(node, ast.Name) else []
                found |= {FRAMEWORKS[package] for _, package in _bound(node) if package in FRAMEWORKS}
    if found:
        return frozenset(found)
    return frozenset(
        FRAMEWORKS[package] for module in modules for _, package, _ in module.imports if package in FRAMEWORKS
    )


def _of_import(module: _Module, name: str, by_path: dict[Path, _Module]) -> set[str]:
    """Return the frameworks behind a name that an import at the top of the file binds."""
    package = module.bindings[name]
    if package in FRAMEWORKS:
        return {FRAMEWORKS[package]}
    found: set[str] = set()
    waiting = [
        file for node, _, files in module.imports if any(one == name for one, _ in _bound(node)) for file in files
    ]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or path not in by_path:
            continue
        seen.add(path)
        for _, other, files in by_path[path].imports:
            found |= {FRAMEWORKS[other]} if other in FRAMEWORKS else set()
            waiting += files
    return found


def _bound(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each name that an import binds, and the top package behind it."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield alias.asname or top, top
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, (node.module or "").partition(".")[0] if node.level == 0 else ""


def _texts(tree: ast.Module) -> Iterator[str]:
    """Yield every text in a module, and those that `/`, `Path(...)` or `os.path.join(...)` put together."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.BinOp(op=ast.Div()):
                yield "/".join(_joined(node))
            case ast.Call(args=[_, _, *_] as args):
                yield "/".join(
                    one.value for one in args if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )


def _joined(node: ast.expr) -> list[str]:
    match node:
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=str(text))):
            return [*_joined(left), text]
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Call(args=[ast.Constant(value=str(text))]):
            return [text]
        case _:
            return []


def _named_files(text: str, folders: dict[Path, None]) -> Iterator[Path]:
    if not text or len(text) > MAX_NAME or not text.isprintable():
        return
    for folder in folders:
        try:
            path = (folder / text).resolve()
            if path.is_file():
                yield path
                return
        except (OSError, RuntimeError):  # such as a name too long for the file system
            return


_digests: dict[tuple[str, int, int, bool], str] = {}


def _file_digest(path: Path, *, is_code: bool) -> str:
    """Return the SHA-256 of a file, read once as long as it stays as it is; line ends do not count in code."""
    stat = path.stat()
    key = str(path), stat.st_mtime_ns, stat.st_size, is_code
    if key not in _digests:
        with path.open("rb") as file:
            if is_code:
                _digests[key] = hashlib.sha256(file.read().replace(b"\r\n", b"\n")).hexdigest()
            else:
                _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key]
