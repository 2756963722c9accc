"""What every test of the infrastructure finds."""

import pytest

from tests.infra.recorder import bring_loop


@pytest.fixture(autouse=True)
def pulumi_has_a_loop() -> None:
    """Bring the loop before anything makes an output, be it a configuration's secret."""
    bring_loop()
