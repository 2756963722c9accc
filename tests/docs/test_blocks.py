"""Every code block of the documentation is run, checked, or said to be only looked at."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.commands import FLAGS, LOOKED_AT, NoSuchCommandError, check, commands
from tests.docs.pages import NAMES, ROOT, Block, blocks, inline_code
from tests.support.instances import EMBEDDED, REAL_ENGINE, Fleet, environment, free_ports

# What stands for what in a page that is run: the reader's machine is the tests' own.
RUN = ("README.md", "docs/get-started.md", "docs/operations.md")
STARTS_ITS_OWN = ("docs/get-started.md",)
RUN_ELSEWHERE = {
    "components/README.md": "tests/infra/test_docs.py runs its python blocks under the mocks",
    "docs/application.md": "tests/instance/test_application.py runs its python blocks",
}
SHELL, PYTHON = ("sh", "console"), "python"
SECONDS = 90

ALL = [block for name in NAMES for block in blocks(name)]


def is_run(block: Block) -> bool:
    """Whether a block is run: `sh` and `python` are, in pages that are; `console` needs what tests have not."""
    return block.page in RUN and block.language in ("sh", PYTHON)


@pytest.mark.parametrize("block", ALL, ids=str)
def test_every_block_is_of_a_kind_that_something_looks_at(block: Block) -> None:
    """`sh` and `python` run, `console` is checked word by word, `json` and `yaml` parse, `text` is no command."""
    match block.language:
        case "sh" | "console":
            assert list(commands(block.text))
        case "python":
            assert is_run(block) or block.page in RUN_ELSEWHERE, f"{block}: add its page to RUN"
            compile(block.text, str(block), "exec")
        case "json":
            json.loads(block.text)
        case "yaml":
            yaml.safe_load(block.text)
        case "text":
            typed = [
                line for line in block.text.splitlines() if re.match(r"\s*\$? ?(make|python|pulumi|gcloud) ", line)
            ]
            assert typed == [], f"{block}: commands belong in `sh` (run) or `console` (checked)"
        case other:
            pytest.fail(f"{block}: {other or 'no language'} is of no kind; see tests/docs/test_blocks.py")


@pytest.mark.parametrize("block", [b for b in ALL if b.language in SHELL and not is_run(b)], ids=str)
def test_what_is_not_run_can_be_typed(block: Block) -> None:
    """Targets, commands, flags, keys and values of a block exist; other programs' commands are known ones."""
    stack: dict[str, str] = {}
    for command in commands(block.text):
        check(command, stack)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("make coffee", "no target"),
        ("python -m runtime list --limits 3", "No such option"),
        ("python -m runtime brew", "no command"),
        ("python -m runtime export", "Missing argument"),
        ("pulumi config set height small", "no key"),
        ("pulumi config set apiKey 0123456789", "apiKey is a secret"),
        ("pulumi stack output urls", "no output"),
        ("export BACKUP_URLS=gs://b", "no variable"),
        ("gcloud beta run", "neither checked nor known"),
        ("gcloud run services describe x --zone y", "--zone"),
    ],
)
def test_what_cannot_be_typed_is_found(command: str, why: str) -> None:
    """A misspelt target, command, flag, key, output or variable fails a page."""
    with pytest.raises(NoSuchCommandError, match=re.escape(why)):
        check(command)


def test_nothing_is_excused_that_no_page_needs() -> None:
    """Each command and flag that is only looked at stands on a page."""
    typed = [" ".join(command.split()) for b in ALL if b.language in SHELL for command in commands(b.text)]
    typed += [command for name in NAMES for command in commands_in_sentences(name)]

    assert [known for known in LOOKED_AT if not any(line.startswith(known) for line in typed)] == []
    assert {flag for flag in FLAGS if not any(flag in line for line in typed)} == set()


NAMED = ("make X", "pulumi config set", "pulumi config set KEY VALUE", "pulumi config set invokers …")


def commands_in_sentences(page: str) -> list[str]:
    """Return what running text tells to type; what has a gap, or only begins, cannot be typed as it stands."""
    begins = ("make ", "pulumi ", "gcloud ", "python -m runtime ")
    return [
        code.replace("\n", " ")
        for code in inline_code(page)
        if code.startswith(begins) and code not in NAMED and not ("…" in code and "runtime" in code)
    ]


@pytest.mark.parametrize("page", NAMES)
def test_commands_within_sentences_exist(page: str) -> None:
    """Targets, commands, flags and keys that running text names are there, as in blocks."""
    for command in commands_in_sentences(page):
        check(command)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run one instance with a collection and a backup; yield what a shell needs to talk to it."""
    with Fleet(tmp_path_factory.mktemp("docs")) as fleet:
        instance = fleet.start()
        instance.result("PUT", "/collections/books", {"vectors": {"size": 4, "distance": "Cosine"}})
        point = {"id": 1, "vector": [0.9, 0.1, 0.1, 0.1], "payload": {"title": "Middlemarch"}}
        instance.result("PUT", "/collections/books/points?wait=true", {"points": [point]})
        instance.save()
        yield dict(instance.settings)


def session(page: str) -> str:
    """Return the blocks of a page that are run, in order, as one shell script."""
    parts = ["set -euo pipefail"]
    for block in filter(is_run, blocks(page)):
        parts.append(f"echo '== {block}' >&2")
        parts.append(f"python - <<'PYTHON'\n{block.text}PYTHON" if block.language == PYTHON else block.text)
    return "\n".join(parts)


@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_run_one_after_the_other(page: str, served: dict[str, str], tmp_path: Path) -> None:
    """What a reader types from top to bottom succeeds, on an instance that they start or that is there."""
    for entry in ROOT.iterdir():
        if entry.name not in ("data", "build", ".git"):
            (tmp_path / entry.name).symlink_to(entry)
    public, agent, http, grpc = map(str, free_ports(4))
    own = {"PORT": public, "AGENT_PORT": agent, "QDRANT_HTTP_PORT": http, "QDRANT_GRPC_PORT": grpc}
    own |= {"HANDOVER_TIMEOUT_SECONDS": "1", "BACKUP_QUIET_SECONDS": "0.5"}
    settings = own if page in STARTS_ITS_OWN else {k: v for k, v in served.items() if k != "QDRANT_STORAGE_DIR"}
    script = session(page).replace("8080", settings["PORT"])
    if REAL_ENGINE:
        script = script.replace("$PWD/local/engine/qdrant", REAL_ENGINE)
    child = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment(**{**settings, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(timeout=SECONDS)
    finally:
        # The page's own instance, where a block before its end failed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == 0, said


def test_the_pages_that_are_run_use_the_engine_that_tests_run_on() -> None:
    """The engine that get-started names is the one that the tests know as the embedded one."""
    text = (ROOT / "docs" / "get-started.md").read_text()

    assert f"$PWD/{EMBEDDED.relative_to(ROOT)}" in text
