"""The command `doctor`.

Owns arguments, output and exit code.
"""

from dataclasses import asdict

import click

from runtime.commands.terminal import (
    EXIT_CODES,
    as_json,
    print_json,
    print_table,
    settings_from_environment,
    waiting,
    with_repository,
)
from runtime.errors import StoreError


@click.command(epilog=EXIT_CODES)
@as_json
def doctor(*, as_json: bool) -> None:
    """Find out whether the bucket keeps what the backups rely on.

    Creates a few small objects named doctor-… below the prefix of BACKUP_URL, tries on them what commits, fences and
    checksums need, and deletes them where this account may. HEAD and backups are not touched. Exit code 6 when
    anything fails.
    """
    from runtime.doctor import Doctor, Verdict  # noqa: PLC0415

    with waiting("Examining", quiet=as_json):
        checks = with_repository(settings_from_environment(), lambda repository: Doctor(repository.store).examine())
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        print_table(("probe", "result", "finding"), ((one.probe, one.verdict, one.finding) for one in checks))
        click.echo(f"{len(failed)} of {len(checks)} probes failed." if failed else "Nothing failed.")
    if failed:
        raise click.exceptions.Exit(StoreError.exit_code)
