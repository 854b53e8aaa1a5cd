"""The release: one version everywhere, and the check of what is handed out finds what is wrong."""

import re

import pytest
import yaml
from distribution import IN_WHEEL, KEPT_OUT, ROOT, check

from clrbench import __version__


def test_every_file_that_states_the_version_states_the_same() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == __version__


def test_an_archive_that_holds_what_it_should_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    check("some.whl", IN_WHEEL, IN_WHEEL, KEPT_OUT)
    assert capsys.readouterr().out == "some.whl: 3 files\n"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (IN_WHEEL - {"clrbench/py.typed"}, "missing ['clrbench/py.typed']"),
        (IN_WHEEL | {"results/one/runs/a/steps.csv"}, "too much ['results/one/runs/a/steps.csv']"),
        (IN_WHEEL | {".venv/bin/python", "clrbench/__pycache__/a.pyc"}, "too much ['.venv/bin/python', 'clrbench/__py"),
    ],
)
def test_what_is_missing_or_too_much_is_named(names: set[str], said: str) -> None:
    with pytest.raises(SystemExit, match=re.escape(said)):
        check("some.whl", names, IN_WHEEL, KEPT_OUT)
