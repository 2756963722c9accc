"""`python -m release COMMAND`: what a release is checked for. Exit 1 where something does not fit."""

import sys
from pathlib import Path

import click

from release import changelog, licences

_ROOT = Path(__file__).resolve().parent.parent


@click.group(help=__doc__)
def main() -> None:
    """Check a release."""


@main.command("notes")
@click.argument("version")
def notes(version: str) -> None:
    """Print a version's section of the changelog."""
    click.echo(changelog.notes((_ROOT / "CHANGELOG.md").read_text(), version), nl=False)


@main.command()
@click.argument("tag")
def check(tag: str) -> None:
    """Hold a tag against pyproject.toml and the changelog."""
    click.echo(f"{changelog.check(_ROOT, tag)} can be released.")


@main.command("licences")
def check_licences() -> None:
    """Hold the licence of every locked package against the allowed ones."""
    packages = licences.locked(_ROOT)
    found = list(licences.findings(packages))
    for finding in found:
        click.echo(f"{finding.package}: {finding.reason}", err=True)
    if found:
        sys.exit(1)
    click.echo(f"{len(packages)} locked packages, every licence allowed.")


if __name__ == "__main__":
    try:
        main()
    except changelog.NotReleasableError as problem:
        click.echo(f"Error: {problem}", err=True)
        sys.exit(1)
