"""`python -m deployment --stack dev`: checks a live deployment and prints a table; exit 1 if any check fails.

Owns the command and the table. The last check makes a collection of its own and two revisions, and removes
the collection again.
"""

import sys

import click
import requests
from rich.console import Console
from rich.table import Table

from deployment.calls import Calls, RefusedError
from deployment.checks import CHECKS, FailedCheckError
from deployment.target import CannotCheckError, Target, run_command


def checked(calls: Calls) -> list[tuple[str, bool, str]]:
    """Run every check, the later ones also when an earlier one failed."""
    results = []
    for check in CHECKS:
        try:
            results.append((check.title, True, check.answer(calls)))
        except (FailedCheckError, RefusedError, CannotCheckError, requests.RequestException) as problem:
            results.append((check.title, False, str(problem)))
    return results


@click.command(help=__doc__)
@click.option("--stack", required=True, help="The Pulumi stack that was deployed.")
def main(stack: str) -> None:
    """Check a stack."""
    console = Console()
    try:
        target = Target.of_stack(stack, run_command)
    except CannotCheckError as problem:
        console.print(f"Error: {problem}", style="red", markup=False)
        sys.exit(2)
    table = Table(title=f"{target.service} at {target.url}")
    for column in ("", "Check", "Seen"):
        table.add_column(column)
    results = checked(Calls(target, run_command))
    for title, passed, seen in results:
        table.add_row("pass" if passed else "FAIL", title, seen, style="" if passed else "red")
    console.print(table, markup=False)
    sys.exit(0 if all(passed for _, passed, _ in results) else 1)


if __name__ == "__main__":
    main()
