import pytest

from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import DEV, PROD


@pytest.fixture(scope="session")
def dev() -> Recorder:
    """Return the dev stack."""
    return deploy(DEV)


@pytest.fixture(scope="session")
def prod() -> Recorder:
    """Return the prod stack."""
    return deploy(PROD, stack="prod")
