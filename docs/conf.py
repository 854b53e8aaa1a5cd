"""How Sphinx builds the site: `make docs`."""

from clrbench import __version__

project = "clrbench"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
exclude_patterns = ["_build", "generate.py"]
myst_heading_anchors = 3
autodoc_typehints = "description"
