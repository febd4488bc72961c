"""Commands for the database and the installation: migrate, backup, restore, restored, doctor."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app import container
from app.cli.command_setup import set_up_command
from app.cli.options import AsJson
from app.cli.output import pluralize, print_json
from app.container import database_of, prepare_store
from app.operations.operator import RestoreSummary

KeepCredentials = Annotated[
    bool, typer.Option("--keep-credentials", help="Keep all sessions and access keys valid.")
]


def migrate(as_json: AsJson = False) -> None:
    """Migrate the database to the schema of this release."""
    settings = set_up_command()
    prepare_store(settings)
    database = str(database_of(settings))
    if as_json:
        print_json({"database": database})
    else:
        print(f"{database} has the current schema.")


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Copy the database to a file while the server runs, and verify the copy (SQLite)."""
    contents = container.back_up(set_up_command(), file)
    accounts = contents.rows["users"]
    if as_json:
        print_json({"file": str(file), "accounts": accounts, "schema": contents.revision})
    else:
        print(f"{file}: {pluralize(accounts, 'account')}, schema {contents.revision}")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that 'gatehouse backup' wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Keep an existing database under another name.")
    ] = False,
    keep_credentials: KeepCredentials = False,
    as_json: AsJson = False,
) -> None:
    """Replace the database with a backup, and end all credentials (SQLite; stop the server)."""
    result = container.restore(
        set_up_command(), file, replace=replace, keep_credentials=keep_credentials
    )
    accounts = result.contents.rows["users"]
    if as_json:
        kept_as = None if result.kept_as is None else str(result.kept_as)
        print_json({"accounts": accounts, "kept_as": kept_as, **_view(result.restored)})
        return
    print(f"Restored: {pluralize(accounts, 'account')}.")
    if result.kept_as is not None:
        print(f"The previous database is kept as {result.kept_as}.")
    _print_restored(result.restored)


def restored(keep_credentials: KeepCredentials = False, as_json: AsJson = False) -> None:
    """End all credentials after another tool restored the database (stop the server)."""
    work = container.settle_restored(set_up_command(), keep_credentials=keep_credentials)
    summary = asyncio.run(work)
    if as_json:
        print_json(_view(summary))
    else:
        _print_restored(summary)


def _view(restored: RestoreSummary) -> dict[str, object]:
    return {
        "as_of": restored.as_of,
        "credentials": "kept" if restored.kept else "ended",
        "sessions": restored.credentials.sessions,
        "keys": restored.credentials.keys,
    }


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


def doctor(as_json: AsJson = False) -> None:
    """Check the installation, within seconds; exit with status 1 if there is a problem."""
    from app.cli.doctor import Mark, examine

    findings = asyncio.run(examine(set_up_command()))
    is_sound = all(finding.mark is not Mark.BAD for finding in findings)
    if as_json:
        print_json({"ok": is_sound, "findings": list(map(asdict, findings))})
    else:
        for finding in findings:
            print(f"{finding.mark:4} {finding.subject}: {finding.detail}")
    if not is_sound:
        raise typer.Exit(1)
