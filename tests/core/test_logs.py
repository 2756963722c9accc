import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

_PROGRAM = """
import logging, sys
from runtime import logs
logs.configure(sys.argv[1])
log = logs.get_logger()
exec(sys.stdin.read())
"""


def lines(code: str, level: str = "DEBUG") -> list[dict[str, Any]]:
    """Return the lines that a process writes to its log: each has to be one JSON object by the standard."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, level],
        input=code.encode(),
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == b""
    return [json.loads(line, parse_constant=_no_number) for line in done.stdout.decode().split("\n")[:-1]]


def _no_number(text: str) -> object:
    """Refuse what Python alone takes for JSON."""
    raise AssertionError(f"{text} is no JSON")


def test_a_line_says_severity_event_and_message_with_facts_as_keys() -> None:
    """Each level has Cloud Logging's name; a line without a message repeats its event."""
    found = lines(
        "log.debug('a.b')\n"
        "log.info('backup.committed', message='Done: ü\\n2', bytes=5, collections=('a',))\n"
        "log.warning('a.b', severity='wrong')\n"
        "log.error('a.b')\nlog.critical('a.b')"
    )
    assert [line["severity"] for line in found] == ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    assert found[0]["message"] == found[0]["event"] == "a.b"
    assert (found[1]["event"], found[1]["message"]) == ("backup.committed", "Done: ü\n2")
    assert (found[1]["bytes"], found[1]["collections"]) == (5, ["a"])
    assert all(line["time"].endswith("Z") for line in found)


def test_an_exception_brings_its_stack_trace() -> None:
    """The trace is in `stack_trace`, the severity is that of an error, and it is still one line."""
    [ours, library] = lines(
        "def fail(): raise ValueError('what happened')\n"
        "try: fail()\n"
        "except ValueError:\n"
        "    log.exception('restore.damaged', message='A backup is damaged')\n"
        "    logging.getLogger('some.library').exception('theirs')"
    )
    for line in (ours, library):
        assert line["severity"] == "ERROR"
        assert "ValueError: what happened" in line["stack_trace"]
        assert "Traceback" in line["stack_trace"]
        assert "exception" not in line
    assert (ours["event"], ours["message"]) == ("restore.damaged", "A backup is damaged")
    assert (library["event"], library["message"]) == ("library.some.library", "theirs")


def test_lines_of_libraries_have_our_form() -> None:
    """Warnings of libraries come as ours do, with arguments put in; their chatter does not."""
    found = lines("logging.getLogger('aiohttp').warning('%s of %d', 'one', 2)\nlogging.getLogger('x').info('no')")
    assert [(line["severity"], line["event"], line["message"]) for line in found] == [
        ("WARNING", "library.aiohttp", "one of 2")
    ]


def test_the_level_is_the_least_severe_line() -> None:
    """Below it nothing is written."""
    assert [line["event"] for line in lines("log.info('a')\nlog.warning('b')\nlog.error('c')", "WARNING")] == ["b", "c"]


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ("float('nan')", "nan"),
        ("float('-inf')", "-inf"),
        ("{'x': float('inf')}", "{'x': inf}"),
        ("'\\udc80'", "\udc80"),
        ("b'\\xff'", "b'\\xff'"),
        ("{('a', 'b'): 1}", "{('a', 'b'): 1}"),
        ("Exception('x')", "x"),
        ("__import__('pathlib').Path('/x')", "/x"),
        ("'\\u2028\\x00\"'", '\u2028\x00"'),
        ("None", None),
        ("2**70", 2**70),
    ],
)
def test_no_fact_keeps_a_line_from_being_written(fact: str, expected: object) -> None:
    """Numbers that are none, bytes, names that are no UTF-8: the line is JSON, with the fact as text."""
    [line] = lines(f"log.info('a.b', fact={fact}, circle=None)\n")
    assert line["fact"] == expected
    assert line["severity"] == "INFO"


def test_a_fact_that_holds_itself_is_written() -> None:
    """A circle ends."""
    [line] = lines("x = []\nx.append(x)\nlog.info('a.b', fact=x)")
    assert line["fact"] == "[[...]]"
