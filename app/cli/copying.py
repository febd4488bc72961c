"""`gatehouse copy`: move an installation to another database."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import asdict, astuple
from getpass import getpass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from sqlalchemy.util import await_only, greenlet_spawn

from app.cli.command_setup import set_up_command
from app.cli.options import AsJson
from app.cli.output import pluralize, print_json, print_line, print_table, print_warning
from app.container import StartError, database_at, database_of, prepare_data_dir, use_exclusively
from app.environment import SettingsError
from app.storage.copying import Side, TableSummary, copy_all
from app.storage.sqlite import copy_sides as sqlite_sides
from app.storage.sqlite.store import SqliteFile

if TYPE_CHECKING:
    from app.storage.postgresql.store import PostgresServer

_VISIBLE = (
    "The password in --to can be read by other users of this machine, and in the shell's history. "
    "Change it, and use '--to -'."
)
Target = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="URL",
        help="The URL of an empty database; '-' asks for it, or reads it from standard input.",
    ),
]


def copy(to: Target, as_json: AsJson = False) -> None:
    """Copy everything to an empty database, SQLite or PostgreSQL, and compare (stop the server)."""
    settings = set_up_command()
    source, target = database_of(settings), _read_target(to)
    with ExitStack() as closing:
        if isinstance(source, SqliteFile):
            source.require_there()
            if isinstance(target, SqliteFile) and target.path.resolve() == source.path.resolve():
                raise StartError(f"{target} is the configured database: name another one.")
            prepare_data_dir(settings)
            closing.enter_context(use_exclusively(settings))
        tables = asyncio.run(_copy(source, target))
    rows = sum(table.rows for table in tables)
    if as_json:
        ends = {"source": str(source), "target": str(target)}
        print_json({**ends, "rows": rows, "tables": list(map(asdict, tables))})
        return
    print_table(("table", "rows", "checksum"), map(astuple, tables))
    print_line(f"Copied {pluralize(rows, 'row')} from {source} to {target}: both sides are equal.")
    print_line(f"Set GATEHOUSE_DATABASE_URL{_value(target)}.")
    print_line(
        f"Keep the data directory {settings.data_dir.resolve()}: it contains the signing key."
    )
    print_line(f"{source} is unchanged. Do not serve it again: {target} would lack its changes.")


def _read_target(to: str) -> "SqliteFile | PostgresServer":
    """Return the database that `to` names. Raises SettingsError."""
    is_argument = True
    if to == "-":
        is_terminal = sys.stdin.isatty()
        to = getpass("URL of the target: ") if is_terminal else sys.stdin.readline().strip()
        is_argument = False
    try:
        target = database_at(to)
    except ValueError as error:
        raise SettingsError(f"--to: {error}.") from None
    if is_argument and not isinstance(target, SqliteFile) and target.has_password:
        print_warning(_VISIBLE)
    return target


def _value(target: "SqliteFile | PostgresServer") -> str:
    if isinstance(target, SqliteFile):
        return f"=sqlite:///{quote(str(target.path.resolve()))}"
    # Its password is not printed.
    return f" to the URL of the target, {target}"


async def _copy(
    source: "SqliteFile | PostgresServer", target: "SqliteFile | PostgresServer"
) -> Sequence[TableSummary]:
    async with _open_source(source) as original, _open_target(target) as empty:
        with ExitStack() as closing:
            return await greenlet_spawn(copy_all, original, empty, _Bar(closing))


def _open_source(
    database: "SqliteFile | PostgresServer",
) -> AbstractAsyncContextManager[Side]:
    if isinstance(database, SqliteFile):
        return sqlite_sides.open_source(database)
    from app.storage.postgresql import copy_sides as postgresql_sides

    return postgresql_sides.open_source(database)


def _open_target(
    database: "SqliteFile | PostgresServer",
) -> AbstractAsyncContextManager[Side]:
    if isinstance(database, SqliteFile):
        return sqlite_sides.open_target(database)
    from app.storage.postgresql import copy_sides as postgresql_sides

    return postgresql_sides.open_target(database)


class _Bar:
    """A progress bar on standard error, if that is a terminal."""

    def __init__(self, closing: ExitStack) -> None:
        self._closing = closing
        self._bar: Any = None

    def begin(self, steps: int) -> None:
        if sys.stderr.isatty():
            bar = typer.progressbar(length=steps, label="Copying", file=sys.stderr)
            self._bar = self._closing.enter_context(bar)

    def advance(self, steps: int) -> None:
        if self._bar is not None:
            self._bar.update(steps)
        # Otherwise Ctrl-C would wait for the end of a copy between two files.
        await_only(asyncio.sleep(0))
