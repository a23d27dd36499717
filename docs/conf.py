"""Settings of the documentation site; `make docs` builds it with Sphinx."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_extensions")]

import mec_gym  # noqa: E402

project = "mec_gym"
author = "The mec-gym contributors"
copyright = "the mec-gym contributors, MIT licence"
version = release = mec_gym.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "reference",  # ours, in docs/_extensions
]

# -- sources --------------------------------------------------------------------------------------

source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_extensions"]
# Files of the repository that a page here shows; links to them lead to the page.
pages_of_files = {
    "README.md": "index",
    "CHANGELOG.md": "changelog",
    "CITATION.cff": "cite",
    "CONTRIBUTING.md": "contributing",
    "benchmarks/README.md": "benchmarks",
}
myst_heading_anchors = 4  # page.md#a-heading, as on a code forge

smartquotes = False  # "db" is code

# -- API reference --------------------------------------------------------------------------------

api_packages = ["mec_gym", "dirs_agents", "baselines", "mec_bench"]
# Objects that a page written by hand documents.
api_elsewhere = {"mec_gym.envs.offloading.MultiMECEnv": "environment"}

viewcode_follow_imported_members = False  # `reference` names the module that defines
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give type, shape and unit; signatures stay readable
numpydoc_show_class_members = False  # autodoc lists them
numpydoc_xref_param_type = False

# -- strictness -----------------------------------------------------------------------------------

# Every reference must lead somewhere, but for those into other projects: without a network there
# is no inventory of theirs.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(abc|gymnasium|numpy|pettingzoo|stable_baselines3|torch)(\..+)?"),
]

# -- HTML -----------------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"mec_gym {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(ROOT / "docs" / "_static" / "scorer.js")
html_copy_source = False
pygments_dark_style = "a11y-dark"
html_show_sourcelink = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
