"""What every test run has in common."""

from hypothesis import HealthCheck, settings

# A busy machine is no failure, and a test that fails says how to see it again; `--hypothesis-seed` tries others.
settings.register_profile(
    "house", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")
