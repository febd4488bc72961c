"""Reading the audit trail."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from app.domain.audit import DONE, OTHER_ACTIONS, EntryFilter
from app.domain.errors import CATALOGUE, FieldError, InvalidInput
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.quoting import QUOTED_MAX
from app.domain.text import closest_match
from app.domain.timestamps import parse_time
from app.domain.users import NUMBER_MAX, OPERATOR, AccountRef, parse_snowflake, parse_uuid
from app.operations.accounts import find_user
from app.operations.formats import AccountId, Cursor, EntryNumber, Identifier, PageLimit, Timestamp
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import UNSET, Param, Unset
from app.operations.framework.pagination import (
    LIMIT_DEFAULT,
    make_cursor,
    parse_cursor,
    require_limit,
)
from app.operations.views.audit import AuditPage, entry_view


@dataclass(frozen=True, slots=True)
class ListAudit:
    """Filters of the audit trail, and the page to return."""

    actor: (
        Annotated[
            AccountId,
            Param(
                "The acting account, by uuid or snowflake, or `operator`.",
                "0f8fad5b-d9cb-469f-a165-70867728950e",
            ),
        ]
        | Unset
    ) = UNSET
    target: (
        Annotated[
            Identifier,
            Param(
                "The target: an account by uuid or snowflake, a server by uuid, a guild by "
                "snowflake, a signing key by `kid`.",
                "0f8fad5b-d9cb-469f-a165-70867728950e",
            ),
        ]
        | Unset
    ) = UNSET
    action: Annotated[Identifier, Param("The operation's name.", "admin.users.disable")] | Unset = (
        UNSET
    )
    outcome: Annotated[Identifier, Param("`done`, or the code of an error.", DONE)] | Unset = UNSET
    since: (
        Annotated[
            str, Param("The earliest time, RFC 3339.", "2026-01-31T12:00:00Z", shown=Timestamp)
        ]
        | Unset
    ) = UNSET
    until: (
        Annotated[
            str,
            Param(
                "The time before which entries are returned, RFC 3339.",
                "2026-02-01T00:00:00Z",
                shown=Timestamp,
            ),
        ]
        | Unset
    ) = UNSET
    limit: Annotated[PageLimit, Param("The number of entries on a page.", LIMIT_DEFAULT)] = (
        LIMIT_DEFAULT
    )
    cursor: Annotated[Cursor | None, Param("The `next` of the previous page.")] = None
    after: (
        Annotated[
            EntryNumber,
            Param(
                "The `id` of the last known entry, to follow the trail: returns later entries, "
                "the oldest first. Begin with 0.",
                12,
            ),
        ]
        | Unset
    ) = UNSET


async def list_audit(context: OperationContext, command: ListAudit) -> AuditPage:
    """Returns the audit trail, page by page: the newest entry first, with `after` the oldest first.

    Admins may. Every change of an account, a credential, a server or a guild has an entry, and so
    have failed logins and forbidden requests; entries contain no secrets. A cursor is only valid
    with the filters it was issued for.

    To follow the trail, repeat the request with the `id` of the last entry as `after`, until no
    entries are returned. No entry is missed: each is returned only when all before it are complete.
    Times are not in the order of ids, so following by `since` can miss entries.
    """
    if command.after is not UNSET:
        return await _follow(context, command, command.after)

    def read(tx: Transaction, _: Principal) -> AuditPage:
        require_limit(command.limit)
        wanted = _wanted(tx, command)
        after = None if command.cursor is None else parse_cursor(command.cursor, wanted, int)
        entries = tx.audit.list_page(wanted, after, command.limit + 1)
        page, more = entries[: command.limit], len(entries) > command.limit
        return {
            "entries": [entry_view(entry) for entry in page],
            "next": make_cursor(page[-1].position, wanted) if more else None,
        }

    return await context.scan(read)


async def _follow(context: OperationContext, command: ListAudit, after: int) -> AuditPage:
    def complete_up_to(tx: Transaction, _: Principal) -> int:
        if not 0 <= after <= NUMBER_MAX:
            raise InvalidInput.for_fields(
                FieldError("after", f"must be a whole number from 0 to {NUMBER_MAX}")
            )
        if command.cursor is not None:
            raise InvalidInput.for_fields(FieldError("cursor", "cannot be combined with 'after'"))
        require_limit(command.limit)
        return tx.audit.get_complete_up_to()

    # In a separate transaction: later transactions see everything that is complete by now.
    up_to = await context.scan(complete_up_to)

    def read(tx: Transaction, _: Principal) -> AuditPage:
        entries = tx.audit.list_after(_wanted(tx, command), after, up_to, command.limit)
        return {"entries": [entry_view(entry) for entry in entries], "next": None}

    return await context.scan(read)


# An empty one would match nothing, without a reason.
_FILTERS = ("actor", "target", "action", "outcome")


def _wanted(tx: Transaction, command: ListAudit) -> EntryFilter:
    empty = [name for name in _FILTERS if getattr(command, name) == ""]
    if empty:
        reason = "must not be empty; leave it out to see all entries"
        raise InvalidInput.for_fields(*(FieldError(name, reason) for name in empty))
    return EntryFilter(
        actor=None if command.actor is UNSET else _actor(tx, command.actor),
        target=() if command.target is UNSET else _targets(tx, command.target),
        action=None if command.action is UNSET else _action(tx, command.action),
        outcome=None if command.outcome is UNSET else _outcome(tx, command.outcome),
        since=_time("since", command.since),
        until=_time("until", command.until),
    )


def _actor(tx: Transaction, raw: str) -> str:
    """Return the actor as in the trail. Raises UserNotFound."""
    return raw if raw == OPERATOR.username else find_user(tx, raw).uuid


def _action(tx: Transaction, raw: str) -> str:
    # The catalog imports this module.
    from app.operations.catalog import REST_OPERATIONS

    return _require_known(
        tx, "action", raw, {*REST_OPERATIONS, *OTHER_ACTIONS}, EntryFilter(action=raw)
    )


def _outcome(tx: Transaction, raw: str) -> str:
    return _require_known(
        tx, "outcome", raw, {DONE, *(error.slug for error in CATALOGUE)}, EntryFilter(outcome=raw)
    )


def _require_known(
    tx: Transaction, name: str, raw: str, known: Collection[str], wanted: EntryFilter
) -> str:
    """Return a value that entries may have, of this release or an earlier one.

    Raises InvalidInput for another, which would match nothing without a reason.
    """
    if raw in known or tx.audit.list_page(wanted, None, 1):
        return raw
    nearest = closest_match(raw, known, QUOTED_MAX)
    hint = f"the nearest is {nearest!r}" if nearest is not None else f"such as {min(known)!r}"
    raise InvalidInput.for_fields(FieldError(name, f"is no {name} of the audit trail ({hint})"))


def _targets(tx: Transaction, raw: str) -> tuple[str, ...]:
    """Return the ids of the target in the trail: a snowflake may be a guild's or an account's."""
    named = parse_uuid(raw) or raw
    uuid = _uuid_of(tx, raw)
    return (named,) if uuid is None else (named, uuid)


def _uuid_of(tx: Transaction, raw: str) -> str | None:
    """Return the uuid of the account with this snowflake."""
    snowflake = parse_snowflake(raw)
    user = None if snowflake is None else tx.users.find(AccountRef(id=snowflake))
    return None if user is None else user.uuid


def _time(name: str, raw: str | Unset) -> datetime | None:
    if raw is UNSET:
        return None
    if (time := parse_time(raw)) is None:
        raise InvalidInput.for_fields(
            FieldError(name, "must be an RFC 3339 time, such as 2026-01-31T12:00:00Z")
        )
    return time
