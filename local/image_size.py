"""What an image weighs on its way: the sum of its layers, compressed as a registry keeps them.

`python -m local.image_size IMAGE --limit-mb 120` prints it and fails beyond the limit. Owns the arithmetic; Docker
only says what the layers are.
"""

import argparse
import json
import posixpath
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

_MB: Final = 1_000_000
_PIECE_BYTES: Final = 1024 * 1024
# A store that keeps layers compressed hands them over so; those count as they are.
_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_GZIP: Final = 31


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's bytes, on disk and on its way."""

    bytes: int
    compressed: int


def layers(archive: IO[bytes]) -> list[Layer]:
    """Return the layers of the one image in an archive of `docker save`, bottom first."""
    weighed: dict[str, Layer] = {}
    same: dict[str, str] = {}
    listing: list[Mapping[str, Any]] = []
    with tarfile.open(fileobj=archive, mode="r|") as members:
        for member in members:
            if member.issym():
                same[member.name] = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
            content = members.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if member.name == "manifest.json":
                listing = json.load(content)
            else:
                weighed[member.name] = _weigh(content)
    return [weighed[same.get(name, name)] for name in listing[0]["Layers"]]


def _weigh(content: IO[bytes]) -> Layer:
    piece = content.read(_PIECE_BYTES)
    is_compressed = piece.startswith(_COMPRESSED)
    packer = zlib.compressobj(wbits=_GZIP)
    size = packed = 0
    while piece:
        size += len(piece)
        packed += len(piece) if is_compressed else len(packer.compress(piece))
        piece = content.read(_PIECE_BYTES)
    return Layer(size, packed if is_compressed else packed + len(packer.flush()))


def main() -> int:
    """Print each layer and the sum; return 1 when that is beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("--limit-mb", type=float, default=None)
    arguments = parser.parse_args()
    with subprocess.Popen(["docker", "save", arguments.image], stdout=subprocess.PIPE) as saving:
        found = layers(saving.stdout) if saving.stdout else []
    for layer in found:
        print(f"{layer.compressed / _MB:8.1f} MB compressed {layer.bytes / _MB:8.1f} MB on disk")
    total = sum(layer.compressed for layer in found) / _MB
    beyond = arguments.limit_mb is not None and total > arguments.limit_mb
    limit = "" if arguments.limit_mb is None else f" (limit: {arguments.limit_mb:g} MB)"
    print(f"{total:8.1f} MB compressed in all{limit}{': TOO LARGE' if beyond else ''}")
    return int(beyond)


if __name__ == "__main__":
    sys.exit(main())
