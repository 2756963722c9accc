import subprocess
import sys

import pytest

from local.docker_engine import IMAGE
from tests.image.docker import ROOT, base_images, why_not

pytestmark = pytest.mark.timeout(300)


def test_the_demo_runs_on_the_official_image() -> None:
    """`make demo ENGINE=docker` ends with everything verified, also where standard input is closed."""
    reason = why_not()
    if reason is not None or base_images()["QDRANT_IMAGE"] != IMAGE:
        pytest.skip(reason or f"the demo runs {IMAGE}")
    done = subprocess.run(
        [sys.executable, "-m", "local.demo", "--engine", "docker"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "verified: 2,157 points" in done.stdout
