"""What an admin reads of the audit trail. Nobody writes it but the operations themselves."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from app.domain.audit import DONE, EntryFilter
from app.domain.errors import Flaw, InvalidInput
from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.domain.times import parse_time
from app.domain.users import PAGE_MAX, AccountRef, parse_snowflake, parse_uuid
from app.usecases.call import Call
from app.usecases.operation import UNSET, Param, Unset
from app.usecases.paging import LIMIT_DEFAULT, cursor_at, position_at, require_limit
from app.usecases.views import AuditPage, entry_view


@dataclass(frozen=True, slots=True)
class ListAudit:
    """Which entries of the audit trail to list, and which part of the list."""

    actor: (
        Annotated[
            str,
            Param(
                "Who acted: an account, by uuid or snowflake, or `operator`.",
                "0f8fad5b-d9cb-469f-a165-70867728950e",
            ),
        ]
        | Unset
    ) = UNSET
    target: (
        Annotated[
            str,
            Param(
                "What was touched: an account by uuid or snowflake, a server by uuid, a guild by "
                "snowflake, a signing key by `kid`.",
                "0f8fad5b-d9cb-469f-a165-70867728950e",
            ),
        ]
        | Unset
    ) = UNSET
    action: Annotated[str, Param("The operation's name.", "admin.users.disable")] | Unset = UNSET
    outcome: Annotated[str, Param("`done`, or the code of a refusal.", DONE)] | Unset = UNSET
    since: Annotated[str, Param("From this time on, RFC 3339.", "2026-01-31T12:00:00Z")] | Unset = (
        UNSET
    )
    until: Annotated[str, Param("Before this time, RFC 3339.", "2026-02-01T00:00:00Z")] | Unset = (
        UNSET
    )
    limit: Annotated[
        int, Param("Entries on a page.", LIMIT_DEFAULT, minimum=1, maximum=PAGE_MAX)
    ] = LIMIT_DEFAULT
    cursor: Annotated[str | None, Param("Where the page before ended.")] = None


async def list_audit(call: Call, command: ListAudit) -> AuditPage:
    """Returns the audit trail, the newest entry first, page by page.

    Admins may. Every change of an account, a credential, a server or a guild has an entry, and so
    have failed logins and what was forbidden; no secret is in it. A cursor belongs to the filters
    that it was given with.
    """

    def read(tx: Transaction, _: Principal) -> AuditPage:
        require_limit(command.limit)
        wanted = _wanted(tx, command)
        after = None if command.cursor is None else position_at(command.cursor, wanted, int)
        entries = tx.audit.page(wanted, after, command.limit + 1)
        page, more = entries[: command.limit], len(entries) > command.limit
        return {
            "entries": [entry_view(entry) for entry in page],
            "next": cursor_at(page[-1].position, wanted) if more else None,
        }

    return await call.scan(read)


def _wanted(tx: Transaction, command: ListAudit) -> EntryFilter:
    return EntryFilter(
        actor=None if command.actor is UNSET else _actor(tx, command.actor),
        target=() if command.target is UNSET else _targets(tx, command.target),
        action=None if command.action is UNSET else command.action,
        outcome=None if command.outcome is UNSET else command.outcome,
        since=_time("since", command.since),
        until=_time("until", command.until),
    )


def _actor(tx: Transaction, raw: str) -> str:
    """How the trail names whom `raw` names; the operator, and what names nobody, as they are."""
    return parse_uuid(raw) or _uuid_of(tx, raw) or raw


def _targets(tx: Transaction, raw: str) -> tuple[str, ...]:
    """How the trail may name the target: a snowflake may be a guild's or an account's."""
    named = parse_uuid(raw) or raw
    uuid = _uuid_of(tx, raw)
    return (named,) if uuid is None else (named, uuid)


def _uuid_of(tx: Transaction, raw: str) -> str | None:
    """The uuid of the account with this snowflake."""
    snowflake = parse_snowflake(raw)
    user = None if snowflake is None else tx.users.find(AccountRef(id=snowflake))
    return None if user is None else user.uuid


def _time(name: str, raw: str | Unset) -> datetime | None:
    if raw is UNSET:
        return None
    if (time := parse_time(raw)) is None:
        raise InvalidInput.of(Flaw(name, "must be an RFC 3339 time, such as 2026-01-31T12:00:00Z"))
    return time
