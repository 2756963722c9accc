"""Renews the pictures of the status page: `make screenshots`.

Starts an instance, writes until it has backups of several sizes, and looks at its page with a real browser.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from local.bucket import bucket_emulator
from tests.api.browser import browser, find_browser
from tests.docs.pages import ROOT
from tests.support.instances import Fleet, Instance
from tests.support.workload import make, put_numbers

IMAGES = ROOT / "docs" / "images"
LARGEST_BYTES = 150_000
WIDTH = 1000
_BACKUPS = 7
_VERIFIED = 4  # the number of the backup that is verified


def main() -> None:
    """Write docs/images/status-light.png and status-dark.png."""
    program = find_browser()
    if program is None:
        sys.exit("No Chromium was found. Install one (apt-get install chromium) and run this again.")
    asyncio.run(_renew(program))


async def _renew(program: str) -> None:
    """Start an instance, and take its pictures."""
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        async with bucket_emulator() as emulator:
            bucket = {"BACKUP_URL": "gs://backups/qdrant", "STORAGE_EMULATOR_HOST": emulator}
            with Fleet(Path(folder), **bucket) as fleet:
                await _look(program, await asyncio.to_thread(_written, fleet))


def _written(fleet: Fleet) -> Instance:
    """Return an instance with some history."""
    first = fleet.start()
    make(first, "books")
    put_numbers(first, "books", range(500))
    first.terminate()
    second = fleet.start(BACKUP_QUIET_SECONDS="60", BACKUP_MAX_AGE_SECONDS="60")
    for number in range(_BACKUPS):
        put_numbers(second, "books", range(500 + number * 80, 580 + number * (90 + number)))
        second.save()
        if number == _VERIFIED:
            assert fleet.command("verify", "--deep").returncode == 0
    return second


async def _look(program: str, instance: Instance) -> None:
    """Take a picture in each colour scheme."""
    async with browser(program) as page:
        await page.open(f"{instance.url}/status")
        for scheme in ("light", "dark"):
            file = IMAGES / f"status-{scheme}.png"
            await page.look(file, width=WIDTH, dark=scheme == "dark")
            size = file.stat().st_size
            print(f"{file.relative_to(ROOT)}: {size:,} bytes")  # noqa: T201 - said to a person
            if size > LARGEST_BYTES:
                sys.exit(f"{file} has {size:,} bytes, more than {LARGEST_BYTES:,}: make less, or a narrower page")


if __name__ == "__main__":
    main()
