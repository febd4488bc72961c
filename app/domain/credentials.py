"""Sessions, tokens and access keys: their shapes, lives and ends."""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Self

from app.domain.audit import Door
from app.domain.bounds import Bounds, Networks, Scope
from app.domain.errors import Flaw, InvalidInput
from app.domain.times import parse_time

SESSION_MAX = timedelta(days=90)
SEEN_EVERY = timedelta(minutes=1)
AGENT_MAX = 256
KEY_NAME_MAX = 64

_ACCESS_KEY = re.compile(r"[A-Za-z0-9]{8}(-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{8}", re.ASCII)
# What the panel document prints in the form of a key: known to everybody, in any case.
_PUBLISHED = {
    "abcdefgh-1234-5678-0000-abcdefgh",
    "demo1111-2222-3333-4444-55556666",
    *(f"{c * 8}-{c * 4}-{c * 4}-{c * 4}-{c * 8}" for c in "xyab"),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, as far as is known; what comes through no door of the wire is the
    operator's."""

    address: str | None = None
    agent: str | None = None
    door: Door = Door.COMMAND_LINE
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One login. It lives until `expires_at`, which each refresh moves on, up to 90 days in all."""

    id: str
    user_id: int
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    address: str | None
    agent: str | None

    @classmethod
    def open(
        cls, *, session_id: str, user_id: int, now: datetime, ttl: timedelta, origin: Origin
    ) -> Self:
        """A session that begins now."""
        return cls(
            id=session_id,
            user_id=user_id,
            created_at=now,
            expires_at=now + min(ttl, SESSION_MAX),
            last_seen_at=now,
            address=origin.address,
            agent=_printable(origin.agent[:AGENT_MAX]) if origin.agent is not None else None,
        )

    def refreshed(self, now: datetime, ttl: timedelta) -> "Session":
        """The session with its end moved on; never nearer, never past 90 days in all."""
        end = min(now + ttl, self.created_at + SESSION_MAX)
        return replace(self, expires_at=max(end, self.expires_at))

    def is_live(self, now: datetime) -> bool:
        """Whether the session still lets anybody in."""
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A long-lived credential of one account; `id` is its public part, the secret is hashed."""

    id: str
    user_id: int
    name: str
    secret_hash: bytes
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    scope: Scope = Scope.ADMIN
    networks: Networks | None = None

    @property
    def bounds(self) -> Bounds:
        """What it is limited to."""
        return Bounds(self.scope, self.expires_at, self.networks)

    def is_live(self, now: datetime) -> bool:
        """Whether the key still lets anybody in."""
        return self.expires_at is None or now < self.expires_at

    def is_used_from(self, address: str | None) -> bool:
        """Whether the key lets anybody in from there."""
        return self.networks is None or self.networks.holds(address)


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a verified token says; `sid` names its session, `sub` the account's snowflake."""

    user_id: int
    session_id: str
    issued_at: datetime
    expires_at: datetime
    token_id: str


@dataclass(frozen=True, slots=True)
class KeyText:
    """An access key as it travels: `XXXXXXXX-xxxx-xxxx-xxxx-xxxxxxxx`.

    The first group is the public id; the rest is secret. A fast hash is enough for a secret of
    more than 118 random bits.
    """

    text: str

    @classmethod
    def parse(cls, raw: str) -> Self | None:
        """Read a well-formed key, or None."""
        return cls(raw) if _ACCESS_KEY.fullmatch(raw) else None

    @property
    def id(self) -> str:
        """The public id."""
        return self.text[:8]

    @property
    def is_published(self) -> bool:
        """Whether it is one of the examples that the panel document prints."""
        return self.text.lower() in _PUBLISHED

    @property
    def secret_hash(self) -> bytes:
        """What is stored of the secret."""
        return sha256(self.text[9:].encode("ascii")).digest()

    def opens(self, key: AccessKey) -> bool:
        """Whether this is that key's text, compared in constant time."""
        return compare_digest(self.secret_hash, key.secret_hash)


Presented = TokenClaims | KeyText
"""A credential whose form, and for a token whose signature and time, has been checked."""


def key_name(raw: str) -> str:
    """A key's name: 1 to 64 code points, none of them a control character; else InvalidInput."""
    name = unicodedata.normalize("NFC", raw).strip()
    if not 1 <= len(name) <= KEY_NAME_MAX or _printable(name) != name:
        rule = f"must have 1 to {KEY_NAME_MAX} printable characters"
        raise InvalidInput.of(Flaw("name", rule))
    return name


def key_expiry(raw: str | None, now: datetime) -> datetime | None:
    """When a new key ends: an RFC 3339 time in the future, or None for never."""
    if raw is None:
        return None
    expires = parse_time(raw)
    if expires is None or expires <= now:
        rule = "must be an RFC 3339 time in the future, such as 2030-01-31T12:00:00Z"
        raise InvalidInput.of(Flaw("expires_at", rule))
    return expires


def _printable(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c)[0] != "C")
