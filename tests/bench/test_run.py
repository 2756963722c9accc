"""The benchmarks run from beginning to end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUBJECTS = ("ending", "link")


@pytest.mark.timeout(240)
def test_a_tiny_run_measures_every_figure_and_writes_the_page(tmp_path: Path) -> None:
    """Instance, engine alone, stock way, bucket behind a link and page work together; no goal is left unmeasured."""
    page = tmp_path / "benchmarks.md"
    done = subprocess.run(
        [sys.executable, "-m", "bench", *SUBJECTS, "--sizes", "tiny", "--json", "--page", str(page)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {subject["name"]: subject for subject in json.loads(done.stdout)["subjects"]}
    assert tuple(found) == SUBJECTS
    assert all(figure["samples"] for subject in found.values() for figure in subject["figures"])
    assert all(f"## {subject['title']}" in page.read_text() for subject in found.values())
