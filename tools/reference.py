"""Write the parts of `docs/` that the code itself knows.

    python -m tools.reference           write them
    python -m tools.reference --check   fail where a page does not hold what would be written

A part stands in one page, between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from app.cli import app
from app.config import PREFIX, Settings
from app.domain import throttling
from app.domain.errors import CATALOGUE, DomainError
from app.rest.door import Route
from app.rest.openapi import ROUTES
from app.rest.system import PAGES
from app.rpc.errors import PROBLEM_CODES
from app.rpc.openrpc import NEEDS, openrpc_document
from app.usecases.operation import Operation
from app.usecases.registry import OPERATIONS
from app.wire.problem import STATUS

DOCS = Path(__file__).parents[1] / "docs"
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)

Table = Iterable[tuple[str, ...]]
METHODS: dict[str, Any] = {method["name"]: method for method in openrpc_document()["methods"]}


def table(head: tuple[str, ...], rows: Table) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def sections(head: tuple[str, ...], rows: Table) -> str:
    """A table for each kind of credential, which is the first cell of a row."""
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
    """Every setting, with its default and description."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in {None, ()} else f"`{field.default}`"
        rows.append((f"`{PREFIX}{name.upper()}`", default, field.description or ""))
    return table(("setting", "default", "what it does"), rows)


def commands() -> str:
    """Every command of the operator's, with its arguments."""
    rows = ((f"`{usage}`", text) for usage, text in _commands(typer.main.get_command(app)))
    return table(("command", "what it does"), rows)


def _commands(command: Any, name: str = "gatehouse") -> Iterator[tuple[str, str]]:
    for own_name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {own_name}")
    if not hasattr(command, "commands"):
        yield " ".join([name, *map(_argument, command.params)]), command.help


def _argument(param: Any) -> str:
    if param.param_type_name == "argument":
        return str(param.name.upper())
    option = str(param.opts[0])
    return f"[{option}]" if param.is_flag else f"[{option} {param.name.upper()}]"


def methods() -> str:
    """Every method of the chat's door."""
    return sections(("method", "parameters", "what it does"), map(_method, METHODS.values()))


def _method(method: Any) -> tuple[str, str, str, str]:
    params = (f"`{p['name']}`{'' if p['required'] else '?'}" for p in method["params"])
    return method["x-credential"], f"`{method['name']}`", ", ".join(params), method["summary"]


def routes() -> str:
    """Every route of the REST door."""
    rows = (
        _route(route, operation)
        for route in ROUTES
        for operation in (route.operation, route.also)
        if operation is not None
    )
    return sections(("route", "what it does", "at `/rpc`"), rows)


def _route(route: Route, operation: Operation) -> tuple[str, str, str, str]:
    by_name = operation.name == "users.check"
    path = route.path.replace("{uuid}", "{username}") if by_name else route.path
    method = f"`{operation.name}`" if operation.name in METHODS else ""
    return NEEDS[operation.access], f"`{route.method} {path}`", operation.summary, method


def pages() -> str:
    """The routes that are not about accounts."""
    rows = (
        (f"`GET {page.path}`", page.summary, page.description) for page in PAGES if page.documented
    )
    return table(("route", "what it shows", ""), rows)


def errors() -> str:
    """The whole catalogue: at a glance, then entry by entry."""
    rows = ((f"[`{e.slug}`](#{e.slug})", *_numbers(e), e.title) for e in CATALOGUE)
    overview = table(("code", "HTTP status", "`/rpc?errors=problem`", "title"), rows)
    return "\n".join([overview, *map(_error, CATALOGUE)])


def _error(error: type[DomainError]) -> str:
    when, what_to_do = error.explanation()
    status, code = _numbers(error)
    named = ", ".join(f"`{name}`" for name, row in OPERATIONS.items() if error in row.errors)
    answered = f"\nOperations that refuse with it: {named}.\n" if named else ""
    return f"""### `{error.slug}`

**{error.title}.** HTTP {status}, JSON-RPC {code}.

{when}

{what_to_do}
{answered}"""


def _numbers(error: type[DomainError]) -> tuple[str, str]:
    return str(STATUS[error.kind]), str(PROBLEM_CODES[error])


def limits() -> str:
    """What an address may do, by limit."""
    rows = (
        (what, f"{limit.calls} in {_duration(limit.seconds)}")
        for what, limit in (
            ("`users.auth`, `POST /users/auth`", throttling.LOGINS),
            ("`users.create`, `POST /users/@self`", throttling.REGISTRATIONS),
            (
                "`users.check`, `GET` and `HEAD /users/{username}`, and changing one's username",
                throttling.CHECKS,
            ),
            ("different access keys that are refused", throttling.WRONG_KEYS),
        )
    )
    return table(("what is counted", "for one address"), rows)


def locks() -> str:
    """How long a wrong password keeps others waiting, by how many there were in a row."""
    rows = [(f"1 to {throttling.FREE_FAILURES - 1}", "nothing")]
    failures, wait = throttling.FREE_FAILURES, throttling.FIRST_WAIT
    while wait < throttling.LONGEST_WAIT:
        rows.append((str(failures), _duration(int(wait.total_seconds()))))
        failures, wait = failures + 1, 2 * wait
    longest = _duration(int(throttling.LONGEST_WAIT.total_seconds()))
    return table(
        ("wrong passwords in a row", "then wait"), [*rows, (f"{failures} and more", longest)]
    )


def _duration(seconds: int) -> str:
    if seconds % 3600 == 0:
        return "an hour" if seconds == 3600 else f"{seconds // 3600} hours"
    if seconds % 60 == 0:
        return "a minute" if seconds == 60 else f"{seconds // 60} minutes"
    return f"{seconds} seconds"


PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part
    for part in (settings, commands, methods, routes, pages, errors, limits, locks)
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
        print(f"Each of {', '.join(PARTS)} must stand in one page of docs/.", file=sys.stderr)
        return 1
    if is_check and stale:
        print(f"Stale: {', '.join(stale)}. 'make generate' puts this right.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(is_check=sys.argv[1:] == ["--check"]))
