"""Write results, and the audit entries that are derived from them.

Every change goes through `OperationContext.write` or `write_for_anyone`, whose work returns a
`WriteResult`, so no operation can omit its target and changes. The entry is added in the same
transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Generic, TypeVar, cast

from app.domain.audit import (
    DONE,
    REFUSAL_INTERVAL,
    Change,
    Changes,
    Entry,
    EntryFilter,
    Ref,
    RefKind,
    Value,
)
from app.domain.credentials import AccessKey, Origin, Session
from app.domain.guilds_and_servers import Guild, Server
from app.domain.outbox import Message
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.users import User

T = TypeVar("T")
V = TypeVar("V")


class AuditDetail(Enum):
    """The part of a changed field that an entry keeps."""

    VALUE = "the values before and after"
    NAME = "the name"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class AuditRule:
    """The audit rule of a field.

    `shown` is the field's name in the trail, if it differs. With `if_new` and `if_gone`, the field
    is also recorded when an object is created or deleted; it then counts as changed from or to
    `absent`.
    """

    kept: AuditDetail
    shown: str = ""
    if_new: bool = False
    if_gone: bool = False
    absent: Value = None


_VALUE, _NAME, _SILENT = (
    AuditRule(AuditDetail.VALUE),
    AuditRule(AuditDetail.NAME),
    AuditRule(AuditDetail.NOTHING),
)
# Of any other field an entry says only that it changed. Values are kept where neither a secret nor
# anything personal can stand: what is personal must be erasable, and a text may hold anything.
AUDIT_RULES: Mapping[type, Mapping[str, AuditRule]] = {
    User: {
        "username": AuditRule(AuditDetail.VALUE, if_new=True),
        "password_hash": AuditRule(AuditDetail.NAME, "password"),
        "admin": AuditRule(AuditDetail.VALUE, if_new=True, absent=False),
        "disabled": _VALUE,
        # It counts the other changes.
        "version": _SILENT,
        # It changes often.
        "presence": _SILENT,
    },
    Session: {
        "id": AuditRule(AuditDetail.VALUE, "session", if_new=True, if_gone=True),
        # Moves with each new token, which has an entry of its own.
        "expires_at": _SILENT,
        "last_seen_at": _SILENT,
    },
    AccessKey: {
        "id": AuditRule(AuditDetail.VALUE, "key", if_new=True, if_gone=True),
        "last_used_at": _SILENT,
    },
    Server: {
        # The same as `owner_uuid`.
        "owner_id": _SILENT,
        "owner_uuid": AuditRule(AuditDetail.VALUE, "owner", if_new=True, if_gone=True),
        "name": AuditRule(AuditDetail.NAME, if_new=True),
        "enabled": AuditRule(AuditDetail.VALUE, "active", if_new=True),
        # Follows from `enabled` and the owner's account.
        "active": _SILENT,
    },
    Guild: {
        "name": AuditRule(AuditDetail.NAME, if_new=True),
        "owner_id": AuditRule(AuditDetail.VALUE, if_new=True, if_gone=True),
    },
}

# The resolution of stored times.
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class WriteResult(Generic[T]):
    """The result of a write, with its target and the members that changed.

    Without changes, no entry is written. `actor` is set if it is known only at the end, as in a
    login. `messages` are for the outbox.
    """

    result: T
    target: Ref | None = None
    changes: Changes = field(default_factory=dict)
    actor: Principal | None = None
    messages: Sequence[Message] = ()

    def with_view(self, view: Callable[[T], V]) -> "WriteResult[V]":
        """Return the same with a view of the result."""
        return WriteResult(view(self.result), self.target, self.changes, self.actor, self.messages)


def account_ref(user: User) -> Ref:
    """Return the reference to an account."""
    return Ref(RefKind.USER, user.uuid)


def diff_entities(before: V | None, after: V | None) -> Changes:
    """Return the changes between two states of an object by its audit rules; None: it is new or
    deleted."""
    kind = type(after if before is None else before)
    changes: dict[str, Change] = {}
    for name in (member.name for member in fields(cast(Any, kind))):
        rule = AUDIT_RULES[kind].get(name, _NAME)
        is_recorded = (before is not None or rule.if_new) and (after is not None or rule.if_gone)
        old, new = (rule.absent if it is None else getattr(it, name) for it in (before, after))
        if is_recorded and old != new and rule.kept is not AuditDetail.NOTHING:
            shown = (_shown(old), _shown(new)) if rule.kept is AuditDetail.VALUE else None
            changes[rule.shown or name] = shown
    return changes


def _shown(value: Value | int) -> Value:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def make_entry(
    action: str,
    actor: Principal | None,
    origin: Origin,
    at: datetime,
    *,
    outcome: str = DONE,
    target: Ref | None = None,
    changes: Changes | None = None,
) -> Entry:
    """Create an entry: `actor`, from `origin`, performed `action`, or was refused it."""
    return Entry(
        at=at,
        actor=None if actor is None else actor.audit_name,
        action=action,
        outcome=outcome,
        target=target,
        changes=changes or {},
        door=origin.door,
        address=origin.address,
        request_id=origin.request_id,
        credential=None if actor is None else actor.credential,
    )


def add_refusal(tx: Transaction, entry: Entry) -> None:
    """Add the entry of a refusal, unless one of the same kind was added within REFUSAL_INTERVAL.

    This keeps clients from flooding the trail with wrong passwords or forbidden requests.
    """
    lately = EntryFilter(
        actor=entry.actor,
        target=() if entry.target is None else (entry.target.id,),
        outcome=entry.outcome,
        since=entry.at - REFUSAL_INTERVAL,
        # Entries in the future were written before the clock was set back, possibly long ago.
        until=entry.at + _TICK,
    )
    if not tx.audit.list_page(lately, None, 1):
        tx.audit.add(entry)
