"""/status: one page for a person who asks whether the data is safe; the same facts as JSON for a program.

Owns what is on the page and its headers: nothing from anywhere else, no script, no inline style but its own. The
layout is the template's, the words are in `words`, the drawing's arithmetic in `chart`.
"""

import asyncio
import base64
import datetime as dt
import hashlib
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from runtime.api import chart, view, words
from runtime.api.overview import Overview
from runtime.instance import Instance
from runtime.settings import Settings

_FOLDER: Final = Path(__file__).parent


class Page:
    """The handler."""

    def __init__(self, instance: Instance, settings: Settings, overview: Overview) -> None:
        self._instance = instance
        self._settings = settings
        self._overview = overview

    async def status(self, request: web.Request) -> web.Response:
        """Return the page to browsers, JSON to everybody else."""
        _, health = view.health(self._instance, self._settings)
        seen = await self._overview.look(self._instance.writing.base.name)
        backups = [asdict(backup) for backup in seen.backups] if seen else []
        facts = {
            "health": health,
            "backups": backups,
            "backups_in_all": seen.count if seen else None,
            "backups_unverified": seen.unverified if seen else None,
            "reachable_from": seen.reachable_from if seen else None,
            "bucket_error": self._overview.error,
            "recent": [asdict(done) for done in self._instance.writing.history.recent],
        }
        if "text/html" not in request.headers.get("accept", ""):
            return web.json_response(facts, headers={"Cache-Control": "no-store"})
        text = await asyncio.to_thread(render, facts, dt.datetime.now(dt.UTC))
        return web.Response(text=text, content_type="text/html", charset="utf-8", headers=page_headers())


def render(facts: dict[str, Any], now: dt.datetime) -> str:
    """Return the page for these facts at this moment."""
    health = facts["health"]
    done = {entry["manifest"].removeprefix("manifests/").removesuffix(".json"): entry for entry in facts["recent"]}
    backups = [
        {**backup, "age": words.age(backup["created_at"], now), **_took(done.get(backup["id"]))}
        for backup in facts["backups"]
    ]
    target, since = health["backup"]["target_seconds"], facts["reachable_from"]
    oldest_first = [backup for backup in reversed(backups) if not backup["damaged"]]
    return _template().render(
        facts,
        style=_style(),
        verdict=words.verdict(health),
        backups=backups,
        newest=backups[0] if backups else None,
        charts=[
            ("Size", words.size, _row(oldest_first, "bytes", words.size)),
            ("Time it took", words.duration, _row(oldest_first, "seconds", words.duration)),
            (
                "Age of the oldest write in it",
                words.duration,
                _row(oldest_first, "age_seconds", words.duration, target),
            ),
        ],
        reachable=None if since is None else dt.datetime.fromtimestamp(since, dt.UTC),
        words=words,
        chart=chart,
        now=now,
    )


def page_headers() -> dict[str, str]:
    """Return the headers that keep the page to itself."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _took(entry: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "seconds": entry["seconds"] if entry else None,
        "age_seconds": entry["age_seconds"] if entry else None,
    }


def _row(backups: list[dict[str, Any]], key: str, said: Any, target: float | None = None) -> dict[str, Any]:
    values = [(backup[key], f"{backup['id']}: {said(backup[key])}") for backup in backups]
    known = [value for value, _ in values if value is not None]
    return {
        "row": chart.row(values, target),
        "newest": known[-1] if known else None,
        "largest": max(known) if known else None,
        "target": target,
    }


@cache
def _style() -> str:
    return (_FOLDER / "status.css").read_text()


@cache
def _template() -> Template:
    loader = FileSystemLoader(_FOLDER)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("status.html.j2")
