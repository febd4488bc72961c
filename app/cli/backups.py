"""Commands for backups: backup, restore, and what another tool's restore needs."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app import backups
from app.backups import BackupResult
from app.cli.command_setup import set_up_command
from app.cli.confirmation import IsConfirmed, confirm
from app.cli.options import AsJson
from app.cli.output import fail, pluralize, print_json, print_line, print_warning
from app.domain.ports.repositories import LiveCredentials
from app.operations.operator import RestoreSummary

_PIPE = Path("-")
_CONSEQUENCE = (
    "This ends all sessions and access keys: all users have to log in again, and all programs need "
    "new keys."
)
_KEPT_MAX = 10_000
# The names that a warning lists.
_NAMES_MAX = 20
KeepCredentials = Annotated[
    bool, typer.Option("--keep-credentials", help="Keep all sessions and access keys valid.")
]


def backup(
    file: Annotated[
        Path,
        typer.Argument(
            help="The file to write, which must not exist; a folder, for a file that is named by "
            "the time; or - for standard output."
        ),
    ],
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_KEPT_MAX,
            help="How many backups to keep in the folder. The oldest others are deleted once the "
            "new one is verified.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database to a file while the server runs, and verify the copy (SQLite)."""
    settings = set_up_command()
    if file != _PIPE:
        _print_backup(backups.back_up(settings, file, keep), as_json=as_json)
    elif keep is not None:
        fail("--keep needs a folder.", 2, "usage")
    elif sys.stdout.isatty():
        fail("A backup is not printed in a terminal: redirect the output to a file.", 2, "usage")
    else:
        contents = backups.write_backup(settings, sys.stdout.buffer)
        with redirect_stdout(sys.stderr):
            _print_backup(BackupResult(Path("standard output"), contents), as_json=as_json)


def _print_backup(made: BackupResult, *, as_json: bool) -> None:
    accounts, schema = made.contents.rows["users"], made.contents.revision
    if as_json:
        deleted = [str(path) for path in made.deleted]
        print_json(
            {"file": str(made.file), "accounts": accounts, "schema": schema, "deleted": deleted}
        )
        return
    print_line(f"{made.file}: {pluralize(accounts, 'account')}, schema {schema}")
    for path in made.deleted:
        print_line(f"{path}: deleted")


def restore(
    file: Annotated[
        Path,
        typer.Argument(help="A file that 'gatehouse backup' wrote; or - for standard input."),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Keep an existing database under another name.")
    ] = False,
    keep_credentials: KeepCredentials = False,
    as_json: AsJson = False,
) -> None:
    """Replace the database with a backup, and end all credentials (SQLite; stop the server)."""
    settings = set_up_command()
    if file == _PIPE and sys.stdin.isatty():
        fail("A backup is not read from a terminal: redirect a file to the input.", 2, "usage")
    source = sys.stdin.buffer if file == _PIPE else file
    result = backups.restore(settings, source, replace=replace, keep_credentials=keep_credentials)
    accounts, regain = result.contents.rows["users"], result.regained
    if as_json:
        kept_as = None if result.kept_as is None else str(result.kept_as)
        regained = {"active_again": regain.active, "admins_again": regain.admins}
        print_json({"accounts": accounts, "kept_as": kept_as, **regained, **_view(result.restored)})
        return
    print(f"Restored: {pluralize(accounts, 'account')}.")
    if result.kept_as is not None:
        print_line(f"The previous database is kept as {result.kept_as}.")
    _print_restored(result.restored)
    _warn("are active again, although they have been disabled since", regain.active)
    _warn("are admins again, although they have been demoted since", regain.admins)


def _warn(what: str, names: Sequence[str]) -> None:
    if names:
        more = len(names) - _NAMES_MAX
        listed = ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
        print_warning(f"These accounts {what}: {listed}.")


def end_all_credentials(is_confirmed: IsConfirmed = False, as_json: AsJson = False) -> None:
    """End all sessions and keys, and trust no signing key of another server (stop the servers)."""
    settings = set_up_command()
    confirm(_CONSEQUENCE, is_confirmed=is_confirmed)
    ended = asyncio.run(backups.end_all_credentials(settings))
    if as_json:
        print_json(asdict(ended))
    else:
        print(_ended(ended))


def restored(
    keep_credentials: KeepCredentials = False,
    is_confirmed: IsConfirmed = False,
    as_json: AsJson = False,
) -> None:
    """Finish a restore by another tool, and end all credentials (stop the servers)."""
    settings = set_up_command()
    confirm(_CONSEQUENCE, is_confirmed=is_confirmed or keep_credentials)
    work = backups.settle_restored(settings, keep_credentials=keep_credentials)
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
    if restored.kept:
        print(f"{_count(valid)} are valid again, including those that were ended since the backup.")
    else:
        print(_ended(valid))
    as_of = "the backup" if restored.as_of is None else restored.as_of.isoformat()
    print(
        f"Changes made after {as_of} are lost: passwords, names, disabled accounts and admin "
        "privileges are as they were before."
    )


def _ended(credentials: LiveCredentials) -> str:
    return f"{_count(credentials)} were ended: all users log in again; create new keys."


def _count(found: LiveCredentials) -> str:
    return f"{pluralize(found.sessions, 'session')} and {pluralize(found.keys, 'access key')}"
