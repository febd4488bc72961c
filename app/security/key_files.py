"""The files of the private signing keys in `DATA_DIR` (0600)."""

import fcntl
import json
import os
import stat
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwk
from jose.backends.base import Key

from app.runtime.file_owner import adopt_owner

ALGORITHM = "ES256"
KEY_FILE = "signing-key.pem"
NEXT_FILE = "signing-key.next.pem"


class SigningKeyError(RuntimeError):
    """The private key cannot be used; the sentence says what to do."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name} is not a private key of Gatehouse: restore the right one, or delete it "
            "to have a new one created; tokens of the old one stay valid."
        )


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key ready to sign, and its public key."""

    kid: str
    jwk: str
    key: Key


class KeyFiles:
    """The current key and, after a rotation, the next one.

    Raises SigningKeyError for a file that is not one of our keys, and OSError.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir
        self._current = data_dir / KEY_FILE
        self._next = data_dir / NEXT_FILE

    def current(self) -> SigningKey | None:
        """Read the current key."""
        return _load(self._current)

    def next(self) -> SigningKey | None:
        """Read the next key."""
        return _load(self._next)

    def make_current(self) -> SigningKey:
        """Read the current key; create it if there is none."""
        return self._load_or_create(self._current)

    def make_next(self) -> SigningKey:
        """Read the next key; create it if there is none."""
        return self._load_or_create(self._next)

    def promote(self, kid: str) -> None:
        """Replace the current key with the next one, unless that is done."""
        with self._locked():
            next_key = self.next()
            if next_key is not None and next_key.kid == kid:
                replace_file(self._current, self._next.read_bytes())
                self._next.unlink()

    def _load_or_create(self, path: Path) -> SigningKey:
        with self._locked():
            found = _load(path)
            if found is None:
                replace_file(path, _new_pem())
                found = _load(path)
        assert found is not None
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the files against other processes; the lock ends with the process."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, completely and on disk or not at all.

    Of a symbolic link, the target is replaced.
    """
    path = path.resolve()
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            adopt_owner(descriptor, path.parent)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _new_pem() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load(path: Path) -> SigningKey | None:
    """Read a private key, if there is one. Raises SigningKeyError, OSError."""
    try:
        # Opening a FIFO would block.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SigningKeyError(path)
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(path) from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise SigningKeyError(path)
    if not isinstance(private.curve, ec.SECP256R1):
        raise SigningKeyError(path)
    numbers = private.public_key().public_numbers()
    x, y = (_b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
    members: dict[str, Any] = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    kid = _b64(sha256(json.dumps(members, separators=(",", ":")).encode()).digest())
    public = {**members, "kid": kid, "use": "sig", "alg": ALGORITHM}
    return SigningKey(kid, json.dumps(public, sort_keys=True), jwk.construct(pem, ALGORITHM))


def _b64(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")
