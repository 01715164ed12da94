"""Damaged, wrong, hostile, empty and mislabelled input: a table of cases, a module for each kind of input."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
