"""What an image is built from, as one short name.

Owns the digest of the build's input files, which becomes the image's tag: a changed file is a changed tag in
the preview, and a tag says which sources an image came from. Builds nothing.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pulumi

from components.choices import ImageSource


def digest_of_sources(source: ImageSource) -> str:
    """Return a name for the content that an image is built from; a missing file is an error."""
    digest = hashlib.sha256(repr(sorted(source.build_args.items())).encode())
    for name in sorted((source.dockerfile, *source.files)):
        for path in _files(source.root / name):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(source.root).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:12]


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise pulumi.RunError(
            f"{path.name} is missing, the image cannot be built. Run pulumi in the project's folder, "
            "or set image to one by digest."
        )
    for child in sorted(path.iterdir()):
        if child.name != "__pycache__" and not child.name.startswith("."):
            yield from _files(child)
