"""Confirmation of commands that cannot be undone."""

import sys
from typing import Annotated

import typer

from app.cli.output import fail

IsConfirmed = Annotated[
    bool, typer.Option("--yes", help="Do not ask; necessary without a terminal.")
]


def confirm(consequence: str, *, is_confirmed: bool) -> None:
    """Return once the operator has confirmed, in a terminal or with --yes; else exit."""
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        fail(f"{consequence} Repeat the command with --yes to confirm.", 2, "usage")
    if not typer.confirm(f"{consequence} Continue?", err=True):
        fail("Nothing was changed.", 1)
