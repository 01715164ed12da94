"""The checks of Slicer's extension index, and what its reviewers ask for, made here without a network.

``index.json`` holds what has to be known of the index, with its date and source: categories, extensions that can be
depended on, names of licence files, and the size that a clone may have. To bring it up to date, look into
``scripts/check_description_files.py`` of https://github.com/Slicer/ExtensionsIndex and into its list of files.
"""

from .checks import CHECKS, run_checks
from .extension import Extension, NotChecked

__all__ = ["CHECKS", "Extension", "NotChecked", "run_checks"]
