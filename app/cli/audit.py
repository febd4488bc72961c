"""`gatehouse audit`: the audit log."""

from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.options import AsJson, CursorOption
from app.cli.output import Cell, print_json, print_next, print_table
from app.operations import operator
from app.operations.admin_audit import ListAudit
from app.operations.framework.operation import UNSET
from app.operations.framework.pagination import LIMIT_DEFAULT
from app.operations.views.audit import AuditChange, AuditEntry

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.command("list")
def list_audit(
    actor: Annotated[
        str | None, typer.Option(help="The account that acted, by any of its names, or operator.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "--account",
            help="What was changed: an account by any of its names, or another id.",
        ),
    ] = None,
    action: Annotated[str | None, typer.Option(help="The name of the operation.")] = None,
    outcome: Annotated[str | None, typer.Option(help="done, or the code of an error.")] = None,
    since: Annotated[str | None, typer.Option(help="The earliest time, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option(help="The time before which, RFC 3339.")] = None,
    after: Annotated[
        int | None, typer.Option(help="List the entries after this id, oldest first.")
    ] = None,
    limit: Annotated[int, typer.Option(help="The maximum number of entries.")] = LIMIT_DEFAULT,
    cursor: CursorOption = None,
    as_json: AsJson = False,
) -> None:
    """List the audit log, newest first: id, time, actor, action, outcome, target, address,
    changes."""
    filters = {
        "actor": actor,
        "target": target,
        "action": action,
        "outcome": outcome,
        "since": since,
        "until": until,
    }
    command = ListAudit(
        limit=limit,
        cursor=cursor,
        after=UNSET if after is None else after,
        **{name: value for name, value in filters.items() if value is not None},
    )
    page = run_in_container(lambda it: operator.list_audit_log(it.services, command))
    if as_json:
        print_json(page)
    else:
        columns = ("id", "at", "actor", "action", "outcome", "target", "address", "changes")
        print_table(columns, map(_row, page["entries"]))
        print_next(page["next"])


def _row(entry: AuditEntry) -> list[Cell]:
    target, changes = entry["target"], entry["changes"]
    return [
        entry["id"],
        entry["at"],
        entry["actor"],
        entry["action"],
        entry["outcome"],
        None if target is None else f"{target['kind']} {target['id']}",
        entry["address"],
        ", ".join(_shown(name, change) for name, change in changes.items()),
    ]


def _shown(name: str, change: AuditChange | None) -> str:
    if change is None:
        return name
    before, after = ("-" if value is None else value for value in change.values())
    return f"{name} {before} > {after}"
