"""One process of a race: `python -m tests.support.directory_worker VERB ROOT NAME NUMBER`."""

import asyncio
import sys
from pathlib import Path

from runtime.errors import AlreadyExists, ObjectMissing, PreconditionFailed
from runtime.repository.directory import DirectoryStore


async def create(store: DirectoryStore, me: str, names: int) -> None:
    """Try to create every name, and print those that were won."""
    for number in range(names):
        try:
            await store.write_new(f"claims/{number}", f"{me}\n".encode() * 1000)
        except AlreadyExists:
            continue
        print(number)  # noqa: T201 - how the test learns it


async def count(store: DirectoryStore, _me: str, steps: int) -> None:
    """Add one to a shared counter, as often as asked, by compare and swap."""
    done = 0
    while done < steps:
        try:
            content, generation = await store.read("counter")
        except ObjectMissing:
            content, generation = b"0", 0
        try:
            await store.swap("counter", b"%d" % (int(content) + 1), generation)
        except PreconditionFailed:
            continue
        done += 1


class Endless:
    """Gives bytes for ever."""

    def read(self, size: int) -> bytes:
        """Return as many as asked."""
        return bytes(size)


async def write_for_ever(store: DirectoryStore, me: str, _: int) -> None:
    """Create, swap and upload until killed."""
    print("started", flush=True)  # noqa: T201 - how the test learns it
    number = 0
    generation = 0
    while True:
        body = f"{me} {number} ".encode() * 50_000
        await store.write_new(f"objects/{me}/{number}", body)
        generation = (await store.swap(f"heads/{me}", body, generation)).generation
        number += 1


async def upload_for_ever(store: DirectoryStore, me: str, _: int) -> None:
    """Upload a stream that has no end until killed."""
    print("started", flush=True)  # noqa: T201 - how the test learns it
    await store.upload(f"packs/{me}", Endless())


VERBS = {"create": create, "count": count, "write": write_for_ever, "upload": upload_for_ever}


async def main() -> None:
    """Do what the arguments say."""
    verb, root, me, number = sys.argv[1:]
    store = DirectoryStore(Path(root))
    await VERBS[verb](store, me, int(number))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
