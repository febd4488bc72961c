"""Strict parsing of upstream responses: bounded JSON, names in the contract's forms."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from unicodedata import category

from pydantic_core import from_json

from app.domain.errors import InvalidInput
from app.domain.guilds_and_servers import ICON_MAX, NAME_MAX, parse_icon_url
from app.domain.users import parse_snowflake, parse_uuid
from app.upstream.client import BadResponseError

T = TypeVar("T")

# Controls, lone surrogates and line separators; joiners of emoji are in none of these.
_DISALLOWED = frozenset({"Cc", "Cs", "Zl", "Zp"})
_UNKNOWN = "user-not-found"


def parse_json(body: bytes) -> Any:
    """Parse a JSON text (RFC 8259) in UTF-8, without NaN and infinities."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        raise BadResponseError("the response is not JSON") from None


def parse_list(value: Any, max_items: int, read: Callable[[dict[str, Any]], T]) -> Sequence[T]:
    """Parse a list of at most `max_items` objects, each with `read`."""
    if type(value) is not list:
        raise BadResponseError("the response is not a list")
    if len(value) > max_items:
        raise BadResponseError(f"the response lists more than {max_items}")
    return tuple(read(require_object(item)) for item in value)


def require_object(value: Any) -> dict[str, Any]:
    """Return an object."""
    if type(value) is not dict:
        raise BadResponseError("the response has something else where an object belongs")
    return value


def require_unknown_user(value: Any) -> None:
    """Raise BadResponseError unless this 404 of a generic service means a missing account.

    A wrong URL has a 404, too, and no user may lose guilds or servers by one.
    """
    if require_object(value).get("code") != _UNKNOWN:
        raise BadResponseError(f"the response has status 404 without the code '{_UNKNOWN}'")


def require_snowflake(value: Any, name: str) -> int:
    """Return a snowflake, which is a decimal string."""
    found = parse_snowflake(value) if type(value) is str and value else None
    if found is None:
        raise BadResponseError(f"the response has no snowflake as {name}")
    return found


def require_uuid(value: Any, name: str) -> str:
    """Return a uuid of 36 characters, in lower case."""
    found = parse_uuid(value) if type(value) is str else None
    if found is None:
        raise BadResponseError(f"the response has no uuid as {name}")
    return found


def require_label(value: Any, name: str) -> str:
    """Return a name of 1 to 100 characters, on one line."""
    if type(value) is not str or not 1 <= len(value) <= NAME_MAX:
        raise BadResponseError(f"the response has no text of 1 to {NAME_MAX} characters as {name}")
    if any(category(character) in _DISALLOWED for character in value):
        raise BadResponseError(f"the response has a control character in {name}")
    return value


def require_icon(value: Any, name: str) -> str | None:
    """Return an http or https URL, or None for null."""
    if value is not None and type(value) is not str:
        raise BadResponseError(f"the response has neither a URL nor null as {name}")
    try:
        return parse_icon_url(value)
    except InvalidInput:
        raise BadResponseError(
            f"the response has no URL of up to {ICON_MAX} characters as {name}"
        ) from None


def require_flag(value: Any, name: str) -> bool:
    """Return a flag: true, false, 1 or 0."""
    if type(value) is bool or (type(value) is int and value in {0, 1}):
        return bool(value)
    raise BadResponseError(f"the response has no flag as {name}")
