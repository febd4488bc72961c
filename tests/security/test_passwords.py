"""Passwords: how they are kept, what imported hashes become, and what no hash can be made to do."""

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import pytest
from nacl.pwhash import argon2id
from passlib.context import CryptContext
from passlib.hash import argon2, bcrypt, pbkdf2_sha256, pbkdf2_sha512, scrypt

from app.domain.ports.services import PasswordCheck
from app.security.passwords import Argon2Hasher, _verify
from tests.fakes.ports import FakeHasher
from tests.fakes.services import PASSWORD, account
from tests.gateway import Gateway, open_gateway

pytestmark = pytest.mark.anyio

OURS = re.compile(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}")
WRONG = PasswordCheck(is_correct=False)
# 33 characters of three octets each: longer than the 72 octets that bcrypt reads.
LONG = "密码" * 16 + "界"


@pytest.fixture(scope="module")
def hasher() -> Iterator[Argon2Hasher]:
    hasher = Argon2Hasher()
    yield hasher
    hasher.close()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes with our parameters that libsodium verified."""
    verified: list[str] = []

    def verify(hashed: bytes, password: bytes) -> bool:
        # Raises for another password; for a malformed hash, it would do so without computing.
        assert OURS.fullmatch(hashed.decode())
        verified.append(hashed.decode())
        return argon2id_verify(hashed, password)

    argon2id_verify = argon2id.verify
    monkeypatch.setattr(argon2id, "verify", verify)
    return verified


@pytest.fixture
async def hashing(database: Path, hasher: Argon2Hasher) -> AsyncIterator[Gateway]:
    """A gateway that hashes as the real one does."""
    async with open_gateway(database, hasher=hasher) as opened:
        yield opened


async def _import(gateway: Gateway, username: str, hashed: str | None) -> None:
    """An account whose hash another program made."""
    if (await gateway.rpc("users.check", [username]))["result"] is False:
        await gateway.sign_up(username)
    user = replace(await account(gateway.services, username), password_hash=hashed)
    await gateway.services.store.write(lambda tx: tx.users.save(user))


async def _stored(gateway: Gateway, username: str) -> str | None:
    return (await account(gateway.services, username)).password_hash


async def _tries(gateway: Gateway, username: str, password: str) -> set[int]:
    """The statuses of a login at each API."""
    login = {"username": username, "password": password}
    rest = await gateway.rest("POST", "/users/auth", json=login)
    reply = await gateway.rpc("users.auth", login, query="?errors=problem")
    return {rest.status_code, reply.get("error", {}).get("data", {}).get("status", 200)}


# ------------------------------------------------------------------------------ how kept


async def test_a_hash_says_which_parameters_made_it(hasher: Argon2Hasher) -> None:
    assert OURS.fullmatch(await hasher.hash(PASSWORD))


async def test_nothing_takes_as_long_to_verify_as_what_we_hash(
    hasher: Argon2Hasher, computed: list[str]
) -> None:
    ours = await hasher.hash(PASSWORD)
    assert await hasher.verify(PASSWORD, None) == PasswordCheck(is_correct=False)
    assert await hasher.verify(PASSWORD, ours) == PasswordCheck(is_correct=True)
    nothing, something = (hashed.split("$") for hashed in computed)
    assert nothing[:4] == something[:4]
    assert [len(part) for part in nothing] == [len(part) for part in something]


async def test_a_hash_of_argon2_cffi_with_our_parameters_stays(hasher: Argon2Hasher) -> None:
    """As Gatehouse 0.1.0 and before did."""
    ours = argon2.using(type="ID", memory_cost=19456, time_cost=2, parallelism=1).hash(PASSWORD)
    assert await hasher.verify(PASSWORD, ours) == PasswordCheck(is_correct=True)
    assert await hasher.verify(PASSWORD + " ", ours) == WRONG


async def test_hashes_are_computed_where_threads_may_not_change_their_priority(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As under a service manager that forbids it."""

    def forbidden(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbidden)
    hasher = Argon2Hasher(cores=1)
    assert OURS.fullmatch(await hasher.hash(PASSWORD))
    hasher.close()


async def test_every_way_to_set_a_password_stores_argon2id(hashing: Gateway) -> None:
    await hashing.sign_up("alice")
    first = await _stored(hashing, "alice")
    change = {"current": PASSWORD, "password": "another password"}
    await hashing.rest("PUT", "/users/@self/password", await hashing.log_in("alice"), json=change)
    second = await _stored(hashing, "alice")
    path = f"/users/{await hashing.uuid_of('alice')}"
    await hashing.rest("PUT", path, hashing.admin_key, json={"password": "a third password"})
    hashes = [first, second, await _stored(hashing, "alice")]
    assert len(set(hashes)) == 3
    assert all(hashed and OURS.fullmatch(hashed) for hashed in hashes)


# --------------------------------------------------------------------- imported hashes

IMPORTED = {
    "bcrypt $2y$": bcrypt.using(rounds=4, ident="2y").hash(PASSWORD),
    "bcrypt $2b$": bcrypt.using(rounds=4, ident="2b").hash(PASSWORD),
    "bcrypt $2a$": bcrypt.using(rounds=4, ident="2a").hash(PASSWORD),
    "PBKDF2 with SHA-256": pbkdf2_sha256.using(rounds=10).hash(PASSWORD),
    "PBKDF2 with SHA-512": pbkdf2_sha512.using(rounds=10).hash(PASSWORD),
    "scrypt": scrypt.using(rounds=4).hash(PASSWORD),
    "weaker argon2id": argon2.using(type="ID", memory_cost=64, time_cost=1).hash(PASSWORD),
    "argon2i": argon2.using(type="I", memory_cost=19456, time_cost=2).hash(PASSWORD),
}


@pytest.mark.parametrize("imported", IMPORTED.values(), ids=IMPORTED.keys())
async def test_an_imported_hash_verifies_once_and_becomes_argon2id(
    hashing: Gateway, imported: str
) -> None:
    await _import(hashing, "alice", imported)
    assert await _tries(hashing, "alice", "not this one") == {401}
    assert await _stored(hashing, "alice") == imported
    assert await _tries(hashing, "alice", PASSWORD) == {200}
    new_hash = await _stored(hashing, "alice")
    assert new_hash
    assert OURS.fullmatch(new_hash)
    assert await _tries(hashing, "alice", PASSWORD) == {200}
    assert await _stored(hashing, "alice") == new_hash


async def test_a_hash_that_php_made_verifies(hasher: Argon2Hasher) -> None:
    """An example of PHP's manual, page password_hash."""
    php = "$2y$10$.vGA1O9wmRjrwAVXD98HNOgsNpDczlqm3Jq7KnEd1rVAGv3Fykk1a"
    verdict = await hasher.verify("rasmuslerdorf", php)
    assert verdict.is_correct
    assert verdict.new_hash
    assert OURS.fullmatch(verdict.new_hash)
    assert await hasher.verify("rasmuslerdorF", php) == WRONG


async def test_an_imported_bcrypt_counts_72_octets_and_from_then_on_all_count(
    hashing: Gateway,
) -> None:
    await _import(hashing, "alice", bcrypt.using(rounds=4).hash(LONG.encode()[:72]))
    assert await _tries(hashing, "alice", LONG) == {200}
    assert await _tries(hashing, "alice", LONG[:-1]) == {401}
    assert await _tries(hashing, "alice", LONG[:-1] + "间") == {401}
    assert await _tries(hashing, "alice", LONG) == {200}


async def test_logins_at_the_same_time_survive_each_others_rehashing(hashing: Gateway) -> None:
    await _import(hashing, "alice", IMPORTED["bcrypt $2y$"])
    params = {"username": "alice", "password": PASSWORD}
    replies = await asyncio.gather(*(hashing.rpc("users.auth", params) for _ in range(6)))
    assert all("result" in reply for reply in replies)


async def test_rehashing_changes_nothing_else(hashing: Gateway) -> None:
    await _import(hashing, "alice", IMPORTED["scrypt"])
    before = await account(hashing.services, "alice")
    await hashing.log_in("alice")
    after = await account(hashing.services, "alice")
    assert replace(after, password_hash=None) == replace(before, password_hash=None)


# ------------------------------------------------------------------------------------ odd

_GOOD = argon2.using(type="ID", memory_cost=64, time_cost=1).hash(PASSWORD)
_BCRYPT = IMPORTED["bcrypt $2y$"]
_OURS = argon2id.str(PASSWORD.encode(), opslimit=2, memlimit=19456 * 1024).decode()
_SALT = _OURS.split("$")[4]
ODD: dict[str, str | None] = {
    "none": None,
    "empty": "",
    "one letter": "x",
    "locked": "!",
    "the password itself": PASSWORD,
    "argon2id truncated": _GOOD[:-8],
    "argon2id without a hash": _GOOD.rpartition("$")[0],
    "argon2id without anything": "$argon2id$",
    "argon2id of a version to come": _GOOD.replace("v=19", "v=99"),
    "argon2id with other parameters": _GOOD.replace("t=1", "t=3"),
    "argon2id with no memory": _GOOD.replace("m=64", "m=0"),
    "argon2id with all memory": _GOOD.replace("m=64", "m=4294967295"),
    "argon2id with a newline": _GOOD + "\n",
    "argon2id twice": _GOOD + _GOOD,
    "ours truncated": _OURS[:-2],
    "ours extended": _OURS + "A",
    "ours with spare bits in its hash": _OURS[:-1] + "B",
    "ours with spare bits in its salt": _OURS.replace(_SALT, _SALT[:-1] + "B"),
    "ours without a salt": _OURS.replace(_SALT, ""),
    "ours with padding": _OURS + "=",
    "bcrypt truncated": _BCRYPT[:-1],
    "bcrypt extended": _BCRYPT + "a",
    "bcrypt without anything": "$2y$",
    "bcrypt of cost 99": _BCRYPT.replace("$04$", "$99$"),
    "bcrypt of an unknown kind": _BCRYPT.replace("$2y$", "$2z$"),
    "PBKDF2 truncated": IMPORTED["PBKDF2 with SHA-256"][:-4],
    "PBKDF2 of no rounds": IMPORTED["PBKDF2 with SHA-256"].replace("$10$", "$0$"),
    "scrypt truncated": IMPORTED["scrypt"][:-4],
    "scrypt with all memory": IMPORTED["scrypt"].replace("ln=4", "ln=31"),
    "MD5 crypt": "$1$3azHgidD$SrJPt7B.9rekpmwJwtON31",
    "NUL": "\0",
    "not ASCII": "$argon2id$é",
    "long": "$argon2id$" + "x" * 100_000,
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_an_odd_hash_is_a_wrong_password_and_no_fault(
    hasher: Argon2Hasher, odd: str | None
) -> None:
    assert await hasher.verify(PASSWORD, odd) == WRONG
    assert await hasher.verify("", odd) == WRONG
    assert await hasher.verify(None, odd) == WRONG


_BREAKING = {
    "scrypt with a dot in its hash": IMPORTED["scrypt"][:-10] + "." + IMPORTED["scrypt"][-9:],
    "scrypt with a dollar sign missing": ".".join(IMPORTED["scrypt"].rsplit("$", 1)),
    "scrypt in its other notation": IMPORTED["scrypt"].replace("$scrypt$", "$7$"),
    "argon2id with a key, cut": "$argon2id$v=19$m=64,t=1,p=1,keyid=AA,data=BB$c2FsdHNhbHQ$AAAA",
}


@pytest.mark.parametrize("odd", _BREAKING.values(), ids=_BREAKING.keys())
async def test_a_hash_that_breaks_the_library_is_a_wrong_password_and_no_fault(
    hasher: Argon2Hasher, odd: str
) -> None:
    assert await hasher.verify(PASSWORD, odd) == WRONG


# Each costs a little more than is verified; without that limit a test of them takes seconds.
_EXPENSIVE = {
    "argon2id with 2 GiB and more": _GOOD.replace("m=64", "m=2097153"),
    "argon2id with too many passes": _GOOD.replace("t=1", "t=131073"),
    "argon2id with too many lanes": _GOOD.replace("m=64,t=1,p=4", "m=1024,t=1,p=65"),
    "bcrypt of cost 16": _BCRYPT.replace("$04$", "$16$"),
    "PBKDF2 of too many rounds": IMPORTED["PBKDF2 with SHA-256"].replace("$10$", "$5000001$"),
    "PBKDF2 of too many rounds, SHA-512": IMPORTED["PBKDF2 with SHA-512"].replace(
        "$10$", "$5000001$"
    ),
    "scrypt with too many lanes": IMPORTED["scrypt"].replace("ln=4,r=8,p=1", "ln=14,r=8,p=129"),
}
# What other programs recommend or use by default.
_AFFORDABLE = {
    "argon2id of RFC 9106": _GOOD.replace("m=64", "m=2097152"),
    "argon2id of PHP": _GOOD.replace("m=64,t=1", "m=65536,t=4"),
    "bcrypt of cost 15": _BCRYPT.replace("$04$", "$15$"),
    "PBKDF2 of Django": IMPORTED["PBKDF2 with SHA-256"].replace("$10$", "$1500000$"),
    "scrypt of OWASP": IMPORTED["scrypt"].replace("ln=4,", "ln=17,"),
}


@pytest.mark.parametrize("hashed", _EXPENSIVE.values(), ids=_EXPENSIVE.keys())
async def test_a_hash_that_costs_too_much_is_never_computed(
    hasher: Argon2Hasher, computed: list[str], hashed: str
) -> None:
    assert await hasher.verify(PASSWORD, hashed) == WRONG
    assert len(computed) == 1


@pytest.mark.parametrize("hashed", _AFFORDABLE.values(), ids=_AFFORDABLE.keys())
def test_hashes_of_other_programs_are_computed(
    hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def verify(_context: CryptContext, _secret: bytes, hashed: str) -> bool:
        seen.append(hashed)
        return True

    monkeypatch.setattr(CryptContext, "verify", verify)
    assert _verify(PASSWORD, hashed).is_correct
    assert seen == [hashed]


# Of these argon2-cffi computes what they ask for, as of any hash that is weaker than ours.
_AT_THEIR_OWN_COST = {
    "ours extended",
    "argon2id truncated",
    "argon2id of a version to come",
    "argon2id with other parameters",
}
_AT_OURS = {
    name: odd for name, odd in {**ODD, **_BREAKING}.items() if name not in _AT_THEIR_OWN_COST
}


@pytest.mark.parametrize("odd", _AT_OURS.values(), ids=_AT_OURS.keys())
async def test_whatever_is_odd_about_a_hash_a_refusal_costs_one_of_ours(
    hasher: Argon2Hasher, computed: list[str], odd: str | None
) -> None:
    await hasher.verify(PASSWORD, odd)
    assert len(computed) == 1


async def test_no_password_costs_one_of_ours_whatever_the_hash(
    hasher: Argon2Hasher, computed: list[str]
) -> None:
    for hashed in (None, await hasher.hash(PASSWORD), *IMPORTED.values()):
        await hasher.verify(None, hashed)
    assert len(computed) == 2 + len(IMPORTED)


async def test_an_odd_hash_is_a_failed_login_at_both_apis(hashing: Gateway) -> None:
    await hashing.sign_up("alice")
    found = {}
    for name in ("none", "empty", "one letter", "the password itself", "argon2id truncated"):
        await _import(hashing, "alice", ODD[name])
        found[name] = await _tries(hashing, "alice", PASSWORD)
    assert list(found.values()) == [{401}] * len(found)


@pytest.mark.parametrize("odd", ["one letter", "argon2id truncated", "bcrypt truncated"])
async def test_an_odd_hash_is_no_password_to_change_from(hashing: Gateway, odd: str) -> None:
    token = await hashing.user("alice")
    await _import(hashing, "alice", ODD[odd])
    change = {"current": PASSWORD, "password": "another password"}
    answer = await hashing.rest("PUT", "/users/@self/password", token, json=change)
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong-password")
    assert await _stored(hashing, "alice") == ODD[odd]


# ----------------------------------------------------------------------------- characters


@pytest.mark.parametrize("set_as", ["NFC", "NFD"])
@pytest.mark.parametrize("sent_as", ["NFC", "NFD"])
async def test_composed_and_decomposed_are_one_password(
    hashing: Gateway, set_as: str, sent_as: str
) -> None:
    password = "Tịch Dương Việt"
    await hashing.sign_up("alice", normalize(set_as, password))  # type: ignore[arg-type]
    sent = normalize(sent_as, password)  # type: ignore[arg-type]
    assert await _tries(hashing, "alice", sent) == {200}
    assert await _tries(hashing, "alice", sent.upper()) == {401}


@pytest.mark.parametrize("space", ["\u3000", "\u00a0", "\u2003"])
async def test_every_space_is_the_same_space(hashing: Gateway, space: str) -> None:
    await hashing.sign_up("alice", PASSWORD)
    assert await _tries(hashing, "alice", PASSWORD.replace(" ", space)) == {200}


CONTROLS = ["\0", "\n", "\x1b", "\x7f", "\x85", "\u200b", "\u202e", "\ufeff", "\ufdd0"]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
async def test_a_control_character_is_weak_at_sign_up_and_wrong_at_login(
    gateway: Gateway, control: str
) -> None:
    await gateway.sign_up("alice")
    new = {"username": "mallory", "password": PASSWORD + control}
    refused = await gateway.rest("POST", "/users/@self", json=new)
    assert (refused.status_code, refused.json()["code"]) == (400, "weak-password")
    assert await _tries(gateway, "alice", PASSWORD + control) == {401}


class CountingHasher(FakeHasher):
    """Says how often it was made to hash what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.hashed = 0

    async def hash(self, password: str) -> str:
        self.hashed += 1
        return await super().hash(password)

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        self.hashed += password is not None and hashed is not None
        return await super().verify(password, hashed)


@pytest.mark.parametrize("length", [513, 100_000])
async def test_an_overlong_password_is_refused_before_it_is_hashed(
    database: Path, length: int
) -> None:
    counting = CountingHasher()
    async with open_gateway(database, hasher=counting) as gateway:
        await gateway.sign_up("alice")
        counting.hashed = 0
        new = {"username": "mallory", "password": "x" * length}
        refused = await gateway.rest("POST", "/users/@self", json=new)
        assert (refused.status_code, refused.json()["code"]) == (400, "weak-password")
        assert await _tries(gateway, "alice", "x" * length) == {401}
        assert counting.hashed == 0


# ------------------------------------------------------------------------------- off loop


@pytest.mark.parametrize("hashed", [None, "x", _GOOD, _BCRYPT], ids=["none", "odd", "a2", "bc"])
async def test_a_password_is_never_verified_on_the_event_loop(
    hasher: Argon2Hasher, hashed: str | None
) -> None:
    """Work on the event loop is done at its first step."""
    task = asyncio.ensure_future(hasher.verify(PASSWORD, hashed))
    await asyncio.sleep(0)
    assert not task.done()
    await task


async def test_a_password_is_never_hashed_on_the_event_loop(hasher: Argon2Hasher) -> None:
    task = asyncio.ensure_future(hasher.hash(PASSWORD))
    await asyncio.sleep(0)
    assert not task.done()
    await task


@pytest.mark.parametrize("cores", [1, 3])
async def test_no_more_passwords_are_hashed_at_once_than_there_are_cores(cores: int) -> None:
    hasher = Argon2Hasher(cores)
    before = threading.active_count()
    tasks = [asyncio.ensure_future(hasher.hash(PASSWORD)) for _ in range(cores + 3)]
    await asyncio.sleep(0)
    assert threading.active_count() - before == cores
    await asyncio.gather(*tasks)
    hasher.close()
