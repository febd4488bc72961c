"""Accounts: the three names of each, its changes, and how a list of them is chosen."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Self
from unicodedata import normalize
from uuid import UUID

from app.domain.errors import Flaw, InvalidInput, LastAdmin, PreconditionFailed, UserNotFound
from app.domain.names import email_key
from app.domain.presence import Presence

_DIGEST_DIGITS = 16
_SERVERS_PART = re.compile(rf'\.[0-9a-f]{{{_DIGEST_DIGITS}}}"\Z')
SNOWFLAKE_MAX = 2**63 - 1
PAGE_MAX = 1000


@dataclass(frozen=True, slots=True)
class User:
    """One account.

    `number`, `id` (the snowflake) and `uuid` never change and are never given to another account.
    `version` counts the changes of the account and of its servers; presence is not among them. It
    is None until first set, and again once the account was disabled.
    """

    number: int
    id: int
    uuid: str
    username: str
    display_name: str
    email: str | None
    password_hash: str | None
    admin: bool
    disabled: bool
    version: int
    presence: Presence | None = None

    @property
    def is_active_admin(self) -> bool:
        """Whether this account can act as an admin now."""
        return self.admin and not self.disabled

    @property
    def etag(self) -> str:
        """The strong entity tag of this version of the account (RFC 9110 section 8.8.3)."""
        return f'"{self.number}-{self.version}"'

    def etag_with(self, servers: Iterable[str]) -> str:
        """The same with what another service says of its servers; `version` counts just ours."""
        digest = sha256(",".join(servers).encode()).hexdigest()[:_DIGEST_DIGITS]
        return f'{self.etag[:-1]}.{digest}"'

    def require_match(self, if_match: str) -> None:
        """Compare with an If-Match field (RFC 9110 section 13.1.1); else PreconditionFailed.

        Of a tag `etag_with` servers only the account's part counts: what another service keeps
        cannot be changed here, so nothing of it can be lost.
        """
        tags = [_SERVERS_PART.sub('"', tag.strip()) for tag in if_match.split(",")]
        if tags != ["*"] and self.etag not in tags:
            raise PreconditionFailed


@dataclass(frozen=True, slots=True)
class NewUser:
    """An account about to be created; the store gives it its number."""

    id: int
    uuid: str
    username: str
    skeleton: str
    display_name: str
    email: str | None
    password_hash: str | None
    admin: bool = False


# Stands for whoever runs the command line: the directory's owner, above every account.
OPERATOR = User(
    number=0,
    id=0,
    uuid="00000000-0000-0000-0000-000000000000",
    username="operator",
    display_name="operator",
    email=None,
    password_hash=None,
    admin=True,
    disabled=False,
    version=0,
)


def keep_an_admin(before: User, after: User, *, others: Callable[[], bool]) -> None:
    """Raise LastAdmin where the change takes away the last active admin.

    `others` tells whether another active admin exists, read in the transaction of the change.
    """
    if before.is_active_admin and not after.is_active_admin and not others():
        raise LastAdmin


def parse_uuid(raw: str) -> str | None:
    """The RFC 9562 text form in lower case, or None for anything but 36 such characters."""
    if len(raw) != 36 or not raw.isascii():
        return None
    try:
        canonical = str(UUID(raw))
    except ValueError:
        return None
    return canonical if canonical == raw.lower() else None


def parse_snowflake(raw: str) -> int | None:
    """A snowflake from its decimal form, or None for anything else."""
    if not (raw.isascii() and raw.isdigit()) or len(raw) > 19 or raw[0] == "0":
        return None
    value = int(raw)
    return value if value <= SNOWFLAKE_MAX else None


@dataclass(frozen=True, slots=True)
class AccountRef:
    """Names one account, by uuid or by snowflake."""

    uuid: str | None = None
    id: int | None = None

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Read either form; raise UserNotFound for what can be neither."""
        if (uuid := parse_uuid(raw)) is not None:
            return cls(uuid=uuid)
        if (snowflake := parse_snowflake(raw)) is not None:
            return cls(id=snowflake)
        raise UserNotFound


class Status(StrEnum):
    """Which accounts a list holds."""

    ACTIVE = "active"
    DISABLED = "disabled"
    ALL = "all"


class SortKey(StrEnum):
    """What a list is ordered by; ties fall to the number."""

    ID = "id"
    USERNAME = "username"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of a list: a key, and whether it descends."""

    key: SortKey = SortKey.ID
    descending: bool = False

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Read `id`, `-id`, `username`, …; raise InvalidInput."""
        name = raw.removeprefix("-")
        if name not in set(SortKey):
            reason = f"must be one of {', '.join(SortKey)}, with '-' before it to descend"
            raise InvalidInput.of(Flaw("sort", reason))
        return cls(SortKey(name), raw.startswith("-"))


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which accounts are wanted; every condition that is given must hold.

    `username` and `email_key` are exact; `text` is a literal part of the name or of the address.
    """

    status: Status = Status.ACTIVE
    username: str | None = None
    email_key: str | None = None
    id: int | None = None
    admin: bool | None = None
    text: str | None = None

    @property
    def username_part(self) -> str:
        """`text` in the form of usernames, which are in lower case."""
        return normalize("NFC", self.text or "").lower()

    @property
    def email_part(self) -> str:
        """`text` in the form in which addresses are compared."""
        return email_key(self.text or "")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the last account's sort value and number."""

    value: str | int
    number: int
