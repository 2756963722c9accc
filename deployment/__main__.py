"""`python -m deployment COMMAND`: what is done to a live deployment, by a person or by a pipeline.

Owns the commands and how they tell their results. Exit 0: done and well; 1: a check, a preview or a rollback failed;
2: it could not be tried.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from deployment import pulumi, report, revisions
from deployment.calls import Calls
from deployment.deliver import PROBLEMS, Result, deliver, verified
from deployment.pull_request import NotCommentedError, PullRequest
from deployment.revisions import NotRolledBackError
from deployment.target import CannotCheckError, Target, run_command

_STACK = click.option("--stack", required=True, help="The Pulumi stack.")
_ACCOUNT = click.option("--account", default="", help="The account this runs as, where it has no key of its own.")
_IMAGE = click.option("--image", default="", help="An image by digest; empty: what the stack has deployed.")


@click.group(help=__doc__)
def main() -> None:
    """Act on a deployment."""


@main.command()
@_STACK
@_ACCOUNT
def verify(stack: str, account: str) -> None:
    """Check a deployed stack; the last check makes two revisions and a collection of its own."""
    calls = _calls(stack, account)
    results = verified(calls)
    _show(calls, results)
    sys.exit(0 if all(result.passed for result in results) else 1)


@main.command("deliver")
@_STACK
@_ACCOUNT
@click.option("--image", required=True, help="An image by digest.")
def deliver_image(stack: str, account: str, image: str) -> None:
    """Deploy an image, check it, and send the traffic back when a check fails."""
    done = deliver(
        lambda: _calls(stack, account) if pulumi.outputs(stack).get("url") else None,
        lambda: pulumi.up(stack, image=image),
    )
    _show(_calls(stack, account), done.results)
    if done.rolled_back:
        click.echo(f"A check failed. {done.rolled_back}")
        click.echo(f"The stack still declares {image}: the next delivery, or make rollback, decides what serves.")
    sys.exit(0 if done.passed else 1)


@main.command()
@_STACK
@_ACCOUNT
@click.option("--revision", required=True, help="The revision that gets all requests.")
def rollback(stack: str, account: str, revision: str) -> None:
    """Send all requests to an earlier revision; the next deployment sends them to the newest again."""
    click.echo(revisions.roll_back(_calls(stack, account), revision))


@main.command()
@_STACK
@_IMAGE
@click.option("--report", "path", type=click.Path(path_type=Path), default=None, help="Write Markdown there.")
def preview(stack: str, image: str, path: Path | None) -> None:
    """Tell what a deployment would change."""
    plan = pulumi.preview(stack, image=image or pulumi.outputs(stack).get("image", ""), refresh=False)
    text = report.described(stack, plan)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    click.echo(text)
    sys.exit(0 if plan.worked else 1)


@main.command()
@_STACK
def drift(stack: str) -> None:
    """Tell what in the cloud is not as it was deployed."""
    image = pulumi.outputs(stack).get("image", "")
    if not image:
        click.echo(f"{stack} was never deployed: nothing can have drifted.")
        return
    plan = pulumi.preview(stack, image=image, refresh=True)
    text = report.described(stack, plan)
    click.echo(text)
    sys.exit(0 if plan.worked and "nothing changes" in text.partition("\n")[0] else 1)


@main.command()
@click.option("--api", required=True, help="GitHub's API.")
@click.option("--repository", required=True, help="owner/name.")
@click.option("--number", required=True, type=int, help="The pull request.")
@click.option("--token", envvar="GITHUB_TOKEN", required=True, help="From the environment, never typed.")
@click.argument("reports", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def comment(*, api: str, repository: str, number: int, token: str, reports: tuple[Path, ...]) -> None:
    """Put previews on a pull request, over those of an earlier run."""
    text = report.comment([path.read_text() for path in sorted(reports)])
    click.echo(PullRequest(api, repository, number, token).renew_comment(text))


def _calls(stack: str, account: str) -> Calls:
    return Calls(Target.of_stack(stack, run_command), run_command, account=account)


def _show(calls: Calls, results: Sequence[Result]) -> None:
    table = Table(title=f"{calls.target.service} at {calls.target.url}")
    for column in ("", "Check", "Seen"):
        table.add_column(column)
    for result in results:
        mark, style = ("pass", "") if result.passed else ("FAIL", "red")
        table.add_row(mark, result.title, result.seen, style=style)
    Console().print(table, markup=False)


if __name__ == "__main__":
    try:
        main()
    except (CannotCheckError, NotCommentedError, NotRolledBackError, *PROBLEMS) as problem:
        Console(stderr=True).print(f"Error: {problem}", style="red", markup=False)
        sys.exit(1 if isinstance(problem, NotRolledBackError) else 2)
