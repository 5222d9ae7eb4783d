"""The documentation site: ``make docs`` builds it, without network and without warnings.

With ``DOCS_ONLINE=1`` names of torch, NumPy and scikit-learn are looked up in their whole
inventories, which are fetched; without it, in the few lines of ``extensions/inventories.py``.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent / "src")]

import inventories  # noqa: E402  # beside this file

from autoregress.version import __version__  # noqa: E402

project = "autoregress"
author = copyright = "the autoregress developers"
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.linkcode",
    "sphinx.ext.napoleon",
    "generated",
    "notebooks",
    "sources",
]
exclude_patterns = ["_build", "extensions"]

html_theme = "furo"
html_title = f"autoregress {__version__}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "tango"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"Array": "Array", "Choose": "Choose", "Unrolling": "Unrolling"}
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

intersphinx_mapping = {
    name: (url, None if os.environ.get("DOCS_ONLINE") else inventories.write(name))
    for name, (url, _) in inventories.ELSEWHERE.items()
}
