"""Forged tokens at both APIs: whatever is wrong, one refusal, word for word.

Most forgeries here are signed by the right key, so that nothing but the rule in question can be
what refuses them.
"""

import dataclasses
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from app.domain.credentials import SESSION_MAX
from app.domain.errors import CredentialFault
from app.domain.signing_keys import PUBLISHED_AHEAD, PublicKey
from app.main import create_app
from app.security.key_files import KEY_FILE
from app.security.signing_keys import SigningKeyFile
from app.security.tokens import JoseTokens
from app.settings import Settings
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import START, FakeClock
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, client_of
from tests.security.forge import (
    EXPIRED,
    GONE,
    LET_IN,
    ORDER,
    REFUSED,
    Forge,
    answers,
    b64,
    forge,
    raw_signature,
    unb64,
)

pytestmark = pytest.mark.anyio

NOW = int(START.timestamp())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
Standing = tuple[Gateway, Forge]
OTHER_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


async def test_a_token_that_is_put_together_as_ours_are_is_let_in(standing: Standing) -> None:
    gateway, forger = standing
    assert await answers(gateway, forger.token()) == {LET_IN}


async def test_the_chat_dialect_says_the_same_sentence(standing: Standing) -> None:
    gateway, forger = standing
    reply = await gateway.rpc("users.self", auth=forger.good[:-1])
    assert reply["error"]["data"] == REFUSED[2]


async def test_the_refusal_names_the_scheme_to_use(standing: Standing) -> None:
    gateway, forger = standing
    response = await gateway.rest("GET", "/users/@self", forger.good[:-1])
    challenge = 'Bearer realm="gatehouse", error="invalid_token"'
    assert response.headers["www-authenticate"] == challenge


# ------------------------------------------------------------------------------- header

HEADERS: dict[str, dict[str, Any] | bytes] = {
    "no kid": {"kid": GONE},
    "kid null": {"kid": None},
    "kid a number": {"kid": 1},
    "kid a list": {"kid": ["A" * 43]},
    "kid unknown": {"kid": "A" * 43},
    "kid empty": {"kid": ""},
    "kid a path": {"kid": "../../../../../../../../../../../../../dev/null"},
    "kid a query": {"kid": "' OR kid IS NOT NULL OR kid = '' -- xxxxxxxxxxx"},
    "kid with a newline": {"kid": "A" * 43 + "\n"},
    "kid not ASCII": {"kid": "é" * 43},
    "no alg": {"alg": GONE},
    "alg none": {"alg": "none"},
    "alg None": {"alg": "None"},
    "alg empty": {"alg": ""},
    "alg null": {"alg": None},
    "alg lower case": {"alg": "es256"},
    "alg a list": {"alg": ["ES256"]},
    "alg HS256": {"alg": "HS256"},
    "alg RS256": {"alg": "RS256"},
    "alg ES384": {"alg": "ES384"},
    "alg ES256K": {"alg": "ES256K"},
    "alg EdDSA": {"alg": "EdDSA"},
    "no typ": {"typ": GONE},
    "typ of an access token": {"typ": "at+jwt"},
    "typ lower case": {"typ": "jwt"},
    "typ JWE": {"typ": "JWE"},
    "typ null": {"typ": None},
    "crit": {"crit": ["exp"]},
    "crit empty": {"crit": []},
    "b64": {"b64": False, "crit": ["b64"]},
    "jku": {"jku": "https://evil.example/jwks.json"},
    "x5u": {"x5u": "https://evil.example/cert.pem"},
    "x5c": {"x5c": ["MIIB"]},
    "x5t": {"x5t": "AAAA"},
    "cty": {"cty": "JWT"},
    "zip": {"zip": "DEF"},
    "enc": {"enc": "A256GCM"},
    "a member of no name": {"": 1},
    "no object": b'["ES256"]',
    "text": b'"ES256"',
    "null": b"null",
    "no JSON": b"alg=ES256",
    "deep": b"[" * 1000 + b"]" * 1000,
    "deep member": b'{"alg":"ES256","kid":' + b"[" * 500 + b"]" * 500 + b',"typ":"JWT"}',
    "UTF-16": '{"alg":"ES256","typ":"JWT"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"alg":"ES256"}',
    "no UTF-8": b'{"alg":"ES256\xff"}',
    "NUL": b"\0",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
async def test_a_header_that_is_not_exactly_ours_is_refused(
    standing: Standing, header: dict[str, Any] | bytes
) -> None:
    gateway, forger = standing
    assert await answers(gateway, forger.token(header)) == {REFUSED}


async def test_a_key_that_comes_with_the_token_is_refused(standing: Standing) -> None:
    gateway, forger = standing
    numbers = OTHER_KEY.public_key().public_numbers()
    x, y = (b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
    embedded = {"jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}}
    assert await answers(gateway, forger.token(embedded, key=OTHER_KEY)) == {REFUSED}


# ------------------------------------------------------------------------------- claims

CLAIMS: dict[str, dict[str, Any]] = {
    **{f"no {name}": {name: GONE} for name in ("iss", "aud", "sub", "sid", "iat", "exp", "jti")},
    **{f"{name} null": {name: None} for name in ("iss", "aud", "sub", "sid", "iat", "exp", "jti")},
    "iss of another": {"iss": "evil"},
    "iss a list": {"iss": ["gatehouse"]},
    "iss in capitals": {"iss": "Gatehouse"},
    "aud of another": {"aud": "evil"},
    "aud a list": {"aud": ["gatehouse"]},
    "aud a list of two": {"aud": ["gatehouse", "evil"]},
    "aud empty": {"aud": ""},
    "sub a number": {"sub": 71395574100676609},
    "sub true": {"sub": True},
    "sub a list": {"sub": ["1"]},
    "sub an object": {"sub": {"id": "1"}},
    "sub empty": {"sub": ""},
    "sub zero": {"sub": "0"},
    "sub below zero": {"sub": "-1"},
    "sub with an exponent": {"sub": "1e3"},
    "sub beyond 63 bits": {"sub": str(2**63)},
    "sub of 3,000 digits": {"sub": "9" * 3000},
    "sub in other digits": {"sub": "１２３"},
    "sub of nobody": {"sub": "1"},
    "sid a number": {"sid": 1},
    "sid of no session": {"sid": OTHER_UUID},
    "sid no uuid": {"sid": "1"},
    "sid in braces": {"sid": "{" + OTHER_UUID[1:-1] + "}"},
    "jti a number": {"jti": 1},
    "jti empty": {"jti": ""},
    "exp a float": {"exp": NOW + 60.5},
    "exp a whole float": {"exp": NOW + 60.0},
    "exp true": {"exp": True},
    "exp text": {"exp": str(NOW + 60)},
    "exp below zero": {"exp": -1},
    "exp beyond the calendar": {"exp": 10**12},
    "exp of 300 digits": {"exp": 10**300},
    "exp in milliseconds": {"exp": (NOW + 60) * 1000},
    "exp a list": {"exp": [NOW + 60]},
    "iat later than exp": {"iat": NOW + 61, "exp": NOW + 60},
    "iat equal to exp": {"iat": NOW + 60, "exp": NOW + 60},
    "iat a float": {"iat": float(NOW)},
    "iat true": {"iat": True},
    "iat below zero": {"iat": -1},
    "nbf": {"nbf": NOW},
    "admin": {"admin": True},
    "scope": {"scope": "admin"},
    "a claim of no name": {"": 1},
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS.keys())
async def test_claims_that_are_not_exactly_ours_are_refused(
    standing: Standing, claims: dict[str, Any]
) -> None:
    gateway, forger = standing
    assert await answers(gateway, forger.token(claims=claims)) == {REFUSED}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1e400", "9" * 3000])
@pytest.mark.parametrize("name", ["iat", "exp"])
async def test_a_time_that_is_no_number_of_seconds_is_refused(
    standing: Standing, name: str, number: str
) -> None:
    gateway, forger = standing
    claims = json.dumps({**forger.claims, name: "@"}).replace('"@"', number)
    assert await answers(gateway, forger.token(claims=claims.encode())) == {REFUSED}


PAYLOADS = {
    "no object": b"[1]",
    "null": b"null",
    "no JSON": b"sub=1",
    "deep": b'{"sub":' + b"[" * 1200 + b"]" * 1200 + b"}",
    "two objects": b"{}{}",
    "no UTF-8": b'{"sub":"\xff"}',
    "lone surrogate": rb'{"sub":"\ud800"}',
    "NUL": b"\0",
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
async def test_a_payload_that_is_no_object_of_claims_is_refused(
    standing: Standing, payload: bytes
) -> None:
    gateway, forger = standing
    assert await answers(gateway, forger.token(claims=payload)) == {REFUSED}


async def test_a_member_that_occurs_twice_is_refused(standing: Standing) -> None:
    gateway, forger = standing
    good = json.dumps(forger.claims)
    for twice in ('{"sub":"1",' + good[1:], good[:-1] + ',"sub":"1"}'):
        assert await answers(gateway, forger.token(claims=twice.encode())) == {REFUSED}


# -------------------------------------------------------------------------------- shape


def _segments(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return lambda token: ".".join(change(token.split(".")))


def _last_bits(token: str) -> str:
    """The same octets from a last character that carries bits which count for nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) | 1]


SHAPES: dict[str, Callable[[str], str]] = {
    "two segments": _segments(lambda s: s[:2]),
    "two segments and a dot": _segments(lambda s: [*s[:2], ""]),
    "four segments": _segments(lambda s: [*s, s[2]]),
    "five segments, as of a JWE": _segments(lambda s: [s[0], "", s[1], s[2], s[2]]),
    "no header": _segments(lambda s: ["", *s[1:]]),
    "no payload": _segments(lambda s: [s[0], "", s[2]]),
    "nothing but dots": lambda _: "..",
    "padding of the signature": lambda token: token + "==",
    "padding of the header": _segments(lambda s: [s[0] + "=", *s[1:]]),
    "bits that count for nothing": _last_bits,
    "the other base64": _segments(lambda s: [*s[:2], "+/" + s[2][2:]]),
    "a space before": lambda token: " " + token,
    "a space after": lambda token: token + " ",
    "a newline after": lambda token: token + "\n",
    "a tab within": _segments(lambda s: [s[0], "\t" + s[1], s[2]]),
    "a NUL after": lambda token: token + "\0",
    "not ASCII": lambda token: token + "é",
    "full-width dots": lambda token: token.replace(".", "．"),
    "capitals": str.upper,
    "a truncated signature": lambda token: token[:-4],
    "an extended signature": lambda token: token + "AAAA",
    "twice": lambda token: f"{token} {token}",
    "in quotes": lambda token: f'"{token}"',
    "JSON serialization": lambda token: json.dumps({"payload": token.split(".")[1]}),
    "null": lambda _: "null",
}


# The form of these alone tells that they are no token.
FAULTS_OF_FORM = {
    "nothing but dots": CredentialFault.INVALID,
    "a space before": CredentialFault.BLANKS,
    "a space after": CredentialFault.BLANKS,
    "a newline after": CredentialFault.BLANKS,
    "a tab within": CredentialFault.BLANKS,
    "full-width dots": CredentialFault.NEITHER,
    "twice": CredentialFault.BLANKS,
    "in quotes": CredentialFault.WRAPPED,
    "JSON serialization": CredentialFault.WRAPPED,
    "null": CredentialFault.PLACEHOLDER,
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_token_in_any_other_shape_is_refused(standing: Standing, shape: str) -> None:
    gateway, forger = standing
    fault = FAULTS_OF_FORM.get(shape, CredentialFault.INVALID)
    assert await answers(gateway, SHAPES[shape](forger.good)) == {(*REFUSED[:2], fault.value)}


@pytest.mark.parametrize("segment", [0, 1])
async def test_a_signed_segment_with_bits_that_count_for_nothing_is_refused(
    standing: Standing, segment: int
) -> None:
    gateway, forger = standing
    members = [json.dumps(part).encode() for part in (forger.header, forger.claims)]
    # One octet after a whole number of threes is written as two characters with four such bits.
    members[segment] += b" " * ((1 - len(members[segment])) % 3)
    segments = [b64(part) for part in members]
    assert await answers(gateway, forger.sign(".".join(segments))) == {LET_IN}
    segments[segment] = _last_bits(segments[segment])
    assert await answers(gateway, forger.sign(".".join(segments))) == {REFUSED}


async def test_a_good_token_of_more_than_4_kb_is_refused(standing: Standing) -> None:
    gateway, forger = standing
    claims = json.dumps(forger.claims).encode()
    assert await answers(gateway, forger.token(claims=claims + b" " * 2000)) == {LET_IN}
    assert await answers(gateway, forger.token(claims=claims + b" " * 3000)) == {REFUSED}


# --------------------------------------------------------------------------- signatures


def _hmac_secrets(key: ec.EllipticCurvePublicKey) -> dict[str, bytes]:
    """Everything public that a careless library might take for a shared secret."""
    spki, point = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.Encoding.X962
    pem = key.public_bytes(serialization.Encoding.PEM, spki)
    der = key.public_bytes(serialization.Encoding.DER, spki)
    uncompressed = key.public_bytes(point, serialization.PublicFormat.UncompressedPoint)
    return {
        "PEM": pem,
        "PEM without its last newline": pem.strip(),
        "DER": der,
        "DER in base64": b64(der).encode(),
        "point": uncompressed,
        "point without its prefix": uncompressed[1:],
        "compressed point": key.public_bytes(point, serialization.PublicFormat.CompressedPoint),
        "empty": b"",
    }


@pytest.mark.parametrize("alg", ["HS256", "ES256"])
@pytest.mark.parametrize("secret", _hmac_secrets(OTHER_KEY.public_key()))
async def test_an_hmac_with_our_public_key_is_refused(
    standing: Standing, secret: str, alg: str
) -> None:
    gateway, forger = standing
    key = _hmac_secrets(forger.key.public_key())[secret]
    text = forger.unsigned({"alg": alg})
    mac = hmac.digest(key, text.encode(), "sha256")
    for signature in (mac, mac + mac):
        assert await answers(gateway, f"{text}.{b64(signature)}") == {REFUSED}


@pytest.mark.parametrize("compact", [True, False])
async def test_an_hmac_with_our_published_jwk_is_refused(standing: Standing, compact: bool) -> None:
    gateway, forger = standing
    published = (await gateway.rest("GET", "/.well-known/jwks.json")).json()
    text = forger.unsigned({"alg": "HS256"})
    for jwk in (published, published["keys"][0], forger.header["kid"]):
        secret = json.dumps(jwk, separators=(",", ":") if compact else None).encode()
        token = f"{text}.{b64(hmac.digest(secret, text.encode(), 'sha256'))}"
        assert await answers(gateway, token) == {REFUSED}


@pytest.mark.parametrize("alg", ["none", "ES256"])
@pytest.mark.parametrize("length", [0, 1, 32, 64, 96])
async def test_a_signature_of_zeros_is_refused(standing: Standing, alg: str, length: int) -> None:
    gateway, forger = standing
    token = f"{forger.unsigned({'alg': alg})}.{b64(bytes(length))}"
    assert await answers(gateway, token) == {REFUSED}


SIGNATURES: dict[str, Callable[[int, int], bytes]] = {
    "DER": encode_dss_signature,
    "r and s exchanged": lambda r, s: s.to_bytes(32, "big") + r.to_bytes(32, "big"),
    "little-endian": lambda r, s: r.to_bytes(32, "little") + s.to_bytes(32, "little"),
    "r alone": lambda r, s: r.to_bytes(32, "big") + bytes(32),
    "s alone": lambda r, s: bytes(32) + s.to_bytes(32, "big"),
    "r of the order": lambda r, s: ORDER.to_bytes(32, "big") + s.to_bytes(32, "big"),
    "s of the order": lambda r, s: r.to_bytes(32, "big") + ORDER.to_bytes(32, "big"),
    "wider numbers": lambda r, s: r.to_bytes(48, "big") + s.to_bytes(48, "big"),
    "all ones": lambda r, s: b"\xff" * 64,
    "one and one": lambda r, s: ((1).to_bytes(32, "big")) * 2,
}


@pytest.mark.parametrize("encode", SIGNATURES.values(), ids=SIGNATURES.keys())
async def test_a_signature_in_another_encoding_is_refused(
    standing: Standing, encode: Callable[[int, int], bytes]
) -> None:
    gateway, forger = standing
    text, _, signature = forger.good.rpartition(".")
    r, s = (int.from_bytes(half, "big") for half in (unb64(signature)[:32], unb64(signature)[32:]))
    assert await answers(gateway, f"{text}.{b64(encode(r, s))}") == {REFUSED}


async def test_the_other_signature_of_the_same_token_gives_nothing_new(
    gateway: Gateway, forger: Forge
) -> None:
    """With (r, s) also (r, n - s) is right (RFC 7518 asks for no particular one of them).

    It stays the token of the same session, and ends with it: nothing here goes by a token's text.
    """
    text, _, signature = forger.good.rpartition(".")
    r, s = unb64(signature)[:32], int.from_bytes(unb64(signature)[32:], "big")
    twin = f"{text}.{b64(r + (ORDER - s).to_bytes(32, 'big'))}"
    assert await answers(gateway, twin) == {LET_IN}
    await gateway.rpc("users.logout", auth=forger.good)
    assert await answers(gateway, twin) == {REFUSED}


async def test_a_signature_by_another_key_is_refused(standing: Standing) -> None:
    gateway, forger = standing
    assert await answers(gateway, forger.token(key=OTHER_KEY)) == {REFUSED}


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1(), ec.SECP521R1()])
@pytest.mark.parametrize("alg", ["ES256", "ES384"])
async def test_a_signature_on_another_curve_is_refused(
    standing: Standing, curve: ec.EllipticCurve, alg: str
) -> None:
    gateway, forger = standing
    token = forger.token({"alg": alg}, key=ec.generate_private_key(curve))
    assert await answers(gateway, token) == {REFUSED}


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
async def test_an_rsa_signature_is_refused(standing: Standing, alg: str) -> None:
    gateway, forger = standing
    key = rsa.generate_private_key(65537, 2048)
    text = forger.unsigned({"alg": alg})
    signature = key.sign(text.encode(), padding.PKCS1v15(), SHA256())
    assert await answers(gateway, f"{text}.{b64(signature)}") == {REFUSED}


async def test_a_signature_of_other_claims_is_refused(gateway: Gateway, forger: Forge) -> None:
    signature = forger.good.rpartition(".")[2]
    mallory = await gateway.sign_up("mallory")
    text = forger.unsigned(claims={"sub": mallory["id"]})
    assert await answers(gateway, f"{text}.{signature}") == {REFUSED}


# ------------------------------------------------------------------------------- key set


async def _publish(gateway: Gateway, kid: str, jwk: str) -> None:
    key = PublicKey(kid, jwk, START, None, START, START)
    await gateway.services.store.write(lambda tx: tx.signing_keys.publish(key))


async def _second_host(gateway: Gateway, folder: Path) -> tuple[str, ec.EllipticCurvePrivateKey]:
    kid = await SigningKeyFile(folder, gateway.clock).ensure(gateway.services.store)
    return kid, forge("", (folder / KEY_FILE).read_bytes()).key


async def test_every_published_key_signs_for_its_own_kid_alone(
    gateway: Gateway, forger: Forge, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kid, key = await _second_host(gateway, tmp_path_factory.mktemp("second"))
    assert await answers(gateway, forger.token({"kid": kid}, key=key)) == {LET_IN}
    assert await answers(gateway, forger.token({"kid": kid})) == {REFUSED}
    assert await answers(gateway, forger.token(key=key)) == {REFUSED}


ODD_KEYS = {
    "a shared secret": '{"kty":"oct","k":"c2VjcmV0"}',
    "no key": "{}",
    "no JSON": "secret",
    "a list": "[]",
    "another curve": '{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}',
    "a point beside the curve": '{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}',
    "RSA": '{"kty":"RSA","n":"AQAB","e":"AQAB"}',
}


@pytest.mark.parametrize("jwk", ODD_KEYS.values(), ids=ODD_KEYS.keys())
async def test_a_published_key_that_cannot_verify_es256_verifies_no_token(
    gateway: Gateway, forger: Forge, jwk: str
) -> None:
    kid = "K" * 43
    await _publish(gateway, kid, jwk)
    text = forger.unsigned({"kid": kid})
    mac = hmac.digest(b"secret", text.encode(), "sha256")
    assert await answers(gateway, f"{text}.{b64(mac + mac)}") == {REFUSED}
    assert await answers(gateway, forger.token({"kid": kid})) == {REFUSED}


async def test_after_a_rotation_old_tokens_are_valid_and_new_ones_have_the_new_key(
    gateway: Gateway, forger: Forge
) -> None:
    kid = await gateway.rotate()
    renewed = (await gateway.rpc("users.refresh", auth=forger.good))["result"]["token"]
    assert json.loads(unb64(renewed.split(".")[0]))["kid"] == kid != forger.header["kid"]
    assert await answers(gateway, renewed) == {LET_IN}
    assert await answers(gateway, forger.good) == {LET_IN}
    assert await answers(gateway, forger.token({"kid": kid})) == {REFUSED}


async def test_a_rotation_is_published_before_anything_is_signed_with_it(
    gateway: Gateway, forger: Forge
) -> None:
    following = await gateway.signing.rotate(gateway.services.store)
    answer = await gateway.rest("GET", "/.well-known/jwks.json")
    assert {key["kid"] for key in answer.json()["keys"]} == {following.kid, forger.header["kid"]}
    assert answer.headers["cache-control"] == "public, max-age=60"
    token = await gateway.log_in("alice")
    assert json.loads(unb64(token.split(".")[0]))["kid"] == forger.header["kid"]


async def test_after_a_rotation_both_keys_are_published_until_the_old_tokens_end(
    gateway: Gateway, forger: Forge
) -> None:
    async def published() -> set[str]:
        answer = await gateway.rest("GET", "/.well-known/jwks.json")
        return {key["kid"] for key in answer.json()["keys"]}

    kid = await gateway.rotate()
    assert await published() == {kid, forger.header["kid"]}
    gateway.clock.turn(SESSION_MAX)
    assert await published() == {kid}


async def test_without_a_key_that_may_sign_logins_fail_and_the_gateway_is_not_ready(
    gateway: Gateway, forger: Forge, tmp_path: Path
) -> None:
    """A replica that is new: the key of another data directory is known to verifiers."""
    store, clock = gateway.services.store, gateway.clock
    replica = SigningKeyFile(tmp_path / "replica", clock)
    (tmp_path / "replica").mkdir()
    await replica.ensure(store)
    services = dataclasses.replace(gateway.services, tokens=JoseTokens(replica, store, clock))
    app = create_app(Settings(), services)
    async with client_of(app, "203.0.113.9") as client:
        login = {"username": "alice", "password": PASSWORD}
        refused = await client.post("/users/auth", json=login)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "300")
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["failing"]) == (503, ["signing-key"])
        headers = {"X-Access-Token": forger.good}
        assert (await client.get("/users/@self", headers=headers)).status_code == 200
        clock.turn(PUBLISHED_AHEAD)
        await replica.ensure(store)
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.post("/users/auth", json=login)).status_code == 200


@pytest.mark.parametrize("seen_before", [True, False])
async def test_a_retired_key_verifies_no_token_once_its_last_ones_have_ended(
    gateway: Gateway, forger: Forge, seen_before: bool
) -> None:
    await gateway.rotate()
    gateway.clock.turn(SESSION_MAX - timedelta(days=6))
    # A thief of the old key chooses the expiry; the session is a live one of today.
    session = Forge(await gateway.log_in("alice"), forger.key).claims["sid"]
    ends = int(gateway.clock.now().timestamp()) + 100 * 86400
    token = forger.token(claims={"sid": session, "exp": ends})
    gateway.clock.turn(timedelta(days=6) - timedelta(minutes=2))
    if seen_before:
        assert await answers(gateway, token) == {LET_IN}
    gateway.clock.turn(timedelta(minutes=2))
    assert await answers(gateway, token) == {REFUSED}


async def test_published_keys_hold_nothing_private(standing: Standing) -> None:
    gateway, _ = standing
    (key,) = (await gateway.rest("GET", "/.well-known/jwks.json")).json()["keys"]
    assert key.keys() == {"alg", "crv", "kid", "kty", "use", "x", "y"}


# ------------------------------------------------------------------------------- revoked


async def test_a_token_of_an_ended_session_is_refused(gateway: Gateway, forger: Forge) -> None:
    renewed = (await gateway.rpc("users.refresh", auth=forger.good))["result"]["token"]
    await gateway.rpc("users.logout", auth=renewed)
    assert await answers(gateway, forger.good) == {REFUSED}
    assert await answers(gateway, renewed) == {REFUSED}


async def test_a_token_of_a_disabled_owner_is_refused_and_stays_so(
    gateway: Gateway, forger: Forge
) -> None:
    path = f"/users/{await gateway.uuid_of('alice')}"
    await gateway.rest("DELETE", path, gateway.admin_key)
    assert await answers(gateway, forger.good) == {REFUSED}
    await gateway.rest("PUT", path, gateway.admin_key, json={"disabled": 0})
    assert await answers(gateway, forger.good) == {REFUSED}


async def test_a_token_whose_time_is_over_is_refused(gateway: Gateway, forger: Forge) -> None:
    gateway.clock.turn(gateway.services.rules.token_ttl)
    assert await answers(gateway, forger.good) == {EXPIRED}
    # Only with a signature of ours.
    assert await answers(gateway, forger.token(key=OTHER_KEY)) == {REFUSED}


async def test_a_token_that_says_that_it_has_expired_is_refused(standing: Standing) -> None:
    gateway, forger = standing
    for claims in ({"exp": NOW - 1, "iat": NOW - 2}, {"exp": NOW, "iat": NOW - 1}):
        assert await answers(gateway, forger.token(claims=claims)) == {EXPIRED}


async def test_not_even_our_key_can_sign_a_token_that_outlives_its_session(
    gateway: Gateway, forger: Forge
) -> None:
    longer = forger.token(claims={"exp": NOW + 365 * 86400})
    assert await answers(gateway, longer) == {LET_IN}
    gateway.clock.turn(gateway.services.rules.token_ttl + timedelta(seconds=1))
    assert await answers(gateway, longer) == {REFUSED}


async def test_the_session_of_one_account_carries_no_token_of_another(standing: Standing) -> None:
    gateway, forger = standing
    boss = await gateway.services.store.read(lambda tx: tx.users.get_by_username("admin"))
    assert boss is not None
    assert await answers(gateway, forger.token(claims={"sub": str(boss.id)})) == {REFUSED}


# ------------------------------------------------------------------------- known answers


async def test_the_kid_is_the_thumbprint_of_rfc_7638(tmp_path: Path) -> None:
    """The key of RFC 7515 appendix A.3, whose thumbprint other libraries' documents print."""
    d = int.from_bytes(unb64("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), "big")
    pem = ec.derive_private_key(d, ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / KEY_FILE).write_bytes(pem)
    kid = await SigningKeyFile(tmp_path, FakeClock()).ensure(MemoryStore())
    assert kid == "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"


async def test_others_verify_a_token_with_what_is_published_alone(standing: Standing) -> None:
    gateway, forger = standing
    (jwk,) = (await gateway.rest("GET", "/.well-known/jwks.json")).json()["keys"]
    x, y = (int.from_bytes(unb64(jwk[name]), "big") for name in ("x", "y"))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    text, _, signature = forger.good.rpartition(".")
    r, s = (int.from_bytes(half, "big") for half in (unb64(signature)[:32], unb64(signature)[32:]))
    key.verify(encode_dss_signature(r, s), text.encode(), ec.ECDSA(SHA256()))
    assert forger.header == {"alg": "ES256", "kid": jwk["kid"], "typ": "JWT"}


async def test_a_token_that_others_sign_with_our_key_is_one_of_ours(standing: Standing) -> None:
    gateway, forger = standing
    text = forger.unsigned()
    token = f"{text}.{b64(raw_signature(text, forger.key))}"
    assert await answers(gateway, token) == {LET_IN}
