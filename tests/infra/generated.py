"""The texts that are generated from the program, and the command that renews them: `make inventory`.

Pulumi.yaml's schema and the tables of docs/configuration.md come from `components.options`, the inventories
from the program run under the strict mocks.
"""

import re
from pathlib import Path
from typing import Final

import yaml

from components.options import SECTIONS, every_option, pulumi_schema

ROOT: Final = Path(__file__).resolve().parents[2]

_PULUMI_YAML = """\
# The `config` section is generated from components/options.py (`make inventory`).
name: qdrant-cloud-run
description: Qdrant on Cloud Run, its data kept by a bucket
runtime:
  name: python
  options:
    toolchain: pip
    virtualenv: .venv
config:
"""


def pulumi_yaml() -> str:
    """Return Pulumi.yaml."""
    schema = yaml.safe_dump(pulumi_schema(every_option()), sort_keys=False, width=104, allow_unicode=True)
    return _PULUMI_YAML + re.sub(r"^", "  ", schema, flags=re.MULTILINE).rstrip() + "\n"


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
