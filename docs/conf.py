"""The site's configuration for Sphinx: `make docs` builds it, without network.

What stands elsewhere in the repository (notebooks, benchmarks' READMEs, docstrings) is brought in
when the site is built, by `assembled` and `reference`, so that nothing stands twice in git.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

import assembled
import reference

from pyroshift._version import __version__

assembled.write(HERE)
reference.write(HERE)

project = "pyroshift"
author = "the pyroshift contributors"
copyright = author
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_design",
    "sphinx_copybutton",
    "reference",
    "equations",
    "site_map",
]
exclude_patterns = ["_build", "_inventories"]

html_theme = "furo"
html_title = "pyroshift"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"  # of `equations`: drawn by the browser, no script from elsewhere

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are executed by `make notebooks`, and tested as they are
nb_merge_streams = True
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

highlight_language = "none"  # of what has no language: stories, drawings, commands
default_role = "known"  # of `reference`: a public name is a link, all else is code
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]

# An inventory that can't be had leaves its links out, and the build is the same but for that.
intersphinx_mapping = assembled.inventories(HERE / "_inventories")
nitpicky = True
nitpick_ignore_regex = [
    # Of other packages: links where there is an inventory, which a build without network has not.
    (r"py:.*", r"(?!pyroshift\b).*"),
    # Ours that aren't public: they stand in signatures, and have no page.
    (r"py:.*", r"pyroshift\.[a-z].*"),
]
