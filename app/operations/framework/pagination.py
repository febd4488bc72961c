"""Pages of lists, and cursors that are bound to the filters and order of their list."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Hashable
from functools import lru_cache
from hashlib import sha256

from app.domain.errors import FieldError, InvalidInput
from app.domain.names import email_key
from app.domain.users import (
    CURSOR_MAX,
    PAGE_MAX,
    SNOWFLAKE_MAX,
    Position,
    Sort,
    SortKey,
    UserFilter,
)
from app.operations.views.accounts import PanelUser

LIMIT_DEFAULT = 100
# A client that reads a list sends the same filters for each page.
_DIGESTS = 64


def require_limit(limit: int) -> None:
    """Raise InvalidInput for a limit out of range."""
    if not 1 <= limit <= PAGE_MAX:
        raise InvalidInput.for_fields(
            FieldError("limit", f"must be a whole number from 1 to {PAGE_MAX}")
        )


def user_position(user: PanelUser, sort: Sort) -> Position:
    """Return the position of `user` in the order of `sort`."""
    match sort.key:
        case SortKey.ID:
            return Position(user["id"], user["id"])
        case SortKey.USERNAME:
            return Position(user["username"], user["id"])
        case SortKey.EMAIL:
            return Position(email_key(user["email"] or ""), user["id"])


def make_user_cursor(user: PanelUser, wanted: UserFilter, sort: Sort) -> str:
    """Return the cursor of the page that begins after `user`."""
    return make_cursor(user_position(user, sort), (wanted, sort))


def parse_user_cursor(cursor: str, wanted: UserFilter, sort: Sort) -> Position:
    """Return the position of a cursor. Raises InvalidInput for an invalid one or one of another
    list."""
    return parse_cursor(cursor, (wanted, sort), int if sort.key is SortKey.ID else str)


def make_cursor(position: Position, listing: Hashable) -> str:
    """Return the cursor of the page after `position`; `listing` identifies the filters and
    order."""
    text = json.dumps([_digest(listing), position.value, position.number])
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_cursor(cursor: str, listing: Hashable, kind: type[int] | type[str]) -> Position:
    """Return the position of a cursor of `listing`; `kind` is the type of its value.

    Raises InvalidInput for an invalid cursor or one of another list.
    """
    if len(cursor) > CURSOR_MAX:
        raise _invalid(_NOT_ISSUED)
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        digest, value, number = json.loads(urlsafe_b64decode(padded))
        position = Position(_whole(value) if kind is int else _text(value), _whole(number))
    except (ValueError, TypeError, RecursionError):
        raise _invalid(_NOT_ISSUED) from None
    if digest != _digest(listing):
        raise _invalid("was issued for other filters or another order")
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


_NOT_ISSUED = "was not issued for this list; send the 'next' of its previous page unchanged"


def _invalid(rule: str) -> InvalidInput:
    return InvalidInput.for_fields(FieldError("cursor", rule))
