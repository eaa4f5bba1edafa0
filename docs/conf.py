"""Sphinx configuration of the documentation site: `make docs` builds it (ADR 0125).

The source folder is the repository, so that links between the Markdown files of all folders work on the site as they do
in the repository.
"""

from pathlib import Path

from sphinx.application import Sphinx

from thale._version import __version__

project = "thale"
author = "The thale authors"
project_copyright = "The thale authors"
version = release = __version__

root_doc = "docs/index"
exclude_patterns = ["docs/adr/template.md"]
include_patterns = [
    "*.md",
    "docs/**",
    *(f"{folder}/*.md" for folder in ("kubernetes", "loadtests", "model-server", "observability", "terraform")),
    "observability/otel/*.md",
    "tests/brapi/*.md",
    "tests/kubernetes/schemas/*.md",
]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
suppress_warnings = ["misc.highlighting_failure"]  # the lexer does not know recorded metrics, whose names have colons

myst_heading_anchors = 4

autodoc_typehints = "description"
autodoc_member_order = "bysource"

html_theme = "sphinx_rtd_theme"
html_title = f"thale {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

_START_PAGE = f"""<!doctype html>
<meta charset="utf-8">
<title>thale</title>
<meta http-equiv="refresh" content="0; url={root_doc}.html">
"""


def _write_start_page(app: Sphinx, error: Exception | None) -> None:
    """Write the page at the root of the site, which leads to the index."""
    if error is None:
        (Path(app.outdir) / "index.html").write_text(_START_PAGE)


def setup(app: Sphinx) -> None:
    """Connect the start page to the end of the build."""
    app.connect("build-finished", _write_start_page)
