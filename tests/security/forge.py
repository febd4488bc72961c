"""A forger who even holds the signing key: tokens of any shape, and what the APIs say of them."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.domain.errors import CredentialFault
from tests.gateway import Gateway

# The order of P-256 (SEC 2 section 2.4.2).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# Takes a member away in `Forge.token`.
GONE = ...

Answer = tuple[int, str, str]
LET_IN: Answer = (200, "", "")
REFUSED: Answer = (401, "unauthenticated", CredentialFault.INVALID.value)
EXPIRED: Answer = (401, "unauthenticated", CredentialFault.EXPIRED.value)


def b64(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def raw_signature(signing_input: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """RFC 7518 section 3.4: r and s, each as long as the curve's order."""
    width = (key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(signing_input.encode(), ec.ECDSA(SHA256())))
    return r.to_bytes(width, "big") + s.to_bytes(width, "big")


@dataclass(frozen=True)
class Forge:
    """A good token taken apart, and the key that signed it."""

    good: str
    key: ec.EllipticCurvePrivateKey

    @property
    def header(self) -> dict[str, Any]:
        header: dict[str, Any] = json.loads(unb64(self.good.split(".")[0]))
        return header

    @property
    def claims(self) -> dict[str, Any]:
        claims: dict[str, Any] = json.loads(unb64(self.good.split(".")[1]))
        return claims

    def unsigned(
        self, header: dict[str, Any] | bytes | None = None, claims: dict[str, Any] | bytes = b""
    ) -> str:
        """The first two segments; a dictionary holds changes to what is good."""
        return ".".join((b64(_changed(self.header, header)), b64(_changed(self.claims, claims))))

    def sign(self, signing_input: str, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        return f"{signing_input}.{b64(raw_signature(signing_input, key or self.key))}"

    def token(
        self,
        header: dict[str, Any] | bytes | None = None,
        claims: dict[str, Any] | bytes = b"",
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> str:
        """A token with these changes and a signature that fits, by our key or another."""
        return self.sign(self.unsigned(header, claims), key)


def forge(token: str, pem: bytes) -> Forge:
    key = load_pem_private_key(pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Forge(token, key)


def _changed(good: dict[str, Any], changes: dict[str, Any] | bytes | None) -> bytes:
    if isinstance(changes, bytes) and changes:
        return changes
    members = {**good, **(changes or {})} if not isinstance(changes, bytes) else good
    kept = {name: value for name, value in members.items() if value is not GONE}
    return json.dumps(kept, separators=(",", ":")).encode()


async def answers(gateway: Gateway, credential: str) -> set[Answer]:
    """The responses of both APIs to a credential, in every place it can be sent."""
    # White space around a credential belongs to the header, not to the credential.
    places: list[dict[bytes, bytes]] = []
    if credential == credential.strip():
        places.append({b"X-Access-Token": credential.encode()})
        places.append({b"Authorization": b"Bearer " + credential.encode()})
    found = set()
    for headers in places:
        response = await gateway.client.get("/users/@self", headers=headers)
        found.add(_answer(response.status_code, response.json()))
        reply = await gateway.client.post("/rpc?errors=problem", json=_CALL, headers=headers)
        found.add(_rpc_answer(reply.json()))
    found.add(_rpc_answer(await gateway.rpc("users.self", auth=credential, query=_PROBLEM)))
    return found


_PROBLEM = "?errors=problem"
_CALL = {"jsonrpc": "2.0", "method": "users.self", "id": 1}


def _rpc_answer(reply: dict[str, Any]) -> Answer:
    problem = reply.get("error", {}).get("data", {})
    return _answer(problem.get("status", 200), problem)


def _answer(status: int, body: dict[str, Any]) -> Answer:
    return (status, body.get("code", ""), body.get("detail", ""))
