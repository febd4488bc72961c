"""ECDSA signatures at the limits of their range, as in Wycheproof's vectors for ECDSA and JWS.

Most verify under a public key computed for them: for a nonce point R and any s, (r, s) is valid for
the key Q = (sR - hG) / r, whose private half remains unknown.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tools.corpora.mint import Group, Mint, b64, ecdsa, pack
from tools.corpora.p256 import G, N, P, Point, add, multiply, next_point


@dataclass(frozen=True)
class EdgeKey:
    """A public key, with tokens that must verify and tokens that must not."""

    about: str
    kid: str
    jwk: str
    right: Group
    wrong: Group


def edge_keys(mint: Mint) -> Iterator[EdgeKey]:
    """Return keys for which unusual signatures are valid."""
    nonces = {
        "the smallest r": next_point(1),
        "r of one octet less": next_point(2**248 - 200),
        "r of the generator": G,
        "the largest r": next_point(N - 400),
        # The coordinate is reduced by the order, so r is small though the point is not.
        "a nonce point beyond the order": next_point(N),
    }
    numbers = {
        "s = 1": 1,
        "s = 2": 2,
        "s of 16 octets": 2**128 - 1,
        "s with a leading zero": 2**248 - 1,
        "s at half the order": N // 2,
        "s above half the order": N // 2 + 1,
        "s = n - 2": N - 2,
        "s = n - 1": N - 1,
    }
    for number, (nonce, point) in enumerate(nonces.items()):
        for place, (name, s) in enumerate(numbers.items()):
            yield _edge_key(mint, f"EDGE-{number}-{place}", f"{nonce}, {name}", point, s)
    for number, secret in enumerate((1, 2, N - 1, N - 2, 2**128)):
        yield _known_key(mint, f"KNOWN-{number}", secret)


def _edge_key(mint: Mint, kid: str, about: str, nonce: tuple[int, int], s: int) -> EdgeKey:
    kid = kid.ljust(43, "-")
    text = mint.text({"kid": kid})
    r, digest = nonce[0] % N, _digest(text)
    rest = add(multiply(s, nonce), multiply(-digest, G))
    key = multiply(pow(r, -1, N), rest)
    return EdgeKey(
        about,
        kid,
        _jwk(key),
        {about: f"{text}.{b64(pack(r, s))}", f"{about}, the twin": f"{text}.{b64(pack(r, N - s))}"},
        {f"{about}: {change}": token for change, token in _beside(text, r, s).items()},
    )


def _known_key(mint: Mint, kid: str, secret: int) -> EdgeKey:
    """Return a key with an extreme private half; with r = -h/d the sum is the infinite point."""
    kid = kid.ljust(43, "-")
    text = mint.text({"kid": kid})
    key = ec.derive_private_key(secret, ec.SECP256R1())
    r, s = ecdsa(text, key)
    infinite = -_digest(text) * pow(secret, -1, N) % N
    about = f"the private key {'n - ' + str(N - secret) if secret > N // 2 else secret}"
    return EdgeKey(
        about,
        kid,
        _jwk(multiply(secret, G)),
        {about: f"{text}.{b64(pack(r, s))}"},
        {
            f"{about}: the point at infinity, s = {name}": f"{text}.{b64(pack(infinite, value))}"
            for name, value in {"1": 1, "r": infinite, "n - 1": N - 1}.items()
        },
    )


def broken_signatures(text: str, r: int, s: int) -> Group:
    """Return tokens of `text` with invalid variants of the valid signature (r, s)."""
    der = encode_dss_signature(r, s)
    right, half = pack(r, s), r.to_bytes(32, "big")
    octets = {
        "none": b"",
        "one octet": b"\0",
        "r alone": half,
        "s alone": right[32:],
        "r and zeros": half + bytes(32),
        "zeros and s": bytes(32) + right[32:],
        "one octet short": right[:-1],
        "without its first octet": right[1:],
        "one octet more": right + b"\0",
        "one octet before": b"\0" + right,
        "twice": right * 2,
        "padded to 96 octets": pack(r, s, 48),
        "padded to 132 octets": pack(r, s, 66),
        "r and s exchanged": right[32:] + half,
        "little-endian": half[::-1] + right[:31:-1],
        "DER": der,
        "DER with zeros behind": der.ljust(96, b"\0"),
        "DER cut to 64 octets": der[:64],
        "DER in BER's long form": b"\x30\x81" + der[1:],
        "hexadecimal": right.hex().encode(),
        "base64url of itself": b64(right).encode(),
        "every bit inverted": bytes(octet ^ 255 for octet in right),
        **{f"bit {bit} inverted": _flipped(right, bit) for bit in range(0, 512, 16)},
    }
    tokens = {about: f"{text}.{b64(octet)}" for about, octet in octets.items()}
    return {**tokens, **_special(text, r, s), **_beside(text, r, s)}


def _special(text: str, r: int, s: int) -> Group:
    """Return the pairs of numbers that a careless verifier divides by, reduces or accepts."""
    values = {
        "0": 0,
        "1": 1,
        "n - 1": N - 1,
        "n": N,
        "n + 1": N + 1,
        "p": P,
        "p + 1": P + 1,
        "2^255": 2**255,
        "2^256 - 1": 2**256 - 1,
    }
    pairs = {f"r = {a}, s = {b}": (x, y) for a, x in values.items() for b, y in values.items()}
    pairs |= {f"r = {name}, s right": (value, s) for name, value in values.items()}
    pairs |= {f"r right, s = {name}": (r, value) for name, value in values.items()}
    return {about: f"{text}.{b64(pack(*pair))}" for about, pair in pairs.items()}


def _beside(text: str, r: int, s: int) -> Group:
    """Return valid numbers changed by a multiple of the order, a sign or a power."""
    pairs = {
        "r + n": (r + N, s),
        "s + n": (r, s + N),
        "both + n": (r + N, s + N),
        "-r": (N - r, s),
        "both negative": (N - r, N - s),
        "r + 1": (r + 1, s),
        "s + 1": (r, s + 1),
        "s - 1": (r, s - 1),
        "1/s": (r, pow(s, -1, N)),
        "1/r": (pow(r, -1, N), s),
        "r for s": (r, r),
        "s for r": (s, s),
    }
    fit = {about: pair for about, pair in pairs.items() if max(pair) < 2**256}
    # With s = 1 and its like some are the signature itself, or its twin.
    twins = {(r, s), (r, N - s)}
    return {about: f"{text}.{b64(pack(*pair))}" for about, pair in fit.items() if pair not in twins}


def unusual_right(mint: Mint) -> Group:
    """Return valid tokens whose signature or digest has leading zeros, which is rare."""
    wanted: dict[str, Callable[[int, int, int], bool]] = {
        "r with a leading zero": lambda r, _s, _h: r < 2**248,
        "s with a leading zero": lambda _r, s, _h: s < 2**248,
        "a digest with a leading zero": lambda _r, _s, digest: digest < 2**248,
        "a digest beyond 2^256 - 2^248": lambda _r, _s, digest: digest >= 2**256 - 2**248,
    }
    found: Group = {}
    for spaces in range(1024):
        claims = json.dumps(mint.claims).encode() + b" " * spaces
        for _ in range(4):
            text = mint.text(claims=claims)
            r, s = ecdsa(text, mint.key)
            for about, is_such in wanted.items():
                if is_such(r, s, _digest(text)):
                    found.setdefault(about, f"{text}.{b64(pack(r, s))}")
        if len(found) == len(wanted):
            break
    return found


def _flipped(octets: bytes, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[bit // 8] ^= 128 >> bit % 8
    return bytes(changed)


def _digest(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest(), "big")


def _jwk(point: Point) -> str:
    if point is None:
        raise ValueError("the point at infinity is no key")
    x, y = (b64(number.to_bytes(32, "big")) for number in point)
    return json.dumps({"kty": "EC", "crv": "P-256", "x": x, "y": y})
