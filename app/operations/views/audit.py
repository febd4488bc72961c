"""Views of the audit log."""

from typing import Annotated

from typing_extensions import TypeAliasType, TypedDict

from app.domain.audit import Change, Door, Entry, Ref, RefKind, Value
from app.domain.users import PAGE_MAX
from app.operations.formats import (
    AccountId,
    AuditValue,
    Bit,
    ClientAddress,
    Cursor,
    Identifier,
    Keywords,
    Number,
    RequestId,
    Timestamp,
    bit,
)


class AuditRef(TypedDict):
    """The object that an entry of the audit trail refers to: its kind and its public id."""

    kind: RefKind
    id: Identifier


class AuditChange(TypedDict):
    """The values of a member before and after a change; null if there was none."""

    before: AuditValue
    after: AuditValue


AuditChanges = TypeAliasType("AuditChanges", dict[str, AuditChange | None])


class AuditEntry(TypedDict):
    """An entry of the audit trail.

    `actor` is an account's uuid, `operator`, or null for an anonymous caller. `outcome` is `done`
    or the code of an error. `changes` contains each member that changed, with null if its values
    are not kept.
    """

    id: Number
    at: Timestamp
    actor: AccountId | None
    action: Identifier
    outcome: Identifier
    target: AuditRef | None
    changes: AuditChanges
    door: Door
    address: ClientAddress | None
    request_id: RequestId | None
    credential: AuditRef | None


AuditEntries = TypeAliasType(
    "AuditEntries", Annotated[list[AuditEntry], Keywords(maxItems=PAGE_MAX)]
)


class AuditPage(TypedDict):
    """A page of the audit trail; `next` is the cursor of the next page, null on the last."""

    entries: AuditEntries
    next: Cursor | None


def entry_view(entry: Entry) -> AuditEntry:
    """Return the view of `entry`."""
    return {
        "id": entry.number,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "outcome": entry.outcome,
        "target": _ref_view(entry.target),
        "changes": {name: _change_view(change) for name, change in entry.changes.items()},
        "door": entry.door,
        "address": entry.address,
        "request_id": entry.request_id,
        "credential": _ref_view(entry.credential),
    }


def _ref_view(ref: Ref | None) -> AuditRef | None:
    return None if ref is None else {"kind": ref.kind, "id": ref.id}


def _change_view(change: Change) -> AuditChange | None:
    if change is None:
        return None
    before, after = map(_value, change)
    return {"before": before, "after": after}


def _value(value: Value) -> str | Bit | None:
    return bit(value) if isinstance(value, bool) else value
