"""The strict wrapper around python-jose: ES256 tokens of ours, and nothing else.

RFC 7519 and the advice of RFC 8725: one algorithm, one type, keys chosen by `kid` from our own
set alone, every claim required. The shape is checked before the library sees a byte; whatever is
wrong, the answer is None.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from jose import jws
from jose.backends.base import Key
from jose.exceptions import JOSEError
from pydantic_core import from_json, to_json

from app.domain.credentials import TokenClaims
from app.domain.ports import Clock, PublicKey, Store
from app.domain.users import parse_snowflake, parse_uuid
from app.security.signing import ALGORITHM, SigningKeyFile, verifying_key

ISSUER = AUDIENCE = "gatehouse"
TOKEN_MAX = 4096
# How soon a server notices that a key's time is over.
REREAD_KEYS_EVERY = timedelta(minutes=1)
# A signature that was right stays right; about a kilobyte each.
VERIFIED_MAX = 10_000

_SEGMENT = "([A-Za-z0-9_-]+)"
# An ES256 signature has 64 octets (RFC 7518 section 3.4): 86 characters.
_TOKEN = re.compile(rf"{_SEGMENT}\.{_SEGMENT}\.([A-Za-z0-9_-]{{86}})", re.ASCII)
_KID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_CLAIMS = {"iss", "aud", "sub", "sid", "iat", "exp", "jti"}
_TIME_MAX = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


class JoseTokens:
    """Issues and reads our tokens."""

    def __init__(self, signing: SigningKeyFile, store: Store, clock: Clock) -> None:
        self._signing = signing
        self._store = store
        self._clock = clock
        self._verifying: dict[str, tuple[Key, PublicKey, datetime]] = {}
        self._verified: dict[str, tuple[str, TokenClaims]] = {}

    def issue(self, claims: TokenClaims) -> str:
        """A signed token with these claims."""
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

    async def read(self, token: str) -> TokenClaims | None:
        """The claims of a token of ours that has not expired, else None."""
        verified = self._verified.get(token)
        if verified is None:
            verified = await self._verify(token)
            if verified is None:
                return None
            if len(self._verified) >= VERIFIED_MAX:
                del self._verified[next(iter(self._verified))]
            self._verified[token] = verified
        kid, claims = verified
        # Time may have ended the token, or the trust in its key, since it was verified.
        is_valid = self._clock.now() < claims.expires_at and await self._key(kid) is not None
        return claims if is_valid else None

    async def _verify(self, token: str) -> tuple[str, TokenClaims] | None:
        if len(token) > TOKEN_MAX or (parts := _TOKEN.fullmatch(token)) is None:
            return None
        try:
            kid = _kid(_json_object(parts[1]))
            payload = _json_object(parts[2])
            _decode(parts[3])
            key = None if kid is None else await self._key(kid)
            if kid is None or key is None:
                return None
            jws.verify(token, key, [ALGORITHM])
        except (ValueError, KeyError, JOSEError):
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


def _kid(header: dict[str, Any]) -> str | None:
    """The key's name from a header that is exactly as ours are."""
    if header.keys() != {"alg", "kid", "typ"}:
        return None
    if header["alg"] != ALGORITHM or header["typ"] != "JWT":
        return None
    kid = header["kid"]
    return kid if type(kid) is str and _KID.fullmatch(kid) else None


def _json_object(segment: str) -> dict[str, Any]:
    value = from_json(_decode(segment), allow_inf_nan=False)
    if type(value) is not dict:
        raise ValueError("not an object")
    return value


def _decode(segment: str) -> bytes:
    """Unpadded base64url (RFC 7515 section 2) in its one canonical form; else ValueError."""
    octets = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if urlsafe_b64encode(octets).rstrip(b"=") != segment.encode():
        raise ValueError("not canonical")
    return octets
