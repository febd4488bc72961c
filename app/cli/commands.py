"""All commands, as one typer application."""

import sys
from functools import cache
from typing import Annotated, NoReturn

import typer

from app.cli import audit, backups, copying, documents, maintenance, outbox, serve, signing_keys
from app.cli.accounts import keys, users
from app.cli.output import fail, printable
from app.cli.version import print_version

app = typer.Typer(
    help="One user directory with two doors.", no_args_is_help=True, pretty_exceptions_enable=False
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print_version()
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the version and the commit.",
        ),
    ] = False,
) -> None:
    pass


for _command in (
    serve.serve,
    maintenance.migrate,
    backups.backup,
    backups.restore,
    backups.restored,
    backups.end_all_credentials,
    copying.copy,
    documents.openapi,
    documents.openrpc,
    maintenance.doctor,
):
    app.command()(_command)
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(signing_keys.app, name="signing-keys")
app.add_typer(audit.app, name="audit")
app.add_typer(outbox.app, name="outbox")


# Building the parser takes as long as a short command, and a process of the tests runs many.
_parser = cache(typer.main.get_command)


def run() -> None:
    """Run the command of the command line. A wrong command line is a sentence and status 2."""
    try:
        status = _parser(app)(standalone_mode=False)
    except typer.Abort:
        fail("The input ended before the command had all it asks for.", 1)
    except typer.TyperException as error:
        _fail_usage(error)
    # A command returns nothing; `typer.Exit` returns its status.
    sys.exit(status or 0)


def _fail_usage(error: typer.TyperException) -> NoReturn:
    # The values of an option are parsed by pydantic, which says so.
    reason = printable(" ".join(error.format_message().replace("Value error, ", "").split()))
    if not reason:
        # A group without a command has printed its help.
        sys.exit(error.exit_code)
    context = getattr(error, "ctx", None)
    command = "gatehouse" if context is None else context.command_path
    end = "" if reason.endswith((".", "?")) else "."
    fail(f"{reason}{end} See '{command} --help'.", error.exit_code, "usage")
