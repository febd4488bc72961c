"""Sessions, tokens and access keys: format, lifetime and expiry."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Self
from unicodedata import category

from app.domain.audit import Door
from app.domain.emoji import remove_emoji
from app.domain.errors import CredentialFault, FieldError, InvalidInput
from app.domain.key_limits import KeyLimits, Networks, Scope
from app.domain.text import ASCII, DOT_ALL, IGNORE_CASE, Pattern, nfc
from app.domain.timestamps import parse_time

SESSION_MAX = timedelta(days=90)
LAST_SEEN_INTERVAL = timedelta(minutes=1)
AGENT_MAX = 256
TOKEN_MAX = 4096
KEY_NAME_MAX = 64
# Per account. A new session replaces the oldest one; keys have to be revoked by their owner.
SESSIONS_MAX, KEYS_MAX = 100, 100
# Before normalization and trimming.
_KEY_NAME_RAW_MAX = 8 * KEY_NAME_MAX

KEY_ID = r"[A-Za-z0-9]{8}"
ACCESS_KEY = rf"{KEY_ID}(-[A-Za-z0-9]{{4}}){{3}}-[A-Za-z0-9]{{8}}"
KEY_ID_LENGTH, ACCESS_KEY_LENGTH = 8, 32
_ACCESS_KEY = Pattern(ACCESS_KEY, ACCESS_KEY_LENGTH, ASCII)
# The keys that the panel document prints, known to everyone; compared without case.
_PUBLISHED = {
    "abcdefgh-1234-5678-0000-abcdefgh",
    "demo1111-2222-3333-4444-55556666",
    *(f"{c * 8}-{c * 4}-{c * 4}-{c * 4}-{c * 8}" for c in "xyab"),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a request, as far as it is known; without an API it is the command line."""

    address: str | None = None
    agent: str | None = None
    door: Door = Door.COMMAND_LINE
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A login session. It ends at `expires_at`, which a refresh extends up to 90 days after
    creation."""

    id: str
    user_id: int
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    address: str | None
    agent: str | None

    @classmethod
    def create(
        cls, *, session_id: str, user_id: int, now: datetime, ttl: timedelta, origin: Origin
    ) -> Self:
        """Create a session that starts now."""
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
        """Return the session with a later expiry, at most 90 days after its creation."""
        end = min(now + ttl, self.created_at + SESSION_MAX)
        return replace(self, expires_at=max(end, self.expires_at))

    def is_active(self, now: datetime) -> bool:
        """Return True until the session has expired."""
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A long-lived credential of an account: a public `id` and the hash of its secret."""

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
    def limits(self) -> KeyLimits:
        """The limits of the key."""
        return KeyLimits(self.scope, self.expires_at, self.networks)

    def is_active(self, now: datetime) -> bool:
        """Return True until the key has expired."""
        return self.expires_at is None or now < self.expires_at

    def can_be_used_from(self, address: str | None) -> bool:
        """Return True if the key may be used from the address."""
        return self.networks is None or self.networks.contains(address)


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """The claims of a verified token: `sid` is its session, `sub` the account's snowflake."""

    user_id: int
    session_id: str
    issued_at: datetime
    expires_at: datetime
    token_id: str


@dataclass(frozen=True, slots=True)
class RawAccessKey:
    """An access key as it is sent: `XXXXXXXX-xxxx-xxxx-xxxx-xxxxxxxx`.

    The first group is the public id, the rest is secret. A fast hash is enough for a secret of more
    than 118 random bits.
    """

    text: str

    @classmethod
    def parse(cls, raw: str) -> Self | None:
        """Parse a well-formed key, or return None."""
        return cls(raw) if _ACCESS_KEY.fullmatch(raw) else None

    @property
    def id(self) -> str:
        """The public id."""
        return self.text[:KEY_ID_LENGTH]

    @property
    def is_published(self) -> bool:
        """True for the example keys that the panel document prints."""
        return self.text.lower() in _PUBLISHED

    @property
    def secret_hash(self) -> bytes:
        """The SHA-256 hash of the secret part, which is stored."""
        return sha256(self.text[KEY_ID_LENGTH + 1 :].encode("ascii")).digest()

    def matches(self, key: AccessKey) -> bool:
        """Compare with the stored key, in constant time."""
        return compare_digest(self.secret_hash, key.secret_hash)


# Texts of programs and documents where a credential should be.
_PLACEHOLDER = Pattern(
    r"[$%<{\[(:]*\s*(?:process\.env\.)?(?:(?:your|my|the|insert|access|api|auth|bearer|jwt|user|secret|xxx)[\s_.-]*)*"
    r"(?:token|key|auth|jwt|secret|undefined|null|none|nil|nan|true|false|object object|x{3,}|\*+"
    r"|\.{3}|…|here)[\s_.-]*(?:here)?[%>}\])]*",
    64,
    IGNORE_CASE,
)
# What is written before a credential elsewhere.
_NAMED = Pattern(
    r"(?:access[_-]?token|api[_-]?key|basic|jwt|key|token)(?: |[:=] ?)\S.*",
    8192,
    IGNORE_CASE | DOT_ALL,
)
_AROUND = "\"'`“”„‘’()[]{}<>,;"
# How much of a text is looked at; no credential is longer.
_LOOKED_AT = 8192


def text_fault(sent: str) -> CredentialFault:
    """Return why a credential cannot be valid by its form alone; INVALID if it could be."""
    text = sent[:_LOOKED_AT]
    if not text.strip():
        return CredentialFault.MISSING
    if text.partition(" ")[0].lower() == "bearer":
        return CredentialFault.BEARER_IN_VALUE
    if _PLACEHOLDER.fullmatch(text):
        return CredentialFault.PLACEHOLDER
    if text.startswith("{") and '"token"' in text:
        return CredentialFault.WHOLE_RESPONSE
    if text.strip(_AROUND) != text or _NAMED.fullmatch(text):
        return CredentialFault.WRAPPED
    if any(map(str.isspace, text)):
        return CredentialFault.BLANKS
    key = RawAccessKey.parse(text)
    if key is not None:
        return CredentialFault.EXAMPLE if key.is_published else CredentialFault.INVALID
    return CredentialFault.INVALID if "." in text else CredentialFault.NEITHER


ParsedCredential = TokenClaims | RawAccessKey
"""A well-formed credential; the signature and expiry of a token have been verified."""


def parse_key_name(raw: str) -> str:
    """Return a key's name: 1 to 64 code points, no control characters. Raises InvalidInput."""
    if len(raw) <= _KEY_NAME_RAW_MAX:
        name = nfc(raw, _KEY_NAME_RAW_MAX).strip()
        plain = remove_emoji(name)
        if 1 <= len(name) <= KEY_NAME_MAX and _printable(plain) == plain:
            return name
    rule = f"must have 1 to {KEY_NAME_MAX} printable characters"
    raise InvalidInput.for_fields(FieldError("name", rule))


def parse_key_expiry(raw: str | None, now: datetime) -> datetime | None:
    """Return the expiry of a new key: an RFC 3339 time in the future, None for never.

    Raises InvalidInput.
    """
    if raw is None:
        return None
    expires = parse_time(raw)
    if expires is None or expires <= now:
        rule = "must be an RFC 3339 time in the future, such as 2030-01-31T12:00:00Z"
        raise InvalidInput.for_fields(FieldError("expires_at", rule))
    return expires


def _printable(text: str) -> str:
    return "".join(c for c in text if category(c)[0] != "C")
