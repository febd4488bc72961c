"""Guilds and servers, in the embedded registry or at another service."""

from dataclasses import dataclass

from app.domain.emoji import remove_emoji
from app.domain.errors import FieldError, InvalidInput
from app.domain.text import url_parts
from app.domain.users import parse_snowflake, parse_uuid

NAME_MAX = 100
ICON_MAX = 2048
# Per account at an external panel.
SERVERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Guild:
    """A guild of the chat; its owner belongs to it without being a member."""

    id: int
    name: str
    owner_id: int
    icon: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """A game server of the panel.

    `enabled` is the state that an admin set. The server is `active` only while its owner's account
    is, too: disabling an account stops its servers, and enabling it restarts exactly those.
    """

    number: int
    uuid: str
    owner_id: int
    owner_uuid: str
    name: str
    enabled: bool
    active: bool


@dataclass(frozen=True, slots=True)
class PanelServer:
    """A game server of an external panel; `active` until it is stopped there."""

    uuid: str
    active: bool


def parse_guild_id(raw: str) -> int:
    """Return a guild's snowflake. Raises InvalidInput."""
    if (value := parse_snowflake(raw)) is None:
        raise InvalidInput.for_fields(FieldError("id", "must be a snowflake: a decimal string"))
    return value


def parse_server_uuid(raw: str) -> str:
    """Return a server's uuid. Raises InvalidInput."""
    if (value := parse_uuid(raw)) is None:
        raise InvalidInput.for_fields(
            FieldError("uuid", "must be a UUID of 36 characters: with hyphens, without braces")
        )
    return value


def parse_label(raw: str) -> str:
    """Return the name of a guild or server: 1 to 100 printable characters. Raises InvalidInput."""
    name = raw.strip()
    if not 1 <= len(name) <= NAME_MAX or not remove_emoji(name).isprintable():
        raise InvalidInput.for_fields(
            FieldError("name", f"must have 1 to {NAME_MAX} printable characters")
        )
    return name


def parse_icon_url(raw: str | None) -> str | None:
    """Return a guild's icon: an http or https URL, or None. Raises InvalidInput."""
    if raw is None:
        return None
    try:
        parts = url_parts(raw, ICON_MAX)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_url = False
    if not is_url or not raw.isprintable() or " " in raw:
        raise InvalidInput.for_fields(FieldError("icon", "must be an http or https URL, or null"))
    return raw
