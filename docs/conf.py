"""How the documentation is built; `make docs` runs it with warnings as errors."""

import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref

ROOT = Path(__file__).parents[1]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "napari_mmssl"
author = "napari_mmssl maintainers"
project_copyright = f"{author}, Apache-2.0"
version = release = _PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "evidence"]
# One page per module into docs/reference/modules, which git ignores.
autosummary_generate = True
autosummary_ignore_module_all = False

# Headings can be linked to, and $...$ is a formula.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
# What a fenced block is for, `sh` or `python`, decides its colours; output without a language has none.
highlight_language = "none"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# A name that a module only passes on is explained where it is from.
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "napari_sphinx_theme"
html_title = f"napari_mmssl {version}"
html_static_path = []
html_show_sourcelink = False


def _leave_words(app: Any, document: nodes.document) -> None:
    """Turn links to files and folders that are no pages into their words; they lead somewhere where code is read."""
    page = Path(document["source"]).parent
    for link in list(document.findall(pending_xref)):
        target = link.get("reftarget", "")
        is_file = any((base / target).exists() for base in (page, ROOT, ROOT / "docs"))
        is_text = link.get("refdomain") == "doc" and target not in app.env.found_docs and Path(f"{target}.md").exists()
        if (link.get("reftype") == "myst" and is_file) or is_text:
            link.replace_self(nodes.inline("", "", *link.children))


def setup(app: Any) -> None:
    """Let links to code and folders stand in the pages."""
    app.connect("doctree-read", _leave_words)
