"""Small files of the storage folder, written so that a kill leaves the old or the new one, never half."""

import json
import secrets
from pathlib import Path

from local.engine.refusal import Json


def write_json(path: Path, content: Json) -> None:
    """Replace a file with compact JSON, in one step."""
    write_text(path, json.dumps(content, separators=(",", ":"), ensure_ascii=False))


def write_text(path: Path, content: str) -> None:
    """Replace a file's content in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    waiting.write_text(content)
    waiting.replace(path)


def read_json(path: Path) -> Json:
    """Answer the JSON in a file, or None if there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
