"""What may be the name of an object, in every store alike.

Owns the refusal of names that a bucket would not take or that would lead out of a directory: names also
come out of manifests, which somebody else may have written. Owns no layout.
"""

import re
from typing import Final

from runtime.errors import StoreDenied

# Cloud Storage's limit; a file's own name is limited to 255 bytes by the file system besides.
MAX_NAME_BYTES = 1024

_UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def checked_name(name: str) -> str:
    """Return the name if every store could hold an object of it. Raises StoreDenied."""
    if _UNWRITABLE.search(name) or len(name.encode()) > MAX_NAME_BYTES or {"", ".", ".."} & set(name.split("/")):
        raise StoreDenied(
            f"No object can be named {name!r}",
            hint="Names are relative, at most 1024 bytes, without '.', '..', empty parts and controls",
        )
    return name
