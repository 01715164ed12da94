"""Model bundles: load, verify, list, import, export, save.

A bundle is a folder, or a zip of it, with ``bundle.json`` and ``weights.safetensors``; never a pickle.
"""

from __future__ import annotations

from .bundle import SCHEMA, Bundle, Role, bundle_schema
from .locations import shipped_folders, user_folder
from .saving import save_bundle
from .store import (
    Inventory,
    default_bundle,
    export_bundle,
    import_bundle,
    inventory,
    is_shipped,
    list_bundles,
    load_bundle,
    remove_bundle,
    verify,
)

__all__ = [
    "SCHEMA",
    "Bundle",
    "Inventory",
    "Role",
    "bundle_schema",
    "default_bundle",
    "export_bundle",
    "import_bundle",
    "inventory",
    "is_shipped",
    "list_bundles",
    "load_bundle",
    "remove_bundle",
    "save_bundle",
    "shipped_folders",
    "user_folder",
    "verify",
]
