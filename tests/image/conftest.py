import asyncio
from collections.abc import Iterator

import pytest

from local.bucket import bucket_emulator
from tests.image.docker import built, why_not


@pytest.fixture(scope="session")
def image() -> str:
    """Build the image, or skip and say what is missing."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    return built()


@pytest.fixture
def bucket() -> Iterator[str]:
    """Run an emulated bucket that containers on the host's network reach."""
    with asyncio.Runner() as runner:
        emulator = bucket_emulator()
        url = runner.run(emulator.__aenter__())
        try:
            yield url
        finally:
            runner.run(emulator.__aexit__(None, None, None))
