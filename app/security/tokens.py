"""A strict wrapper around python-jose, for our own ES256 tokens only.

RFC 7519 and the best practices of RFC 8725: one algorithm, one type, keys chosen by `kid` from our
own set only, every claim required. The form is checked before the library sees a byte. Every flaw
has the same result, None.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from jose import jws
from jose.backends.base import Key
from jose.exceptions import JOSEError
from pydantic_core import from_json, to_json

from app.domain.credentials import TOKEN_MAX, TokenClaims
from app.domain.ports.services import Clock
from app.domain.ports.store import Store
from app.domain.signing_keys import PublicKey
from app.domain.text import ASCII, Pattern
from app.domain.users import parse_snowflake, parse_uuid
from app.runtime.bounded_map import BoundedMap
from app.security.key_files import ALGORITHM
from app.security.signing_keys import SigningKeyFile, verifying_key

ISSUER = AUDIENCE = "gatehouse"
# How soon a server notices that a key has ended.
REREAD_KEYS_EVERY = timedelta(minutes=1)
# Verified tokens in memory, about a kilobyte each: a valid signature stays valid.
VERIFIED_MAX = 10_000

_SEGMENT = "([A-Za-z0-9_-]+)"
# An ES256 signature has 64 octets (RFC 7518 section 3.4): 86 characters.
_TOKEN = Pattern(rf"{_SEGMENT}\.{_SEGMENT}\.([A-Za-z0-9_-]{{86}})", TOKEN_MAX, ASCII)
_KID = Pattern(r"[A-Za-z0-9_-]{43}", 43, ASCII)
_CLAIMS = {"iss", "aud", "sub", "sid", "iat", "exp", "jti"}
_TIME_MAX = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


class JoseTokens:
    """`Tokens` by python-jose."""

    def __init__(self, signing: SigningKeyFile, store: Store, clock: Clock) -> None:
        self._signing = signing
        self._store = store
        self._clock = clock
        self._verifying: dict[str, tuple[Key, PublicKey, datetime]] = {}
        self._verified: BoundedMap[str, tuple[str, TokenClaims]] = BoundedMap(VERIFIED_MAX)

    def issue(self, claims: TokenClaims) -> str:
        """Return a signed token with these claims. Raises Overloaded while no key may sign."""
        signing = self._signing.current()
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(claims.user_id),
            "sid": claims.session_id,
            "iat": int(claims.issued_at.timestamp()),
            "exp": int(claims.expires_at.timestamp()),
            "jti": claims.token_id,
        }
        token: str = jws.sign(
            to_json(payload), signing.key, headers={"kid": signing.kid}, algorithm=ALGORITHM
        )
        return token

    def can_issue(self) -> bool:
        """Return whether a key may sign."""
        return self._signing.is_usable

    async def verify(self, token: str) -> TokenClaims | None:
        """Return the claims of a token of ours, which may have expired, or None."""
        verified = self._verified.get(token)
        if verified is None:
            verified = await self._verify(token)
            if verified is None:
                return None
            self._verified.put(token, verified)
        kid, claims = verified
        # Since its verification the key may have ended.
        return None if await self._key(kid) is None else claims

    async def _verify(self, token: str) -> tuple[str, TokenClaims] | None:
        if (parts := _TOKEN.fullmatch(token)) is None:
            return None
        try:
            kid = _kid(_json_object(parts[1]))
            payload, signature = _json_object(parts[2]), _decode(parts[3])
            key = await self._key(kid) if kid else None
        except (ValueError, KeyError, JOSEError):
            return None
        # The header is exactly ours, so the key's own algorithm is used.
        if key is None or not key.verify(_signed_part(token), signature):
            return None
        claims = _claims(payload)
        return None if claims is None else (kid, claims)

    async def _key(self, kid: str) -> Key | None:
        now = self._clock.now()
        kept = self._verifying.get(kid)
        if kept is None or abs(now - kept[2]) >= REREAD_KEYS_EVERY:
            public = await self._store.read(lambda tx: tx.signing_keys.find(kid))
            if public is None:
                return None
            key = verifying_key(public) if kept is None else kept[0]
            kept = self._verifying[kid] = (key, public, now)
        return kept[0] if kept[1].is_trusted(now) else None


def _signed_part(token: str) -> bytes:
    """Return header and payload as they were sent (RFC 7515 section 5.2)."""
    return token.rpartition(".")[0].encode()


def _claims(payload: dict[str, Any]) -> TokenClaims | None:
    if payload.keys() != _CLAIMS or payload["iss"] != ISSUER or payload["aud"] != AUDIENCE:
        return None
    texts = [payload[name] for name in ("sub", "sid", "jti")]
    times = [payload[name] for name in ("iat", "exp")]
    if not all(type(text) is str for text in texts):
        return None
    if not all(type(time) is int and 0 <= time <= _TIME_MAX for time in times):
        return None
    user_id, session_id, token_id = (
        parse_snowflake(texts[0]),
        parse_uuid(texts[1]),
        parse_uuid(texts[2]),
    )
    issued_at, expires_at = (datetime.fromtimestamp(time, UTC) for time in times)
    if user_id is None or session_id is None or token_id is None:
        return None
    if not issued_at < expires_at:
        return None
    return TokenClaims(user_id, session_id, issued_at, expires_at, token_id)


def _kid(header: dict[str, Any]) -> str:
    """Return the kid of a header that is exactly like ours, or ''."""
    if header.keys() != {"alg", "kid", "typ"}:
        return ""
    if header["alg"] != ALGORITHM or header["typ"] != "JWT":
        return ""
    kid = header["kid"]
    return kid if type(kid) is str and _KID.fullmatch(kid) else ""


def _json_object(segment: str) -> dict[str, Any]:
    """Parse an object without duplicate members (RFC 7515 section 4). Raises ValueError."""
    text = _decode(segment)
    value = from_json(text, allow_inf_nan=False)
    if type(value) is not dict:
        raise ValueError("not an object")
    # The parser above has bounded the depth, which the standard library does not.
    if len(json.loads(text, object_pairs_hook=list)) != len(value):
        raise ValueError("a member occurs twice")
    return value


def _decode(segment: str) -> bytes:
    """Decode canonical unpadded base64url (RFC 7515 section 2). Raises ValueError."""
    octets = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if urlsafe_b64encode(octets).rstrip(b"=") != segment.encode():
        raise ValueError("not canonical")
    return octets
