"""Tokens of any shape, signed by a key that the verifier trusts: what is wrong with one of them is
then the only reason to refuse it.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm

Part = Mapping[str, Any] | bytes
Group = dict[str, str]
"""Tokens by description."""


def b64(octets: bytes) -> str:
    """Encode octets as base64url without padding (RFC 7515, section 2)."""
    return urlsafe_b64encode(octets).decode().rstrip("=")


def unb64(text: str) -> bytes:
    """Decode a base64url text."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pack(r: int, s: int, width: int = 32) -> bytes:
    """Encode a signature as in RFC 7518, section 3.4."""
    return r.to_bytes(width, "big") + s.to_bytes(width, "big")


def segment(part: Part) -> str:
    """Return a segment of a token: an object as compact JSON, octets unchanged."""
    octets = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return b64(octets)


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the public key as a JWK (RFC 7518, section 6.2)."""
    numbers = key.public_numbers()
    width = (key.curve.key_size + 7) // 8
    x, y = (b64(number.to_bytes(width, "big")) for number in (numbers.x, numbers.y))
    return {"crv": f"P-{key.curve.key_size}", "kty": "EC", "x": x, "y": y}


def ecdsa(
    text: str, key: ec.EllipticCurvePrivateKey, digest: HashAlgorithm | None = None
) -> tuple[int, int]:
    """Return the numbers of a signature of `text`."""
    return decode_dss_signature(key.sign(text.encode(), ec.ECDSA(digest or SHA256())))


@dataclass(frozen=True)
class Mint:
    """A trusted key, with the header and the claims of a valid token."""

    key: ec.EllipticCurvePrivateKey
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @classmethod
    def of(cls, token: str, key: ec.EllipticCurvePrivateKey) -> "Mint":
        """Return a mint for tokens like this one."""
        header, claims = (json.loads(unb64(part)) for part in token.split(".")[:2])
        return cls(key, header, claims)

    def text(self, header: Part | None = None, claims: Part | None = None) -> str:
        """Return the signed text: a mapping adds or replaces members, octets stay unchanged."""
        parts = ((self.header, header), (self.claims, claims))
        return ".".join(
            segment(change if isinstance(change, bytes) else {**good, **(change or {})})
            for good, change in parts
        )

    def signed(self, text: str, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        """Return a token of that text with a valid signature, by the trusted key or another."""
        key = key or self.key
        return f"{text}.{b64(pack(*ecdsa(text, key), (key.curve.key_size + 7) // 8))}"

    def token(self, header: Part | None = None, claims: Part | None = None) -> str:
        """Return a token with these changes, signed by the trusted key."""
        return self.signed(self.text(header, claims))
