"""Warnings and logs of libraries in a process of its own, as in that of the command and those of its workers."""

import subprocess
import sys

import pytest

NOISE = """
import logging, sys, warnings
from clrbench.silence import silence_libraries
if "silent" in sys.argv:
    silence_libraries()
import numpy as np
np.float32(1e38) * np.float32(1e38)
np.mean([])
warnings.warn("old", FutureWarning)
warnings.warn("of a user", UserWarning)
logging.getLogger("matplotlib.font_manager").warning("no such font")
"""


def noise(*options: str, how: str = "silent") -> str:
    done = subprocess.run([sys.executable, *options, "-c", NOISE, how], capture_output=True, text=True, check=True)
    return done.stderr


def test_nothing_of_libraries_reaches_a_user() -> None:
    assert noise() == ""


def test_without_it_all_of_it_would() -> None:
    said = noise(how="loud")
    assert all(word in said for word in ("overflow", "empty slice", "old", "of a user", "no such font"))


@pytest.mark.parametrize("option", ["-Walways", "-Wdefault"])
def test_who_asks_python_for_warnings_has_them(option: str) -> None:
    assert "overflow" in noise(option)
