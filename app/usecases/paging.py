"""Pages of a list, and cursors: where one ended, bound to the filters and the order of its list."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Hashable
from functools import lru_cache
from hashlib import sha256

from app.domain.errors import Flaw, InvalidInput
from app.domain.names import email_key
from app.domain.users import PAGE_MAX, SNOWFLAKE_MAX, Position, Sort, SortKey, UserFilter
from app.usecases.views import PanelUser

LIMIT_DEFAULT = 100
# Whoever goes through a list asks for page after page of the same one.
_DIGESTS = 64


def require_limit(limit: int) -> None:
    """Raise InvalidInput for a page that would have none, or too many."""
    if not 1 <= limit <= PAGE_MAX:
        raise InvalidInput.of(Flaw("limit", f"must be a whole number from 1 to {PAGE_MAX}"))


def position_of(user: PanelUser, sort: Sort) -> Position:
    """Where `user` stands in the order of `sort`."""
    match sort.key:
        case SortKey.ID:
            return Position(user["id"], user["id"])
        case SortKey.USERNAME:
            return Position(user["username"], user["id"])
        case SortKey.EMAIL:
            return Position(email_key(user["email"] or ""), user["id"])


def cursor_after(user: PanelUser, wanted: UserFilter, sort: Sort) -> str:
    """The cursor of the page that begins after `user`."""
    return cursor_at(position_of(user, sort), (wanted, sort))


def read_cursor(cursor: str, wanted: UserFilter, sort: Sort) -> Position:
    """The position a cursor names; InvalidInput for one that is not ours or of another list."""
    return position_at(cursor, (wanted, sort), int if sort.key is SortKey.ID else str)


def cursor_at(position: Position, listing: Hashable) -> str:
    """The cursor of the page that begins after `position` of `listing`: its filters and order."""
    text = json.dumps([_digest(listing), position.value, position.number])
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_at(cursor: str, listing: Hashable, kind: type[int] | type[str]) -> Position:
    """The position that a cursor of `listing` names; `kind` is that of its values.

    Raises InvalidInput for one that is not ours or of another list.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        digest, value, number = json.loads(urlsafe_b64decode(padded))
        position = Position(_whole(value) if kind is int else _text(value), _whole(number))
    except (ValueError, TypeError, RecursionError):
        raise _invalid("is not one that this list gave") from None
    if digest != _digest(listing):
        raise _invalid("belongs to other filters or another order")
    return position


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value <= SNOWFLAKE_MAX:
        raise ValueError
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError
    value.encode()
    return value


@lru_cache(_DIGESTS)
def _digest(listing: Hashable) -> str:
    return sha256(repr(listing).encode()).hexdigest()[:16]


def _invalid(rule: str) -> InvalidInput:
    return InvalidInput.of(Flaw("cursor", rule))
