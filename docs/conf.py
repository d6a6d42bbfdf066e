"""The site: `python -m sphinx -W --keep-going -b html docs OUT`, with the extra `docs` installed.

The pages are written for GitHub and stay as they are; what the site adds to them is in _site/. Their order is in
index.md, where a new page needs a line. No page loads anything from another host.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_site"), str(Path(__file__).parent.parent)]

project = "tinynet"
author = "the authors of tinynet"
html_title = "tinynet"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.linkcode", "docstrings", "formulas", "sources"]
root_doc = "index"
smartquotes = False  # GitHub has none
exclude_patterns = ["_site", "_build"]

# Markdown as GitHub reads it
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

# The API: what a module exports, in the order of its __all__
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
pygments_style = "default"
pygments_dark_style = "native"


def linkcode_resolve(domain, info):
    """The [source] links of the API."""
    from sources import where

    return where(info["module"], info["fullname"])
