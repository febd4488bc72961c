"""Cursors: where a page ended, bound to the filters and the order of its list."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from app.domain.errors import Flaw, InvalidInput
from app.domain.users import SNOWFLAKE_MAX, Listed, Position, Sort, SortKey, UserFilter


def position_of(user: Listed, sort: Sort) -> Position:
    """Where `user` stands in the order of `sort`."""
    match sort.key:
        case SortKey.ID:
            return Position(user.number, user.number)
        case SortKey.USERNAME:
            return Position(user.username, user.number)
        case SortKey.EMAIL:
            return Position(user.email_key, user.number)


def cursor_after(user: Listed, wanted: UserFilter, sort: Sort) -> str:
    """The cursor of the page that begins after `user`."""
    position = position_of(user, sort)
    text = json.dumps([_digest(wanted, sort), position.value, position.number])
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, wanted: UserFilter, sort: Sort) -> Position:
    """The position a cursor names; InvalidInput for one that is not ours or of another list."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        digest, value, number = json.loads(urlsafe_b64decode(padded))
        position = _position(value, number, sort)
    except (ValueError, TypeError, RecursionError):
        raise _invalid("is not one that this list gave") from None
    if digest != _digest(wanted, sort):
        raise _invalid("belongs to other filters or another order")
    return position


def _position(value: object, number: object, sort: Sort) -> Position:
    if type(number) is not int or not 0 <= number <= SNOWFLAKE_MAX:
        raise ValueError
    if sort.key is SortKey.ID:
        return Position(number, number)
    if type(value) is not str:
        raise ValueError
    value.encode()
    return Position(value, number)


def _digest(wanted: UserFilter, sort: Sort) -> str:
    return sha256(repr((wanted, sort)).encode()).hexdigest()[:16]


def _invalid(rule: str) -> InvalidInput:
    return InvalidInput.of(Flaw("cursor", rule))
