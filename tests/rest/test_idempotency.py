"""Idempotency-Key: the same request again does nothing more, and is answered as at first."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pysqlite3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from app.domain.errors import InvalidInput
from app.domain.idempotency import IdempotencyKey
from app.domain.rate_limits import FAILURES_BEFORE_LOCK, REGISTRATIONS
from app.domain.timestamps import format_time
from app.http.idempotency import KEY_SCHEMA, idempotency_key
from app.settings import Settings
from tests.fakes.ports import START, FakeHasher
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import flaws_of, problem_of

pytestmark = pytest.mark.anyio

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"
REPLAYED = "idempotent-replayed"
SHOW = {"Prefer": "return=representation"}
REGISTRATION, USERS, KEYS = "/users/@self", "/users", "/users/@self/keys"
BODIES: dict[str, dict[str, Any]] = {
    REGISTRATION: {"username": "Alice", "password": PASSWORD},
    USERS: {"username": "alice", "email": "alice@example.com"},
    KEYS: {"name": "panel", "expires_at": "2030-01-01T12:00:00Z", "networks": ["203.0.113.0/24"]},
}
# A member of each body, and another value for it.
OTHERS = {
    REGISTRATION: {"display_name": "Alice"},
    USERS: {"email": "alice@example.org"},
    KEYS: {"scope": "read"},
}


class CountingHasher(FakeHasher):
    """Knows how much it had to do."""

    hashes = verifications = 0

    async def hash(self, password: str) -> str:
        self.hashes += 1
        return await super().hash(password)

    async def verify(self, password: str | None, hashed: str | None) -> Any:
        self.verifications += 1
        return await super().verify(password, hashed)


async def post(
    gateway: Gateway,
    path: str,
    body: dict[str, Any] | None = None,
    key: str | None = KEY,
    *,
    show: bool = False,
) -> httpx.Response:
    """Create something, as the first admin where that needs a credential."""
    credential = None if path.endswith(REGISTRATION) else gateway.admin_key
    sent = {**(SHOW if show else {}), **({} if key is None else {"Idempotency-Key": key})}
    route = path.removeprefix("/api")
    return await gateway.rest("POST", path, credential, json=body or BODIES[route], headers=sent)


async def count(gateway: Gateway, path: str) -> int:
    """Return the number of objects that the route created."""
    listed = KEYS if path.endswith(KEYS) else USERS
    return len((await gateway.rest("GET", listed, gateway.admin_key)).json()) - 1


async def trail(gateway: Gateway) -> list[Any]:
    entries: list[Any] = (await gateway.rest("GET", "/audit", gateway.admin_key)).json()
    return entries


# ----------------------------------------------------------------------- the same again


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("path", BODIES)
async def test_the_same_request_is_done_once_and_answered_the_same(
    gateway: Gateway, path: str, prefix: str
) -> None:
    first = await post(gateway, prefix + path)
    before = await trail(gateway)
    gateway.clock.turn(timedelta(hours=23))
    again = [await post(gateway, prefix + path) for _ in range(3)]
    assert first.is_success
    assert await count(gateway, path) == 1
    assert await trail(gateway) == before
    assert REPLAYED not in first.headers
    shown = first.text.replace(f'"{first.json()["key"]}"', "null") if path == KEYS else first.text
    for answer in again:
        assert answer.headers.pop(REPLAYED) == "true"
        assert (answer.status_code, answer.text) == (first.status_code, shown)
        for headers in (answer.headers, first.headers):
            headers.pop("x-request-id", None)
            headers.pop("content-length", None)
        assert answer.headers == first.headers


async def test_a_location_is_the_same(gateway: Gateway) -> None:
    first, again = [await post(gateway, USERS) for _ in range(2)]
    assert (first.status_code, again.status_code) == (204, 204)
    assert first.headers["location"] == again.headers["location"]
    found = await gateway.rest("GET", again.headers["location"], gateway.admin_key)
    assert found.json()["username"] == "alice"


async def test_the_route_and_its_alias_are_one(gateway: Gateway) -> None:
    first, again = await post(gateway, USERS), await post(gateway, f"/api{USERS}")
    assert again.headers["location"] == f"/api{first.headers['location']}"
    assert await count(gateway, USERS) == 1


async def test_a_repeated_request_may_ask_to_see_the_account(
    gateway: Gateway,
) -> None:
    first, again = await post(gateway, USERS), await post(gateway, USERS, show=True)
    assert (first.status_code, again.status_code) == (204, 201)
    assert first.headers["location"].endswith(again.json()["uuid"])


async def test_a_generated_password_and_a_keys_text_are_shown_once(gateway: Gateway) -> None:
    first, again = [await post(gateway, USERS, show=True) for _ in range(2)]
    assert len(first.json()["password"]) > 15
    assert again.json() == {**first.json(), "password": None}
    first, again = [await post(gateway, KEYS, key="another") for _ in range(2)]
    assert again.json() == {**first.json(), "key": None}
    chosen = {**BODIES[USERS], "username": "bobby", "email": "b@example.com", "password": PASSWORD}
    first, again = [await post(gateway, USERS, chosen, "third", show=True) for _ in range(2)]
    assert again.json() == first.json()
    assert "password" not in again.json()


async def test_the_answer_is_that_of_the_first_time_whatever_happened_since(
    gateway: Gateway,
) -> None:
    first = await post(gateway, REGISTRATION)
    token = await gateway.log_in("alice")
    await gateway.rest("PATCH", REGISTRATION, token, json={"username": "carol"})
    again = await post(gateway, REGISTRATION)
    assert again.json() == first.json()
    made = await post(gateway, KEYS)
    await gateway.rest("DELETE", f"{KEYS}/{made.json()['id']}", gateway.admin_key)
    again = await post(gateway, KEYS)
    assert again.json() == {**made.json(), "key": None}
    assert await count(gateway, KEYS) == 0


@pytest.mark.parametrize("path", BODIES)
async def test_members_in_another_order_are_the_same_body(gateway: Gateway, path: str) -> None:
    await post(gateway, path)
    turned = dict(reversed(BODIES[path].items()))
    assert (await post(gateway, path, turned)).headers[REPLAYED] == "true"


@pytest.mark.parametrize("path", BODIES)
async def test_without_the_header_nothing_is_the_same_again(gateway: Gateway, path: str) -> None:
    await post(gateway, path, key=None)
    again = await post(gateway, path, key=None)
    assert REPLAYED not in again.headers
    if path == KEYS:
        assert await count(gateway, path) == 2
    else:
        assert again.json()["code"] in {"username-taken", "email-taken"}


@pytest.mark.parametrize("path", BODIES)
async def test_after_a_day_it_is_another_request(gateway: Gateway, path: str) -> None:
    await post(gateway, path)
    gateway.clock.turn(timedelta(hours=24))
    again = await post(gateway, path)
    assert REPLAYED not in again.headers
    if path == KEYS:
        assert await count(gateway, path) == 2
    else:
        assert again.json()["code"] in {"username-taken", "email-taken"}


# ---------------------------------------------------------------------- another request


@pytest.mark.parametrize("path", BODIES)
async def test_another_body_with_the_key_is_refused(gateway: Gateway, path: str) -> None:
    await post(gateway, path)
    for body in (
        {**BODIES[path], **OTHERS[path]},
        {**BODIES[path], next(iter(BODIES[path])): "somebody"},
    ):
        refused = await post(gateway, path, body)
        assert flaws_of(refused, "header") == ["Idempotency-Key"]
        assert "another request" in refused.json()["detail"]
    assert await count(gateway, path) == 1
    assert (await post(gateway, path)).headers[REPLAYED] == "true"


async def test_another_route_with_the_key_is_another_request(gateway: Gateway) -> None:
    await post(gateway, USERS)
    assert flaws_of(await post(gateway, KEYS), "header") == ["Idempotency-Key"]


@pytest.mark.parametrize("path", [REGISTRATION, USERS])
async def test_another_password_with_the_key_is_another_body(gateway: Gateway, path: str) -> None:
    body = {**BODIES[path], "password": PASSWORD}
    await post(gateway, path, body)
    for other in ({**body, "password": f"{PASSWORD}!"}, {**body, "password": ""}):
        assert flaws_of(await post(gateway, path, other), "header") == ["Idempotency-Key"]
    assert (await post(gateway, path, body)).headers[REPLAYED] == "true"


async def test_a_refused_request_may_be_repeated(gateway: Gateway) -> None:
    weak = {**BODIES[REGISTRATION], "password": "password"}
    problem_of(await post(gateway, REGISTRATION, weak), 400, "weak-password")
    assert (await post(gateway, REGISTRATION)).status_code == 201
    taken = {**BODIES[USERS], "username": "alice"}
    problem_of(await post(gateway, USERS, taken), 400, "username-taken")
    other = {**BODIES[USERS], "username": "bobby"}
    assert (await post(gateway, USERS, other)).status_code == 204


# ------------------------------------------------------------------------ whose key it is


async def test_each_caller_has_separate_keys(gateway: Gateway) -> None:
    token = await gateway.user("bobby")
    headers = {"Idempotency-Key": KEY}
    answers = [
        await gateway.rest("POST", KEYS, who, json=BODIES[KEYS], headers=headers)
        for who in (gateway.admin_key, token, gateway.admin_key, token)
    ]
    assert [answer.headers.get(REPLAYED) for answer in answers] == [None, None, "true", "true"]
    assert len({answer.json()["id"] for answer in answers}) == 2


async def test_the_caller_is_the_account_whatever_its_credential(gateway: Gateway) -> None:
    token = await gateway.user("bobby")
    headers = {"Idempotency-Key": KEY}
    first = await gateway.rest("POST", KEYS, token, json=BODIES[KEYS], headers=headers)
    others = [await gateway.log_in("bobby"), first.json()["key"]]
    for credential in others:
        again = await gateway.rest("POST", KEYS, credential, json=BODIES[KEYS], headers=headers)
        assert again.json()["id"] == first.json()["id"]


async def test_a_caller_without_permission_any_more_gets_no_replay(gateway: Gateway) -> None:
    made = (await gateway.rest("POST", KEYS, gateway.admin_key, json={"name": "next"})).json()
    headers = {"Idempotency-Key": KEY}

    async def create() -> httpx.Response:
        return await gateway.rest("POST", USERS, made["key"], json=BODIES[USERS], headers=headers)

    assert (await create()).status_code == 204
    await gateway.rest("DELETE", f"{KEYS}/{made['id']}", gateway.admin_key)
    problem_of(await create(), 401, "unauthenticated")


async def test_a_former_admin_gets_no_replay(gateway: Gateway) -> None:
    body = {"username": "deputy", "email": "d@example.com", "password": PASSWORD, "admin": 1}
    await gateway.rest("POST", USERS, gateway.admin_key, json=body)
    token, headers = await gateway.log_in("deputy"), {"Idempotency-Key": KEY}
    first = await gateway.rest("POST", USERS, token, json=BODIES[USERS], headers=headers)
    assert first.status_code == 204
    path = f"/users/{await gateway.uuid_of('deputy')}"
    await gateway.rest("PUT", path, gateway.admin_key, json={"admin": 0})
    again = await gateway.rest("POST", USERS, token, json=BODIES[USERS], headers=headers)
    problem_of(again, 403, "forbidden")


async def test_an_anonymous_client_at_another_address_gets_no_replay(gateway: Gateway) -> None:
    """Even one that knows the whole request, including the password."""
    await post(gateway, REGISTRATION)
    async with gateway.seen_at("198.51.100.1") as elsewhere:
        problem_of(await post(elsewhere, REGISTRATION), 400, "username-taken")


async def test_registration_that_was_closed_since_is_closed(gateway: Gateway) -> None:
    await post(gateway, REGISTRATION)
    object.__setattr__(gateway.services.rules, "registration_open", False)
    problem_of(await post(gateway, REGISTRATION), 403, "registration-closed")


async def test_repeating_counts_as_asking(gateway: Gateway) -> None:
    for _ in range(REGISTRATIONS.calls):
        assert (await post(gateway, REGISTRATION)).status_code == 201
    problem_of(await post(gateway, REGISTRATION), 429, "rate-limited")


# -------------------------------------------------------------------------- the password


async def test_guessing_at_the_password_is_counted_as_at_login(gateway: Gateway) -> None:
    """A client at the same address that knows the key learns nothing more by it."""
    await post(gateway, REGISTRATION)
    for number in range(FAILURES_BEFORE_LOCK):
        guess = {**BODIES[REGISTRATION], "password": f"guess number {number}"}
        assert flaws_of(await post(gateway, REGISTRATION, guess), "header")
    problem_of(await post(gateway, REGISTRATION), 429, "rate-limited")
    login = {"username": "alice", "password": PASSWORD}
    problem_of(await gateway.rest("POST", "/users/auth", json=login), 429, "rate-limited")
    with anyio.fail_after(20):
        # Refusals are written together; nothing tells when.
        while (newest := (await trail(gateway))[0])["outcome"] == "done":  # noqa: ASYNC110
            await anyio.sleep(0.05)
    assert (newest["action"], newest["outcome"]) == ("users.create", "invalid-credentials")
    assert newest["target"]["id"] == await gateway.uuid_of("alice")


async def test_repeating_rightly_neither_locks_nor_forgives(gateway: Gateway) -> None:
    await post(gateway, REGISTRATION)
    for number in range(FAILURES_BEFORE_LOCK - 1):
        guess = {**BODIES[REGISTRATION], "password": f"guess number {number}"}
        await post(gateway, REGISTRATION, guess)
        assert (await post(gateway, REGISTRATION)).status_code == 201
    guess = {"username": "alice", "password": "one guess more"}
    problem_of(await gateway.rest("POST", "/users/auth", json=guess), 401, "invalid-credentials")
    problem_of(await gateway.rest("POST", "/users/auth", json=guess), 429, "rate-limited")


async def test_a_password_changed_since_makes_it_another_request(gateway: Gateway) -> None:
    await post(gateway, REGISTRATION)
    token, change = await gateway.log_in("alice"), {"current": PASSWORD, "password": f"{PASSWORD}!"}
    await gateway.rest("PUT", f"{REGISTRATION}/password", token, json=change)
    assert flaws_of(await post(gateway, REGISTRATION), "header") == ["Idempotency-Key"]


async def test_nothing_is_hashed_that_need_not_be(database: Path) -> None:
    hasher = CountingHasher()
    async with open_gateway(database, hasher=hasher) as gateway:
        await post(gateway, REGISTRATION)
        await post(gateway, USERS, {"username": "bobby", "email": "b@example.com"})
        assert (hasher.hashes, hasher.verifications) == (2, 0)
        await post(gateway, USERS, {"username": "bobby", "email": "b@example.com"})
        await post(gateway, REGISTRATION, {**BODIES[REGISTRATION], "display_name": "Alice"})
        assert (hasher.hashes, hasher.verifications) == (2, 0)
        await post(gateway, REGISTRATION)
        assert (hasher.hashes, hasher.verifications) == (2, 1)


async def test_neither_password_nor_key_nor_secret_is_in_the_store(
    gateway: Gateway, database: Path
) -> None:
    body = {**BODIES[REGISTRATION], "password": "correct horse in the store"}
    await post(gateway, REGISTRATION, body)
    key = (await post(gateway, KEYS, key="another")).json()["key"]
    bobby = {**BODIES[USERS], "username": "bobby"}
    password = (await post(gateway, USERS, bobby, "other", show=True)).json()["password"]
    with pysqlite3.connect(database) as store:
        rows = store.execute("SELECT * FROM idempotency_records").fetchall()
    assert len(rows) == 3
    for secret in (body["password"], KEY, key[9:], password):
        assert secret not in str(rows)


# ------------------------------------------------------------------------------ at once


@pytest.mark.parametrize("path", BODIES)
async def test_of_many_at_once_one_is_done_and_the_others_say_so(
    gateway: Gateway, path: str
) -> None:
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await post(gateway, path, show=True))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(ask)
    assert await count(gateway, path) == 1
    first = [answer for answer in answers if answer.status_code == 201]
    assert len([answer for answer in first if REPLAYED not in answer.headers]) == 1
    for answer in answers:
        if answer not in first:
            problem_of(answer, 409, "request-in-flight")
    assert (await post(gateway, path, show=True)).headers[REPLAYED] == "true"


async def test_one_that_was_overtaken_gets_an_error(database: Path) -> None:
    class Overtaken(FakeHasher):
        async def hash(self, password: str) -> str:
            if self.generation == 1:
                self.generation = 2
                assert (await post(gateway, REGISTRATION)).status_code == 201
            return await super().hash(password)

    async with open_gateway(database, hasher=Overtaken()) as gateway:
        problem_of(await post(gateway, REGISTRATION), 409, "request-in-flight")
        assert (await post(gateway, REGISTRATION)).headers[REPLAYED] == "true"


# --------------------------------------------------------------------------- the header

GOOD = [
    ("x", "x"),
    ('"x"', "x"),
    (f'"{KEY}"', KEY),
    (r'"a\"b\\c"', r'a"b\c'),
    ("a/b+c=:@'()[]{}|~", "a/b+c=:@'()[]{}|~"),
    ("  x\t", "x"),
    ("x" * 255, "x" * 255),
    (f'"{"x" * 255}"', "x" * 255),
    ('"' + r"\"" * 255 + '"', '"' * 255),
]
BAD = [
    *("", " ", '""', '"', 'x"', '"x', 'a"b', '"a"b"', '"a" "b"', "a b", '"a b"', "a,b", '"a", "b"'),
    *("a\\b", r'"a\b"', '"a";p=1', "a;p", "a\x00", "a\x7f", "é", '"é"', "a\n", "x" * 256),
    f'"{"x" * 256}"',
]


@pytest.mark.parametrize(("sent", "key"), GOOD)
def test_a_key_is_a_quoted_string_or_bare(sent: str, key: str) -> None:
    assert idempotency_key([sent]) == IdempotencyKey(key)


@pytest.mark.parametrize("sent", BAD)
def test_a_key_that_is_none_is_refused(sent: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        idempotency_key([sent])
    assert [
        (field_error.name, field_error.location) for field_error in refused.value.field_errors
    ] == [("Idempotency-Key", "header")]


def test_no_header_is_no_key_and_two_are_one_too_many() -> None:
    assert idempotency_key([]) is None
    with pytest.raises(InvalidInput):
        idempotency_key(["a", "a"])


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_any_visible_ascii_travels_as_a_string(key: str) -> None:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert idempotency_key([f'"{escaped}"']) == IdempotencyKey(key)


@given(st.from_regex(KEY_SCHEMA["pattern"], fullmatch=True))
def test_keys_that_fit_the_documented_pattern_are_accepted(sent: str) -> None:
    assert idempotency_key([sent])
    assert len(sent) <= KEY_SCHEMA["maxLength"]


@given(st.datetimes(timezones=st.just(START.tzinfo)))
def test_a_time_in_a_kept_answer_is_as_the_apis_write_it(time: Any) -> None:
    assert to_json(format_time(time)) == to_json(time)


@pytest.mark.parametrize("path", BODIES)
async def test_a_malformed_key_is_pointed_at_and_nothing_is_done(
    gateway: Gateway, path: str
) -> None:
    assert flaws_of(await post(gateway, path, key="a b"), "header") == ["Idempotency-Key"]
    assert await count(gateway, path) == 0


async def test_the_header_is_ignored_where_nothing_is_created(gateway: Gateway) -> None:
    await gateway.sign_up("alice")
    headers = {"Idempotency-Key": "no, no key"}
    login = {"username": "alice", "password": PASSWORD}
    response = await gateway.rest("POST", "/users/auth", json=login, headers=headers)
    assert response.status_code == 200


@pytest.fixture
async def open_to_pages(database: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(database, Settings(cors_origins=("https://a.example",))) as gateway:
        yield gateway


async def test_a_page_of_another_origin_may_send_the_header_and_read_ours(
    open_to_pages: Gateway,
) -> None:
    headers = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Idempotency-Key",
    }
    asked = await open_to_pages.client.options(USERS, headers=headers)
    assert "idempotency-key" in asked.headers["access-control-allow-headers"].lower()
    answer = await open_to_pages.client.get("/health/live", headers=headers)
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"]
