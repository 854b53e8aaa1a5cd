"""The report makes text and bytes; folders are read, and files written, by the commands."""

import ast
from collections.abc import Iterator
from pathlib import Path

from clrbench import report

FOLDERS_AND_FILES = {"ResultsFolder", "write_file", "disk_errors"}


def imported(path: Path) -> Iterator[str]:
    """Yield the names that a module imports from others."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def test_no_module_of_the_report_reads_a_folder_or_writes_a_file() -> None:
    modules = sorted(Path(report.__path__[0]).rglob("*.py"))
    assert {path.name: FOLDERS_AND_FILES & set(imported(path)) for path in modules} == {
        path.name: set() for path in modules
    }
