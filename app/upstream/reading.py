"""What other services say, read strictly: JSON within bounds, names in the contract's forms."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from unicodedata import category

from pydantic_core import from_json

from app.domain.errors import InvalidInput
from app.domain.registry import ICON_MAX, NAME_MAX, icon_url
from app.domain.users import parse_snowflake, parse_uuid
from app.upstream.client import BadAnswerError

T = TypeVar("T")

# Controls, lone surrogates, what ends a line; what joins the parts of an emoji is none of these.
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
_UNKNOWN = "user-not-found"


def json_of(body: bytes) -> Any:
    """The value of a JSON text (RFC 8259) in UTF-8, without NaN and infinities."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        raise BadAnswerError("its answer is not JSON") from None


def list_of(value: Any, most: int, read: Callable[[dict[str, Any]], T]) -> Sequence[T]:
    """A list of at most so many objects, each read by `read`."""
    if type(value) is not list:
        raise BadAnswerError("its answer is no list")
    if len(value) > most:
        raise BadAnswerError(f"its answer lists more than {most}")
    return tuple(read(object_of(item)) for item in value)


def object_of(value: Any) -> dict[str, Any]:
    """An object."""
    if type(value) is not dict:
        raise BadAnswerError("its answer has something else where an object belongs")
    return value


def require_unknown_user(value: Any) -> None:
    """Raise BadAnswerError unless this 404 of a generic service says that the account is missing.

    A wrong address has a 404, too, and nobody may lose his guilds or servers by one.
    """
    if object_of(value).get("code") != _UNKNOWN:
        raise BadAnswerError(f"it answered with status 404, and not for '{_UNKNOWN}'")


def snowflake_of(value: Any, name: str) -> int:
    """A snowflake: a decimal string."""
    found = parse_snowflake(value) if type(value) is str and value else None
    if found is None:
        raise BadAnswerError(f"its answer has no snowflake as {name}")
    return found


def uuid_of(value: Any, name: str) -> str:
    """A uuid of 36 characters, in lower case."""
    found = parse_uuid(value) if type(value) is str else None
    if found is None:
        raise BadAnswerError(f"its answer has no uuid as {name}")
    return found


def label_of(value: Any, name: str) -> str:
    """A name of 1 to 100 characters, on one line."""
    if type(value) is not str or not 1 <= len(value) <= NAME_MAX:
        raise BadAnswerError(f"its answer has no text of 1 to {NAME_MAX} characters as {name}")
    if any(category(character) in _UNFIT for character in value):
        raise BadAnswerError(f"its answer has a control character in {name}")
    return value


def icon_of(value: Any, name: str) -> str | None:
    """An http or https URL, or null."""
    if value is not None and type(value) is not str:
        raise BadAnswerError(f"its answer has neither a URL nor null as {name}")
    try:
        return icon_url(value)
    except InvalidInput:
        raise BadAnswerError(
            f"its answer has no URL of up to {ICON_MAX} characters as {name}"
        ) from None


def flag_of(value: Any, name: str) -> bool:
    """A flag: true, false, 1 or 0."""
    if type(value) is bool or (type(value) is int and value in {0, 1}):
        return bool(value)
    raise BadAnswerError(f"its answer has no flag as {name}")
