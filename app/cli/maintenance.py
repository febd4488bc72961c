"""Commands for the database and the installation: migrate, backup, restore, restored, doctor."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app import container
from app.cli.command_setup import set_up_command
from app.cli.output import pluralize
from app.container import database_of, prepare_store
from app.operations.operator import RestoreSummary

KeepCredentials = Annotated[
    bool, typer.Option("--keep-credentials", help="Keep all sessions and access keys valid.")
]


def migrate() -> None:
    """Migrate the database to the schema of this release."""
    settings = set_up_command()
    prepare_store(settings)
    print(f"{database_of(settings)} has the current schema.")


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
) -> None:
    """Copy the database to a file while the server runs, and verify the copy (SQLite)."""
    contents = container.back_up(set_up_command(), file)
    print(f"{file}: {pluralize(contents.rows['users'], 'account')}, schema {contents.revision}")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that 'gatehouse backup' wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Keep an existing database under another name.")
    ] = False,
    keep_credentials: KeepCredentials = False,
) -> None:
    """Replace the database with a backup, and end all credentials (SQLite; stop the server)."""
    result = container.restore(
        set_up_command(), file, replace=replace, keep_credentials=keep_credentials
    )
    print(f"Restored: {pluralize(result.contents.rows['users'], 'account')}.")
    if result.kept_as is not None:
        print(f"The previous database is kept as {result.kept_as}.")
    _print_restored(result.restored)


def restored(keep_credentials: KeepCredentials = False) -> None:
    """End all credentials after another tool restored the database (stop the server)."""
    work = container.settle_restored(set_up_command(), keep_credentials=keep_credentials)
    _print_restored(asyncio.run(work))


def _print_restored(restored: RestoreSummary) -> None:
    valid = restored.credentials
    counts = f"{pluralize(valid.sessions, 'session')} and {pluralize(valid.keys, 'access key')}"
    if restored.kept:
        print(f"{counts} are valid again, including those that were ended since the backup.")
    else:
        print(f"{counts} were ended: all users log in again; create new keys.")
    as_of = "the backup" if restored.as_of is None else restored.as_of.isoformat()
    print(
        f"Changes made after {as_of} are lost: passwords, names, disabled accounts and admin "
        "privileges are as they were before."
    )


def doctor() -> None:
    """Check the installation, within seconds; exit with status 1 if there is a problem."""
    from app.cli.doctor import Mark, examine

    findings = asyncio.run(examine(set_up_command()))
    for finding in findings:
        print(f"{finding.mark:4} {finding.subject}: {finding.detail}")
    if any(finding.mark is Mark.BAD for finding in findings):
        raise typer.Exit(1)
