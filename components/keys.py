"""Raw configuration: which keys there are and which are not.

Owns the filling in of defaults and the advice on unknown keys. Reads no value: see `components.reader`.
"""

import difflib
from collections.abc import Mapping
from typing import Final

from components import options
from components.problems import Findings

PROJECT_NAME: Final = "qdrant-cloud-run"


def own_keys(values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return every option's raw value, defaults filled in, and the keys that no option has."""
    given = {option.name: option.default for option in options.every_option()}
    unknown = {}
    for full, value in values.items():
        space, _, key = full.partition(":")
        if space == "gcp" and key in ("project", "region"):
            given[key] = given[key] or value
        elif space == PROJECT_NAME and key in given:
            given[key] = value or given[key]
        elif space == PROJECT_NAME:
            unknown[key] = value
    return given, unknown


def report_unknown(findings: Findings, key: str, value: str) -> None:
    """Note a key that no option has, with the one that may be meant or the reason why there is none."""
    findings.values[key] = value
    remove = f"pulumi config rm {key}"
    if key in options.NOT_A_CHOICE:
        findings.add(key, f"not a choice here: {options.NOT_A_CHOICE[key]}", fix=remove)
        return
    close = difflib.get_close_matches(key, [option.name for option in options.every_option()], n=1)
    meant = f"; you may mean {close[0]}" if close else "; docs/configuration.md lists the keys"
    findings.add(key, f"there is no such key{meant}", fix=remove)
