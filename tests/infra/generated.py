"""The texts that are generated from the program, and the command that renews them: `make inventory`.

Pulumi.yaml's schema and the tables of docs/configuration.md come from `components.options`, the inventories
from the program run under the strict mocks.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import yaml

from components import delivery_config
from components.options import SECTIONS, Option, every_option, pulumi_schema

ROOT: Final = Path(__file__).resolve().parents[2]

_PULUMI_YAML = """\
# The `config` section is generated from components/{source}.py (`make inventory`).
name: {name}
description: {description}
runtime:
  name: python
  options:
    toolchain: pip
    virtualenv: {virtualenv}
config:
"""


def pulumi_yaml() -> str:
    """Return Pulumi.yaml."""
    head = _PULUMI_YAML.format(
        source="options",
        name="qdrant-cloud-run",
        description="Qdrant on Cloud Run, its data kept by a bucket",
        virtualenv=".venv",
    )
    return head + _schema(every_option())


def bootstrap_yaml() -> str:
    """Return bootstrap/Pulumi.yaml."""
    head = _PULUMI_YAML.format(
        source="delivery_config",
        name=delivery_config.PROJECT_NAME,
        description="What delivery stands on, state, key, images and GitHub's way in",
        virtualenv="../.venv",
    )
    return head + _schema(delivery_config.OPTIONS)


def _schema(options: Iterable[Option]) -> str:
    """Return the indented `config` section of a Pulumi.yaml."""
    schema = yaml.safe_dump(pulumi_schema(options), sort_keys=False, width=104, allow_unicode=True)
    return re.sub(r"^", "  ", schema, flags=re.MULTILINE).rstrip() + "\n"


def option_tables() -> str:
    """Return the tables of every configuration key, as docs/configuration.md holds them."""
    parts = []
    for section, options in SECTIONS.items():
        rows = "\n".join(
            f"| `{option.name}` | {f'`{option.default}`' if option.default else ''} | {option.description} |"
            for option in options
        )
        parts.append(f"### {section}\n\n| Key | Default | What it decides |\n|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def between_marks(text: str, mark: str, content: str) -> str:
    """Return text with what stands between <!-- mark --> and <!-- /mark --> replaced."""
    opening, closing = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, _, rest = text.partition(opening)
    after = rest.partition(closing)[2]
    return f"{before}{opening}\n\n{content.strip()}\n\n{closing}{after}"
