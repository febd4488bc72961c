"""Foreign headers with a signature that is valid for them."""

import json
from typing import Any

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec

from tools.corpora.mint import Group, Mint, b64, public_jwk

_URL = "https://attacker.example/keys"
_TYPES: list[Any] = ["jwt", "at+jwt", "JOSE", "JWE", "application/jwt", "", None, 1, ["JWT"]]
_CRITS: list[Any] = [[], [""], ["alg"], ["b64"], "exp", None, {}, [1], ["exp", "exp"]]
_NO_HEADERS: list[Any] = [None, True, 1, "ES256", [], [{"alg": "ES256"}], {}]


def own_keys(mint: Mint) -> Group:
    """Return tokens signed by a key of the attacker, in or behind a header member."""
    mine = ec.generate_private_key(ec.SECP256R1())
    jwk = public_jwk(mine.public_key())
    der = mine.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    members: dict[str, dict[str, Any]] = {
        "jwk": {"jwk": jwk},
        "jwk with the trusted kid": {"jwk": {**jwk, "kid": mint.header["kid"]}},
        "jwk as kid": {"kid": json.dumps(jwk)},
        "jku": {"jku": _URL},
        "jku on this host": {"jku": "http://127.0.0.1/.well-known/jwks.json"},
        "x5u": {"x5u": _URL},
        "x5c": {"x5c": [b64(der)]},
        "x5t": {"x5t": b64(der[:20])},
        "x5t#S256": {"x5t#S256": b64(der[:32])},
        "another kid": {"kid": b64(der[:32])},
        "the trusted kid": {},
    }
    tokens = {about: mint.signed(mint.text(change), mine) for about, change in members.items()}
    theirs = public_jwk(mint.key.public_key())
    return tokens | {"the trusted key, embedded": mint.token({"jwk": theirs})}


def headers(mint: Mint) -> Group:
    """Return headers with additional members, and with other values of ours."""
    members: dict[str, Any] = {
        "crit": ["exp"],
        "b64": False,
        "cty": "JWT",
        "zip": "DEF",
        "enc": "A256GCM",
        "epk": public_jwk(mint.key.public_key()),
        "apu": "AAAA",
        "p2c": 2**31 - 1,
        "nonce": "x",
        "url": _URL,
        "iss": "gatehouse",
        "exp": 2**40,
        "": "",
        "__proto__": {"alg": "none"},
        "ALG": "none",
        "alg ": "none",
        "x" * 1000: 1,
    }
    tokens = {f"with {name[:16]!r}": mint.token({name: value}) for name, value in members.items()}
    for value in _CRITS:
        tokens[f"crit {value!r}"] = mint.token({"crit": value})
    tokens["b64 false, and critical"] = mint.token({"b64": False, "crit": ["b64"]})
    for typ in _TYPES:
        tokens[f"typ {typ!r}"] = mint.token({"typ": typ})
    for name in mint.header:
        rest = {key: value for key, value in mint.header.items() if key != name}
        tokens[f"without {name}"] = mint.token(json.dumps(rest).encode())
    return tokens | {
        f"the header {value!r}": mint.token(json.dumps(value).encode()) for value in _NO_HEADERS
    }


def kids(mint: Mint) -> Group:
    """Return key ids that a careless verifier would open, query or run."""
    kid = mint.header["kid"]
    values: list[Any] = ["", None, 0, 1.5, True, [kid], {"kid": kid}, f"{kid}=", f" {kid}"]
    values += [
        f"{kid} ",
        f"{kid}\0",
        f"{kid}\n",
        kid[:-1],
        kid + "A",
        kid.swapcase(),
        kid[::-1],
        "A" * 43,
    ]
    values += ["../../../../dev/null", "/dev/null", "C:\\keys\\key.pem", "signing-key.pem", _URL]
    values += ["file:///etc/passwd", "' OR '1'='1", "' UNION SELECT 'secret", "x' OR kid LIKE '%"]
    values += ["%", "_" * 43, "*", "$(id)", "`id`", "| id", "key;drop table signing_keys"]
    values += ["é" * 43, "\U0001f511" * 43, "A" * 2000, "\u0000" * 43, "__proto__", "constructor"]
    return {f"{value!r}"[:60]: mint.token({"kid": value}) for value in values}
