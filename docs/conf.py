"""Sphinx settings. ``make docs`` builds with warnings as errors."""

from packhorse import __version__

project = "Packhorse"
author = "The Packhorse authors"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "reference.py"]
html_theme = "furo"
html_title = f"Packhorse {__version__}"
html_copy_source = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
nitpicky = False
