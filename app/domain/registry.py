"""Guilds and servers: what accounts belong to and own, whoever keeps the list."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from app.domain.errors import Flaw, InvalidInput
from app.domain.users import parse_snowflake, parse_uuid

NAME_MAX = 100
ICON_MAX = 2048
# Of one account, at a panel.
SERVERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Guild:
    """A guild of the chat; its owner belongs to it without further ado."""

    id: int
    name: str
    owner_id: int
    icon: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """A game server of the panel.

    `enabled` is what an admin wants. The server is `active` while its owner's account is, too:
    so disabling an account stops its servers, and enabling it restores just those.
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
    """A game server as a panel of its own knows it; `active` until it is stopped there."""

    uuid: str
    active: bool


def guild_id(raw: str) -> int:
    """A guild's snowflake; else InvalidInput."""
    if (value := parse_snowflake(raw)) is None:
        raise InvalidInput.of(Flaw("id", "must be a snowflake: a decimal string"))
    return value


def server_uuid(raw: str) -> str:
    """A server's uuid; else InvalidInput."""
    if (value := parse_uuid(raw)) is None:
        raise InvalidInput.of(Flaw("uuid", "must be a UUID of 36 characters"))
    return value


def label(raw: str) -> str:
    """The name of a guild or server: 1 to 100 printable characters; else InvalidInput."""
    name = raw.strip()
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
        raise InvalidInput.of(Flaw("name", f"must have 1 to {NAME_MAX} printable characters"))
    return name


def icon_url(raw: str | None) -> str | None:
    """A guild's icon: an http or https URL, or none; else InvalidInput."""
    if raw is None:
        return None
    try:
        parts = urlsplit(raw)
        plausible = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        plausible = False
    if not plausible or len(raw) > ICON_MAX or not raw.isprintable() or " " in raw:
        raise InvalidInput.of(Flaw("icon", "must be an http or https URL, or null"))
    return raw
