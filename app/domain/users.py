"""Accounts: identifiers, invariants, and the filters and order of lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Self
from uuid import UUID

from app.domain.errors import FieldError, InvalidInput, LastAdmin, UserNotFound
from app.domain.names import USERNAME_MAX, parse_stored_username
from app.domain.preconditions import DIGEST_DIGITS
from app.domain.presence import Presence
from app.domain.quoting import quote
from app.domain.text import (
    ASCII,
    Pattern,
    decode_a_labels,
    nfc,
    only_letters,
    to_half_width,
)

# No name or address is longer.
SEARCH_MAX = 254
SNOWFLAKE_MAX = 2**63 - 1
SNOWFLAKE = rf"[1-9][0-9]{{0,{len(str(SNOWFLAKE_MAX)) - 1}}}"
_SNOWFLAKE = Pattern(SNOWFLAKE, len(str(SNOWFLAKE_MAX)), ASCII)
UUID_LENGTH = 36
# The highest integer that every JSON parser can represent (RFC 8259 section 6).
NUMBER_MAX = 2**53 - 1
_HEX = Pattern(r"[0-9a-f]{28,40}", 64)
PAGE_MAX = 1000
# The longest cursor contains an address of 254 escaped characters.
CURSOR_MAX = 8192


@dataclass(frozen=True, slots=True)
class User:
    """An account; `number` is 0 until the store has assigned one.

    `number`, `id` (the snowflake) and `uuid` never change and are never reused. `version` counts
    changes of the account and of its servers, but not of the presence. The presence is None until
    it is first set, and again after the account was disabled.
    """

    number: int
    id: int
    uuid: str
    username: str
    display_name: str
    email: str | None
    password_hash: str | None
    admin: bool = False
    disabled: bool = False
    version: int = 1
    presence: Presence | None = None

    @property
    def is_active_admin(self) -> bool:
        """True for an admin whose account is not disabled."""
        return self.admin and not self.disabled

    @property
    def etag(self) -> str:
        """The strong entity tag of this version of the account (RFC 9110 section 8.8.3)."""
        return f'"{self.number}-{self.version}"'

    def etag_with(self, *parts: object) -> str:
        """Return the entity tag of a view with `parts` that `version` does not cover; None is
        none."""
        given = [str(part) for part in parts if part is not None]
        if not given:
            return self.etag
        digest = sha256("\n".join(given).encode()).hexdigest()[:DIGEST_DIGITS]
        return f'{self.etag[:-1]}.{digest}"'


# The user of the command line, who has all permissions and no account.
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


def require_active_admin(before: User, after: User, *, others: Callable[[], bool]) -> None:
    """Raise LastAdmin if the change removes the last active admin.

    `others` tells if another active admin exists, in the transaction of the change.
    """
    if before.is_active_admin and not after.is_active_admin and not others():
        raise LastAdmin


def parse_uuid(raw: str) -> str | None:
    """Return the RFC 9562 text form in lower case, or None if `raw` is not 36 characters of it."""
    if len(raw) != UUID_LENGTH or not raw.isascii():
        return None
    try:
        canonical = str(UUID(raw))
    except ValueError:
        return None
    return canonical if canonical == raw.lower() else None


def parse_snowflake(raw: str) -> int | None:
    """Parse a snowflake in decimal, or return None."""
    if _SNOWFLAKE.fullmatch(raw) is None:
        return None
    value = int(raw)
    return value if value <= SNOWFLAKE_MAX else None


_SELF = frozenset({"current", "me", "myself", "self", "selfjson", "whoami"})
_PLACEHOLDERS = frozenset(
    {"id", "nan", "none", "null", "objectobject", "undefined", "user", "userid", "username", "uuid"}
)
_LOOKED_AT = 64


def user_not_found(raw: str, forms: str = "") -> UserNotFound:
    """Return the error for a text that names no account.

    `forms`: a sentence about those that are taken, if the text has none of them.
    """
    letters = only_letters(raw[:_LOOKED_AT])
    if letters in _SELF:
        return UserNotFound("The caller's own account is /users/@self, in JSON-RPC users.self.")
    if letters in _PLACEHOLDERS:
        return UserNotFound(f"{quote(raw)} seems to be a placeholder that was not replaced.")
    if _HEX.fullmatch(letters.removeprefix("urnuuid")):
        return UserNotFound("A uuid has 36 characters: with hyphens, without braces.")
    if letters.isdecimal():
        return UserNotFound(
            "Numbers do not name an account here. The list of users finds the uuid of a snowflake "
            "(GET /users?user_id=…, admin.users.list)."
        )
    return UserNotFound(forms)


@dataclass(frozen=True, slots=True)
class AccountRef:
    """A reference to an account, by one of its three names."""

    uuid: str | None = None
    id: int | None = None
    username: str | None = None

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Parse either form. Raises UserNotFound for anything else."""
        if (uuid := parse_uuid(raw)) is not None:
            return cls(uuid=uuid)
        if (snowflake := parse_snowflake(raw)) is not None:
            return cls(id=snowflake)
        raise user_not_found(raw, "Name the account by its uuid or its snowflake.")

    @classmethod
    def parse_any(cls, raw: str) -> Self | None:
        """Parse a uuid, a snowflake or a username; return None for anything else."""
        if (uuid := parse_uuid(raw)) is not None:
            return cls(uuid=uuid)
        # A snowflake has more digits than a username has characters.
        if len(raw) > USERNAME_MAX and (snowflake := parse_snowflake(raw)) is not None:
            return cls(id=snowflake)
        username = parse_stored_username(raw)
        return None if username is None else cls(username=username)

    @property
    def key(self) -> tuple[str, str | int | None]:
        """The member that identifies the account, and its value."""
        if self.uuid is not None:
            return "uuid", self.uuid
        if self.username is not None:
            return "username", self.username
        return "id", self.id


class Status(StrEnum):
    """The accounts that a list includes."""

    ACTIVE = "active"
    DISABLED = "disabled"
    ALL = "all"


class SortKey(StrEnum):
    """The sort key of a list; equal keys are sorted by number."""

    ID = "id"
    USERNAME = "username"
    EMAIL = "email"


_SORT_KEYS = frozenset(SortKey)


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of a list."""

    key: SortKey = SortKey.ID
    descending: bool = False

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Parse `id`, `-id`, `username`, …. Raises InvalidInput."""
        name = raw.removeprefix("-")
        if name not in _SORT_KEYS:
            reason = f"must be one of {', '.join(SortKey)}, with '-' before it to descend"
            raise InvalidInput.for_fields(FieldError("sort", reason))
        return cls(SortKey(name), raw.startswith("-"))


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Conditions on accounts; all that are set must hold.

    `username` and `email_key` match exactly; `text` is a literal part of the name or of the
    address.
    """

    status: Status = Status.ACTIVE
    username: str | None = None
    email_key: str | None = None
    id: int | None = None
    admin: bool | None = None
    text: str | None = None

    @property
    def username_part(self) -> str:
        """`text` in the form of usernames: half width and lower case."""
        text = self.text or ""
        # A longer text matches nothing.
        return text if len(text) > SEARCH_MAX else to_half_width(text, SEARCH_MAX).lower()

    @property
    def email_parts(self) -> Sequence[str]:
        """`text` in the forms in which addresses are compared: as a part of the local part, which
        is case-folded, or of the domain, which is in Unicode."""
        if len(text := self.text or "") > SEARCH_MAX:
            return [text]
        raw = nfc(text, SEARCH_MAX)
        domain = decode_a_labels(to_half_width(raw, SEARCH_MAX), SEARCH_MAX).lower()
        local, at, _ = raw.partition("@")
        if at:
            return [f"{local.casefold()}@{domain.partition('@')[2]}"]
        return list(dict.fromkeys([local.casefold(), domain]))


@dataclass(frozen=True, slots=True)
class Position:
    """The end of a page: the sort value and number of its last item."""

    value: str | int
    number: int
