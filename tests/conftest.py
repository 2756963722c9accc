"""What every test run has in common."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

# A busy machine is no failure, and a test that fails says how to see it again; `--hypothesis-seed` tries others.
settings.register_profile(
    "house", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

# No test speaks TLS, and loading the machine's authorities takes longer than most requests: once at the start of each
# process, and for each client that is made.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "fixtures" / "nobody.pem")
