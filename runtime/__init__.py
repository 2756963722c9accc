"""What runs in the container: restore, serve, back up, hand over; and what applications use of it.

The names below are imported when they are first used: an instance starts through this package and needs none of them.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from runtime.client import Backups
    from runtime.directories import download_directory, list_directories, upload_directory

__all__ = ["Backups", "download_directory", "list_directories", "upload_directory"]

_MODULES: Final = {
    "Backups": "runtime.client",
    "download_directory": "runtime.directories",
    "list_directories": "runtime.directories",
    "upload_directory": "runtime.directories",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
