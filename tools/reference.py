"""Generate parts of `docs/` from the code.

    python -m tools.reference           write them
    python -m tools.reference --check   fail if a page is out of date

Each part is on one page, between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import typer
import yaml

from app.cli.commands import app
from app.domain import rate_limits
from app.domain.errors import CATALOGUE, DomainError
from app.environment import PREFIX
from app.operations.catalog import OPERATIONS
from app.operations.framework.operation import Operation
from app.rest.openapi import ALSO
from app.rest.operation_route import OperationRoute
from app.rest.router import PAGES, ROUTES
from app.rpc.openrpc import NEEDS, openrpc_document
from app.settings import SECRETS, Settings
from tests.json_of_commands import COMMANDS, each_command
from tests.mistakes.answers import answers_by_subject

DOCS = Path(__file__).parents[1] / "docs"
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)

Table = Iterable[tuple[str, ...]]
METHODS: dict[str, Any] = {
    method["name"]: method for method in openrpc_document("http://localhost")["methods"]
}


def table(head: tuple[str, ...], rows: Table) -> str:
    """Return a Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def sections(head: tuple[str, ...], rows: Table) -> str:
    """Return a table for each kind of credential, which is the first cell of a row."""
    by_credential: dict[str, list[tuple[str, ...]]] = {}
    for credential, *cells in rows:
        by_credential.setdefault(credential, []).append(tuple(cells))
    return "\n".join(
        f"### {_heading(credential)}\n\n{table(head, lines)}"
        for credential, lines in by_credential.items()
    )


def _heading(credential: str) -> str:
    return "Without a credential" if credential == "none" else f"With a {credential}"


def settings() -> str:
    """Return every setting, with default and description."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in {None, ()} else f"`{field.default}`"
        setting = f"{PREFIX}{name}".upper()
        description = field.description or ""
        if name in SECRETS:
            description += f" [In a file](#secrets-in-files): `{setting}_FILE`."
        rows.append((f"`{setting}`", default, description))
    return table(("setting", "default", "description"), rows)


def commands() -> str:
    """Return every command, with arguments and description. All have --json, which is left out."""
    rows = ((f"`{usage}`", text) for usage, text in _commands(typer.main.get_command(app)))
    return table(("command", "description"), rows)


def json_output() -> str:
    """Return the JSON of every command that has --json."""
    rows = []
    for name in each_command(typer.main.get_command(app)):
        printed = [found for line, found in COMMANDS if f"{line} ".startswith(f"{name} ")]
        rows += [(f"`gatehouse {name}`", _json_of(printed[0]))] if printed else []
    return table(("command", "JSON"), rows)


def _json_of(found: str | Iterable[str]) -> str:
    if isinstance(found, str):
        return f"the result of [`{found}`](json-rpc-api.md#methods)"
    members = ", ".join(f"`{name}`" for name in found)
    return f"an array of objects with {members}" if isinstance(found, list) else members


def _commands(command: Any, name: str = "gatehouse") -> Iterator[tuple[str, str]]:
    for own_name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {own_name}")
    if not hasattr(command, "commands"):
        params = [param for param in command.params if param.opts[0] != "--json"]
        yield " ".join([name, *map(_argument, params)]), " ".join(command.help.split())


def _argument(param: Any) -> str:
    if param.param_type_name == "argument":
        return str(param.name.upper())
    option = "/".join([param.opts[0], *param.secondary_opts])
    if not param.is_flag:
        option = f"{option} {param.metavar or param.name.upper()}"
    return option if param.required else f"[{option}]"


def methods() -> str:
    """Return every JSON-RPC method."""
    return sections(("method", "parameters", "description"), map(_method, METHODS.values()))


def _method(method: Any) -> tuple[str, str, str, str]:
    params = (f"`{p['name']}`{'' if p['required'] else '?'}" for p in method["params"])
    return method["x-credential"], f"`{method['name']}`", ", ".join(params), method["summary"]


def routes() -> str:
    """Return every route of the REST API."""
    rows = (
        _route(route, operation)
        for route in ROUTES
        for operation in (route.operation, ALSO.get(route.operation.name))
        if operation is not None
    )
    return sections(("route", "description", "JSON-RPC method"), rows)


def _route(route: OperationRoute, operation: Operation) -> tuple[str, str, str, str]:
    by_name = operation.name == "users.check"
    path = route.path.replace("{uuid}", "{username}") if by_name else route.path
    summary = (route.built.summary or "") if operation is route.operation else operation.summary
    method = f"`{operation.name}`" if operation.name in METHODS else ""
    return NEEDS[operation.access], f"`{route.method} {path}`", summary, method


def pages() -> str:
    """Return the routes that are not operations."""
    rows = (
        (f"`GET {page.path}`", page.built.summary or "", page.built.description)
        for page in PAGES
        if page.include_in_schema
    )
    return table(("route", "description", "notes"), rows)


def errors() -> str:
    """Return the error catalogue: an overview, then each entry."""
    rows = (
        (f"[`{e.slug}`](#{e.slug})", str(e.status), str(e.rpc_code), e.title) for e in CATALOGUE
    )
    overview = table(("code", "HTTP status", "`/rpc?errors=problem`", "title"), rows)
    return "\n".join([overview, *map(_error, CATALOGUE)])


def _error(error: type[DomainError]) -> str:
    when, what_to_do = error.explanation()
    named = ", ".join(f"`{name}`" for name, row in OPERATIONS.items() if error in row.errors)
    returned_by = f"\nReturned by: {named}.\n" if named else ""
    return f"""### `{error.slug}`

**{error.title}.** HTTP {error.status}, JSON-RPC {error.rpc_code}.

{when}

{what_to_do}
{returned_by}"""


def limits() -> str:
    """Return the rate limits of an address."""
    rows = (
        (what, f"{limit.calls} in {_duration(limit.seconds)}")
        for what, limit in (
            ("failed `users.auth`, `POST /users/auth`", rate_limits.LOGINS),
            ("`users.create`, `POST /users/@self`", rate_limits.REGISTRATIONS),
            (
                "`users.check`, `GET` and `HEAD /users/{username}`, and username changes",
                rate_limits.CHECKS,
            ),
            ("distinct refused access keys", rate_limits.WRONG_KEYS),
        )
    )
    return table(("counted calls", "limit for an address"), rows)


def changes() -> str:
    """Return the rate limits of an account."""
    rows = (
        (what, f"a burst of {limit.calls}, then {limit.calls * 60 // limit.seconds} a minute")
        for what, limit in (
            ("changes, with any credential", rate_limits.CHANGES),
            ("logins and password changes, with the right password", rate_limits.PASSWORD_USES),
        )
    )
    return table(("counted calls", "limit for an account"), rows)


def locks() -> str:
    """Return the duration of a lock by the number of consecutive wrong passwords."""
    rows = [(f"1 to {rate_limits.FAILURES_BEFORE_LOCK - 1}", "none")]
    *steps, (most, longest) = rate_limits.lock_durations()
    rows += ((str(failures), _duration(int(lock.total_seconds()))) for failures, lock in steps)
    rows.append((f"{most} and more", _duration(int(longest.total_seconds()))))
    return table(("consecutive wrong passwords", "lock"), rows)


def _duration(seconds: int) -> str:
    if seconds % 3600 == 0:
        return "an hour" if seconds == 3600 else f"{seconds // 3600} hours"
    if seconds % 60 == 0:
        return "a minute" if seconds == 60 else f"{seconds // 60} minutes"
    return f"{seconds} seconds"


def _code(text: str) -> str:
    """Return code for a cell, in which `\\|` would be shown as it is."""
    return f"<code>{escape(text, quote=False).replace('|', '&#124;')}</code>"


def alerts() -> str:
    """Return the alerts of the example file."""
    rules = yaml.safe_load((DOCS / "examples" / "prometheus-alerts.yml").read_text("utf-8"))
    rows = (
        (
            f"[{alert['alert']}](#{alert['alert'].lower()})",
            alert["labels"]["severity"],
            alert.get("for", ""),
            _code(" ".join(alert["expr"].split())),
        )
        for group in rules["groups"]
        for alert in group["rules"]
    )
    return table(("alert", "severity", "for", "expression"), rows)


def mistakes() -> str:
    """Return the answers to mistakes, by subject."""
    return "\n".join(
        f"## {subject}\n\n{table(('mistake', 'API', 'answer', 'sentence'), rows)}"
        for subject, rows in answers_by_subject().items()
    )


PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part
    for part in (
        settings,
        commands,
        json_output,
        methods,
        routes,
        pages,
        errors,
        limits,
        changes,
        locks,
        alerts,
        mistakes,
    )
}


def main(*, is_check: bool) -> int:
    stale, found = [], []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text("utf-8")
        found += [match[2] for match in MARKED.finditer(text)]
        filled = MARKED.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n{match[3]}", text)
        if filled != text:
            stale.append(str(page.relative_to(DOCS.parent)))
            if not is_check:
                page.write_text(filled, "utf-8")
    if sorted(found) != sorted(PARTS):
        print(f"Each of {', '.join(PARTS)} must be on exactly one page of docs/.", file=sys.stderr)
        return 1
    if is_check and stale:
        print(f"Out of date: {', '.join(stale)}. Run 'make generate'.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(is_check=sys.argv[1:] == ["--check"]))
