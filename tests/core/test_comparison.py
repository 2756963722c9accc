import pytest

from runtime.comparison import refuse_newer
from runtime.errors import EngineError
from tests.support.manifests import manifest


@pytest.mark.parametrize(("backup", "engine"), [("1.18.3", "1.18.1"), ("1.18.3", "1.19.0"), ("1.9.7", "1.10.0")])
def test_a_backup_of_the_same_or_an_older_minor_version_is_taken(backup: str, engine: str) -> None:
    """Patch versions do not count, and minor versions are numbers, not text."""
    refuse_newer(manifest(qdrant_version=backup), engine)


@pytest.mark.parametrize(("backup", "engine"), [("1.19.0", "1.18.3"), ("1.10.0", "1.9.7"), ("2.0.0", "1.19.0")])
def test_a_backup_of_a_newer_minor_version_is_refused_with_the_version_that_fits(backup: str, engine: str) -> None:
    """Nobody promises that an older Qdrant opens it; the message names the one to deploy."""
    with pytest.raises(EngineError, match=f"the backup was made by Qdrant {backup}") as refused:
        refuse_newer(manifest(qdrant_version=backup), engine)

    assert refused.value.hint == f"Deploy the image with Qdrant v{backup}"
