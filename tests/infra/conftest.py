import pytest

from tests.infra.recorder import Recorder, bring_loop, deploy
from tests.infra.stacks import DEV, PROD


@pytest.fixture(scope="session")
def dev() -> Recorder:
    """Return the dev stack."""
    return deploy(DEV)


@pytest.fixture(scope="session")
def prod() -> Recorder:
    """Return the prod stack."""
    return deploy(PROD, stack="prod")


@pytest.fixture(autouse=True)
def pulumi_has_a_loop() -> None:
    """Bring the loop before anything makes an output, be it a configuration's secret."""
    bring_loop()
