"""Commands for the database and the installation: migrate, doctor."""

import asyncio
from dataclasses import asdict

import typer

from app.cli.command_setup import set_up_command
from app.cli.options import AsJson
from app.cli.output import print_json, print_line
from app.container import database_of, prepare_store


def migrate(as_json: AsJson = False) -> None:
    """Migrate the database to the schema of this release."""
    settings = set_up_command()
    prepare_store(settings)
    database = str(database_of(settings))
    if as_json:
        print_json({"database": database})
    else:
        print_line(f"{database} has the current schema.")


def doctor(as_json: AsJson = False) -> None:
    """Check the installation, within seconds; exit with status 1 if there is a problem."""
    from app.cli.checks.findings import Mark
    from app.cli.doctor import examine

    findings = asyncio.run(examine(set_up_command()))
    is_sound = all(finding.mark is not Mark.BAD for finding in findings)
    if as_json:
        print_json({"ok": is_sound, "findings": list(map(asdict, findings))})
    else:
        for finding in findings:
            print_line(f"{finding.mark:4} {finding.subject}: {finding.detail}")
    if not is_sound:
        raise typer.Exit(1)
