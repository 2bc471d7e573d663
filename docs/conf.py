"""How the documentation is built: ``sphinx-build -nW --keep-going docs build/docs``. Nothing is fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

import patmiddleware

project = "patmiddleware"
author = "the patmiddleware authors"
project_copyright = author
version = release = patmiddleware.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
# A block that names no language is a drawing or plain output; Sphinx would colour it as Python.
highlight_language = "text"
html_theme = "furo"
html_title = f"patmiddleware {release}"
html_static_path: list[str] = []

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Names of the standard library and of drivers: their documentation would have to be fetched. And those of modules
# that no page documents, since only the front door is promised.
nitpick_ignore_regex = [("py:.*", r".*")]

_HERE = Path(__file__).parent
_GLOB = re.compile(r"^[a-z]+\*\n", re.MULTILINE)
_AWAY = re.compile(r"\]\((\.\./[^)#]*?)(/?)(#[^)]*)?\)")


def lead_away(app: Any, name: str, source: list[str]) -> None:
    """Let links to files outside of the pages lead to a copy: to the README of a folder, and without a heading."""
    source[0] = _AWAY.sub(lambda found: f"](path:{found[1]}{'/README.md' if found[2] else ''})", source[0])


def leave_out_empty(app: Any, name: str, source: list[str]) -> None:
    """Leave a pattern that no page matches out of the tree, where it would be a warning."""
    source[0] = _GLOB.sub(lambda found: found[0] if any(_HERE.glob(f"{found[0].strip()}.md")) else "", source[0])


def setup(app: Any) -> None:
    """Prepare Sphinx."""
    # Diagrams are shown as text: no script is loaded to draw them.
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", lead_away)
    app.connect("source-read", leave_out_empty)
