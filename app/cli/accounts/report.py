"""`gatehouse users show`: an account, and why its user cannot sign in."""

from collections.abc import Sequence

from app.cli.accounts.keys import KEY_COLUMNS, key_row
from app.cli.accounts.lists import SESSION_COLUMNS, session_row
from app.cli.command_setup import run_in_container
from app.cli.options import AccountArgument, AsJson
from app.cli.output import Cell, print_fields, print_json, print_table
from app.operations import operator
from app.operations.operator.account_report import AccountReport, FailedAttempts
from app.operations.views.audit import AuditEntry


def show_user(account: AccountArgument, as_json: AsJson = False) -> None:
    """Show an account, why its user cannot sign in, and its logins, sessions, keys and servers."""
    report = run_in_container(lambda it: operator.report_account(it.services, account))
    if as_json:
        print_json(report)
        return
    print_fields(_fields(report))
    _print_section(
        "Wrong passwords",
        ("from", "failures", "last", "locked until"),
        list(map(_attempts_row, report["wrong_passwords"])),
        sum(found["failures"] for found in report["wrong_passwords"]),
    )
    _print_section(
        "Recent logins",
        ("at", "action", "outcome", "address", "door"),
        list(map(_login_row, report["logins"])),
    )
    _print_section("Sessions", SESSION_COLUMNS, list(map(session_row, report["sessions"])))
    _print_section("Access keys", KEY_COLUMNS, list(map(key_row, report["keys"])))
    if report["servers"] is None:
        print("\nServers: unknown, the panel does not respond")
    else:
        _print_section("Servers", ("uuid",), [[uuid] for uuid in report["servers"]])


def _fields(report: AccountReport) -> list[tuple[str, Cell]]:
    state = ["disabled" if report.get("disabled") else "active"]
    state += ["admin"] if report["admin"] else []
    state += ["locked"] if report["locked_until"] else []
    obstacles = [obstacle["detail"] for obstacle in report["obstacles"]]
    return [
        ("username", report["username"]),
        ("display name", report["display_name"]),
        ("email", report["email"]),
        ("uuid", report["uuid"]),
        ("user id", report["user_id"]),
        ("number", report["id"]),
        ("state", ", ".join(state)),
        ("password", "set" if report["has_password"] else "none"),
        ("sign-in", "refused" if obstacles else "nothing about the account prevents it"),
        *(("", obstacle) for obstacle in obstacles),
    ]


def _attempts_row(found: FailedAttempts) -> list[Cell]:
    network = found["network"] or "other networks"
    return [network, found["failures"], found["last_at"], found["locked_until"]]


def _login_row(entry: AuditEntry) -> list[Cell]:
    return [entry["at"], entry["action"], entry["outcome"], entry["address"], entry["door"]]


def _print_section(
    title: str, columns: Sequence[str], rows: list[list[Cell]], count: int | None = None
) -> None:
    """Print a table below its title and a number, by default that of its rows."""
    print(f"\n{title}: {(len(rows) if count is None else count) or 'none'}")
    if rows:
        print_table(columns, rows)
