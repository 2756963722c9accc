"""A directory tree as data: its directories, files and links, as they are kept and as they must be to be placed.

Owns the forms and the rules that make a tree safe to place anywhere: no path and no link leads out of it. Reads no
disk and no store.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from runtime.repository.json_form import Form, typed

ROOT: Final = "."
# A tree is held in memory whole, its files never are: some hundred bytes an entry.
MOST_ENTRIES: Final = 200_000
PERMISSIONS: Final = 0o777

_DIRECTORY: Final[Form] = {"mode": (int,), "mtime_ns": (int,)}
_FILE: Final[Form] = {"mode": (int,), "mtime_ns": (int,), "size": (int,), "sha256": (str,)}
_LINK: Final[Form] = {"target": (str,), "mtime_ns": (int,)}
_TREE: Final[Form] = {"directories": (dict,), "files": (dict,), "links": (dict,)}
_SHA256_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory: permission bits, time of modification in nanoseconds."""

    mode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class File:
    """A file: as a directory, and its bytes, by number and SHA-256."""

    mode: int
    mtime_ns: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link: what it says, never what is there."""

    target: str
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Tree:
    """All of a tree, by path relative to its root; the root itself is the directory `.`."""

    directories: Mapping[str, Directory]
    files: Mapping[str, File]
    links: Mapping[str, Link]

    @property
    def bytes(self) -> int:
        """The sum of the files' sizes."""
        return sum(file.size for file in self.files.values())

    def fields(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "directories": {path: asdict(entry) for path, entry in self.directories.items()},
            "files": {path: asdict(entry) for path, entry in self.files.items()},
            "links": {path: asdict(entry) for path, entry in self.links.items()},
        }

    @classmethod
    def of(cls, fields: Any) -> "Tree":
        """Read what `fields` returned. Raises ValueError when it is not that, or not safe to place."""
        typed(fields, _TREE, "the tree")
        for kind, form in (("directories", _DIRECTORY), ("files", _FILE), ("links", _LINK)):
            for path, entry in fields[kind].items():
                typed(entry, form, repr(path))
        tree = cls(
            {path: Directory(**entry) for path, entry in fields["directories"].items()},
            {path: File(**entry) for path, entry in fields["files"].items()},
            {path: Link(**entry) for path, entry in fields["links"].items()},
        )
        _check(tree)
        return tree


def _check(tree: Tree) -> None:
    """Raise ValueError unless placing it makes exactly these entries, all below its root."""
    if ROOT not in tree.directories:
        raise ValueError("the tree has no root")
    below = [*tree.files, *tree.links, *(path for path in tree.directories if path != ROOT)]
    if len(set(below)) != len(below):
        raise ValueError("one path is two things")
    for path in below:
        if {"", ".", ".."} & set(path.split("/")) or "\0" in path:
            raise ValueError(f"{path!r} is no path in a tree")
        if parent(path) not in tree.directories:
            raise ValueError(f"{path!r} is in no directory of the tree")
    _check_entries(tree)


def _check_entries(tree: Tree) -> None:
    for mode in (entry.mode for kind in (tree.directories, tree.files) for entry in kind.values()):
        if not 0 <= mode <= PERMISSIONS:
            raise ValueError("a mode is more than permission bits")
    for file in tree.files.values():
        if file.size < 0 or len(file.sha256) != _SHA256_CHARACTERS or set(file.sha256) - set("0123456789abcdef"):
            raise ValueError("a size or a hash is none")
    for path, link in tree.links.items():
        if reason := leads_out(path, link.target):
            raise ValueError(f"the link {path!r} {reason}")


def parent(path: str) -> str:
    """Return the directory that a path is in."""
    return path.rpartition("/")[0] or ROOT


def leads_out(path: str, target: str) -> str:
    """Say why a link might lead out of its tree, '' when it cannot, whatever other links it passes.

    Every directory on the way to the link is a real one, so as many `..` as there are lead to the root at most; after
    a name, which may itself be a link, no `..` may follow.
    """
    if not target or "\0" in target:
        return "says nothing"
    if target.startswith("/"):
        return f"is absolute: {target!r}"
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = parts.count("..")
    if ups > path.count("/"):
        return f"leads out of the directory: {target!r}"
    if ".." in parts[ups:]:
        return f"goes back after a name: {target!r}"
    return ""
