"""How one variable of the environment is written: each function here reads a text and returns its value.

Every one raises ValueError with what the text must be. Owns no variable, no default, and nothing that is only wrong
together with another.
"""

import math
import re
import urllib.parse
from collections.abc import Callable
from typing import Any, get_args

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_ACCOUNT = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")


def choice(kind: Any) -> Callable[[str], Any]:
    """Return a reader of one of a Literal's words."""
    allowed = get_args(kind)

    def parse(text: str) -> Any:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def port(text: str) -> int:
    """Read a port number."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError("must be a port number from 1 to 65535")
    return int(text)


def number(low: float, high: float, what: str = "a number") -> Callable[[str], float]:
    """Return a reader of a number within these limits, both included."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be {what} from {low:g} to {high:g}")
        return value

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of a number of seconds within these limits, both included."""
    return number(low, high, "a number of seconds")


def flag(text: str) -> bool:
    """Read a yes or a no."""
    match text.lower():
        case "true" | "1" | "yes":
            return True
        case "false" | "0" | "no":
            return False
    raise ValueError("must be true or false")


def backup_url(text: str) -> str:
    """Read where backups are kept; returned without a slash at its end."""
    url = urllib.parse.urlsplit(text)
    if url.query or url.fragment or not text.isprintable():
        raise ValueError("must have no ? and no # part, and no control characters")
    path = url.path.rstrip("/").removeprefix("/")
    if path and {"", ".", ".."} & set(path.split("/")):
        raise ValueError("must have no empty part, no '.' and no '..' in its path")
    if url.scheme == "gs":
        if not BUCKET.fullmatch(url.netloc):
            raise ValueError("must name a bucket: gs://BUCKET or gs://BUCKET/PREFIX")
    elif url.scheme == "file":
        if url.netloc or not url.path.startswith("/") or not path:
            raise ValueError("must name an absolute directory: file:///DIRECTORY")
    else:
        raise ValueError("must be gs://BUCKET/PREFIX or file:///DIRECTORY")
    return text.rstrip("/")


def names(text: str) -> tuple[str, ...]:
    """Read names with commas between; none is an empty tuple."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def accounts(text: str) -> tuple[str, ...]:
    """Read service accounts' emails with commas between."""
    accounts = names(text)
    wrong = [account for account in accounts if not _ACCOUNT.fullmatch(account)]
    if wrong:
        raise ValueError(f"must be service account emails, comma-separated; not one: {', '.join(wrong)}")
    return accounts


def engine_url(text: str) -> str:
    """Return the address of a Qdrant, without a slash at its end."""
    url = urllib.parse.urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname or not text.isprintable() or " " in text:
        raise ValueError("must be http://HOST:PORT or https://HOST:PORT")
    if url.username or url.password or url.query or url.fragment:
        raise ValueError("must have no user, no ? and no # part: the key has a variable of its own")
    if url.port == 0:
        raise ValueError("must have a port from 1 to 65535")
    return text.rstrip("/")


def key(text: str) -> str:
    """Read a key, as an HTTP header can carry it."""
    if not text.isprintable() or not text.isascii() or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    return text
