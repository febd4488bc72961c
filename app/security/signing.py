"""The keys that tokens are signed with: one private half per data directory, the public halves of
all in the store."""

import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwk
from jose.backends.base import Key

from app.domain.ports import Clock, PublicKey, Store, Transaction

Also = Callable[[Transaction, str | None, str], None]

ALGORITHM = "ES256"
KEY_FILE = "signing-key.pem"
REPLACED_FILE = "signing-key.replaced"


class SigningKeyError(RuntimeError):
    """The private key cannot be used; the sentence says what to do."""


_UNUSABLE = (
    f"{KEY_FILE} is not a private key of ours: put the right one back, or remove it and a new one "
    "is made; tokens of the old one stay valid."
)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key ready to sign, and the name of its public half."""

    kid: str
    key: Key


def verifying_key(public: PublicKey) -> Key:
    """A public key ready to verify; building one costs more than using it."""
    return jwk.construct(json.loads(public.jwk), ALGORITHM)


class SigningKeyFile:
    """The private key in `DATA_DIR` (0600).

    A changed file is noticed at the next use, so that a rotation at the command line reaches a
    running server.
    """

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._path = data_dir / KEY_FILE
        self._replaced = data_dir / REPLACED_FILE
        self._clock = clock
        self._loaded: tuple[tuple[int, int], SigningKey] | None = None

    def current(self) -> SigningKey:
        """The key to sign with now."""
        stat = os.stat(self._path)
        version = (stat.st_mtime_ns, stat.st_ino)
        if self._loaded is None or self._loaded[0] != version:
            pem = self._path.read_bytes()
            self._loaded = (
                version,
                SigningKey(_public_half(pem)[0], jwk.construct(pem, ALGORITHM)),
            )
        return self._loaded[1]

    async def ensure(self, store: Store) -> str:
        """Make the key where there is none, see that its public half is published, and the one that
        it took the place of retired; its kid."""
        if not self._path.exists():
            return await self.rotate(store)
        kid, jwk_text = _public_half(self._path.read_bytes())

        def publish(tx: Transaction) -> None:
            if tx.signing_keys.find(kid) is None:
                tx.signing_keys.publish(PublicKey(kid, jwk_text, self._clock.now(), None))

        await store.write(publish)
        await self._retire_replaced(store, kid)
        return kid

    async def rotate(self, store: Store, also: Also | None = None) -> str:
        """Sign with a new key from now on; its kid. Tokens of the old one stay valid.

        `also` gets the old and the new kid, in the transaction that publishes. The public half is
        published before the private one is used, and the file is replaced at once and whole. The
        key to retire is written down before that: what a crash interrupts, `ensure` completes.
        """
        old = _public_half(self._path.read_bytes())[0] if self._path.exists() else None
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        kid, jwk_text = _public_half(pem)
        now = self._clock.now()

        def publish(tx: Transaction) -> None:
            tx.signing_keys.publish(PublicKey(kid, jwk_text, now, None))
            if also is not None:
                also(tx, old, kid)

        await store.write(publish)
        if old is not None:
            replace_file(self._replaced, old.encode())
        replace_file(self._path, pem)
        await self._retire_replaced(store, kid)
        return kid

    async def _retire_replaced(self, store: Store, kid: str) -> None:
        """Retire the key whose place `kid` took, where that has not been done yet."""
        try:
            old = self._replaced.read_text()
        except FileNotFoundError:
            return
        # It is still in use where the rotation came no further.
        if old != kid:
            now = self._clock.now()
            await store.write(lambda tx: tx.signing_keys.retire(old, now))
            self._replaced.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: all of it, on disk, or nothing."""
    descriptor, draft = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        os.unlink(draft)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _public_half(pem: bytes) -> tuple[str, str]:
    """The RFC 7638 thumbprint and the public JWK of a private key."""
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except ValueError as error:
        raise SigningKeyError(_UNUSABLE) from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise SigningKeyError(_UNUSABLE)
    numbers = private.public_key().public_numbers()
    x, y = (_b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
    members: dict[str, Any] = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    kid = _b64(sha256(json.dumps(members, separators=(",", ":")).encode()).digest())
    public = {**members, "kid": kid, "use": "sig", "alg": ALGORITHM}
    return kid, json.dumps(public, sort_keys=True)


def _b64(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")
