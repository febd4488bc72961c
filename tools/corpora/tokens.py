"""Signed tokens that must fail, and some that must not, as in Wycheproof's vectors for JWS.

Each kind of forgery has a valid counterpart in `right_tokens`: rejecting everything proves nothing.
"""

import hmac
import json
from itertools import product
from typing import Any

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from tools.corpora.json_invalid import INVALID
from tools.corpora.mint import Group, Mint, b64, ecdsa, pack, public_jwk, segment
from tools.corpora.signatures import broken_signatures, unusual_right
from tools.corpora.token_headers import headers, kids, own_keys
from tools.corpora.token_texts import changed, duplicates, encodings, segments

TOKEN_MAX = 4096


def right_tokens(mint: Mint) -> dict[str, Group]:
    """Return tokens that are accepted."""
    header, claims = json.dumps(mint.header), json.dumps(mint.claims)
    turned = dict(reversed([*mint.claims.items()]))
    return {
        "written in another way": {
            "as issued": mint.token(),
            "header members in another order": mint.signed(
                f"{segment(dict(reversed([*mint.header.items()])))}.{segment(mint.claims)}"
            ),
            "claims in another order": mint.token(claims=json.dumps(turned).encode()),
            "white space in both": mint.token(
                json.dumps(mint.header, indent=2).encode(), f"\t{claims}\n".encode()
            ),
            "an escape in a name": mint.token(header.replace('"alg"', '"\\u0061lg"').encode()),
            "almost too long": _as_long_as(mint, TOKEN_MAX - 8),
        },
        "unusual signatures": unusual_right(mint),
    }


def forged_tokens(mint: Mint) -> dict[str, Group]:
    """Return tokens that are rejected."""
    return {
        "alg none": _none(mint),
        "an HMAC with the public key": _hmacs(mint),
        "another algorithm": _algorithms(mint),
        "another curve or kind of key": _other_keys(mint),
        "a broken signature": broken_signatures(mint.text(), *ecdsa(mint.text(), mint.key)),
        "a key that comes with the token": own_keys(mint),
        "header members": headers(mint),
        "kid": kids(mint),
        "duplicate members": duplicates(mint),
        "segments": segments(mint.token()),
        "base64url": encodings(mint),
        "changed after signing": changed(mint.token()),
        "no JSON in the header": {
            about: mint.token(text) for about, text in _texts().items() if len(text) < 2000
        },
        "no JSON in the payload": {
            about: mint.token(claims=text) for about, text in _texts().items() if len(text) < 2000
        },
        "size and depth": {
            "too long": _as_long_as(mint, TOKEN_MAX + 4),
            "ten times too long": _as_long_as(mint, TOKEN_MAX * 10),
            "half a megabyte of dots": "." * 2**19,
            "a deep header": mint.token(b'{"alg":' + b"[" * 900 + b"]" * 900 + b"}"),
            "a deep payload": mint.token(claims=b'{"sub":' + b"[" * 900 + b"]" * 900 + b"}"),
        },
    }


def _none(mint: Mint) -> Group:
    cases = ["".join(letters) for letters in product(*((c, c.upper()) for c in "none"))]
    names: list[Any] = [*cases, " none", "none ", "none\0", "n\u043ene", "", None, False, 0]
    signature = mint.token().rpartition(".")[2]
    tokens: Group = {}
    for alg in names:
        for header in ({"alg": alg}, {"alg": alg, "typ": "JWT"}, {**mint.header, "alg": alg}):
            text = f"{segment(header)}.{segment(mint.claims)}"
            tail = {"no signature": "", "a right one": signature, "zeros": b64(bytes(64))}
            for about, last in tail.items():
                tokens[f"{alg!r}, {about}, {len(header)} members"] = f"{text}.{last}"
    return tokens


def public_forms(key: ec.EllipticCurvePublicKey, kid: str) -> dict[str, bytes]:
    """Return all public forms of a key that a verifier might use as a shared secret."""
    jwk = public_jwk(key)
    spki = form.PublicFormat.SubjectPublicKeyInfo
    pem = key.public_bytes(form.Encoding.PEM, spki)
    der = key.public_bytes(form.Encoding.DER, spki)
    point = key.public_bytes(form.Encoding.X962, form.PublicFormat.UncompressedPoint)
    short = key.public_bytes(form.Encoding.X962, form.PublicFormat.CompressedPoint)
    full = {**jwk, "kid": kid, "use": "sig", "alg": "ES256"}
    return {
        "PEM": pem,
        "PEM without its last newline": pem.strip(),
        "PEM with CR LF": pem.replace(b"\n", b"\r\n"),
        "the lines of the PEM": b"".join(pem.splitlines()[1:-1]),
        "DER": der,
        "DER in hexadecimal": der.hex().encode(),
        "the point": point,
        "the point without its prefix": point[1:],
        "the compressed point": short,
        "x": point[1:33],
        "JWK": json.dumps(jwk).encode(),
        "compact JWK": json.dumps(jwk, separators=(",", ":")).encode(),
        "JWK as published": json.dumps(full, sort_keys=True).encode(),
        "JWK Set": json.dumps({"keys": [full]}, separators=(",", ":")).encode(),
        "kid": kid.encode(),
        "empty": b"",
        "null": b"null",
        "secret": b"secret",
    }


def _hmacs(mint: Mint) -> Group:
    tokens: Group = {}
    forms = public_forms(mint.key.public_key(), mint.header["kid"])
    for (about, secret), (alg, digest) in product(
        forms.items(),
        [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512"), ("ES256", "sha512")],
    ):
        text = mint.text({"alg": alg})
        mac = hmac.digest(secret, text.encode(), digest)
        tokens[f"{about}, {alg}, {len(mac)} octets"] = f"{text}.{b64(mac)}"
    return tokens


def _algorithms(mint: Mint) -> Group:
    """Return other algorithm names with a signature that is valid for ES256."""
    names: list[Any] = ["ES384", "ES512", "ES256K", "EdDSA", "HS256", "RS256", "PS256", "dir"]
    names += ["es256", "ES-256", "ES256 ", " ES256", "ES256\0", "ES256\n", "\uff25\uff33256"]
    names += ["ecdsa-sha256", "SHA256withECDSA", "A128KW", "1.2.840.10045.4.3.2", "", None, True]
    names += [256, -7, 1.5, ["ES256"], {"ES256": 1}, [["ES256"]], "ES256,none", "*"]
    return {f"{alg!r}": mint.token({"alg": alg}) for alg in names}


def _other_keys(mint: Mint) -> Group:
    tokens: Group = {}
    curves = {"ES384": (ec.SECP384R1(), SHA384()), "ES512": (ec.SECP521R1(), SHA512())}
    curves |= {"ES256K": (ec.SECP256K1(), SHA256()), "P-256 of another": (ec.SECP256R1(), SHA256())}
    for name, (curve, digest) in curves.items():
        key = ec.generate_private_key(curve)
        for alg in {"ES256", name}:
            text = mint.text({"alg": alg})
            width = (curve.key_size + 7) // 8
            tokens[f"{name} as {alg}"] = f"{text}.{b64(pack(*ecdsa(text, key, digest), width))}"
    strong = rsa.generate_private_key(65537, 2048)
    edwards = ed25519.Ed25519PrivateKey.generate()
    for alg in ("RS256", "PS256", "EdDSA", "ES256"):
        text = mint.text({"alg": alg})
        octets = text.encode()
        pss = padding.PSS(padding.MGF1(SHA256()), 32)
        signatures = {
            "RSA": strong.sign(octets, padding.PKCS1v15(), SHA256()),
            "RSA-PSS": strong.sign(octets, pss, SHA256()),
            "Ed25519": edwards.sign(octets),
        }
        for name, signature in signatures.items():
            tokens[f"{name} as {alg}"] = f"{text}.{b64(signature)}"
    return tokens


def _texts() -> dict[str, bytes]:
    return {
        f"{group}: {about}": text
        for group, texts in INVALID.items()
        for about, text in texts.items()
        if text
    }


def _as_long_as(mint: Mint, length: int) -> str:
    """Return a token of about that length, its payload padded with spaces."""
    claims = json.dumps(mint.claims).encode()
    spaces = (length - len(mint.token(claims=claims))) * 3 // 4
    return mint.token(claims=claims + b" " * spaces)
