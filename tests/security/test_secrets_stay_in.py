"""Canaries: what is secret shows up in no log, no refusal and no byte of the database."""

import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from shutil import copyfile
from typing import Any
from urllib.parse import quote, unquote

import pysqlite3
import pytest

from app.domain.ports.services import PasswordCheck
from app.http.params import input_schema
from app.operations.catalog import OPERATIONS
from app.rest.operation_route import OperationRoute
from app.rest.router import ROUTES
from app.security.passwords import Argon2Hasher
from app.settings import Settings
from tests.captured_logs import captured
from tests.fakes.ports import FakeHasher
from tests.gateway import Gateway, open_gateway

pytestmark = pytest.mark.anyio

PASSWORD = "Canary-Passw0rd-of-alice"
KEY = "CANARY99-seKr-seKr-seKr-seKrseKr"
TOKEN = f"eyJDQU5BUlk.{'Q0FOQVJZ' * 4}.{'seKr' * 21}AA"
ONCE, SHOWN = "8e03978e-40d5-43e8-bc93-6894a57f9324", "return=representation"
CANARIES = {"password": PASSWORD, "key": KEY, "token": TOKEN, "text": "Canary text, seKr"}


# ------------------------------------------------------------------------------- the log


@pytest.fixture(params=["json", "console"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    with captured(request.param) as written:
        yield written


@pytest.fixture
def json_log() -> Iterator[io.StringIO]:
    with captured("json") as written:
        yield written


@pytest.fixture(scope="module")
async def standing(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """One gateway for all canaries: none of them changes anything."""
    database = tmp_path_factory.mktemp("canaries") / migrated.name
    copyfile(migrated, database)
    async with open_gateway(database) as opened:
        yield opened


def _headers(canary: str) -> list[dict[str, str]]:
    """The headers that carry something, each with the canary."""
    names = ["X-Access-Token", "Cookie", "User-Agent", "Referer", "X-Request-ID"]
    names += ["X-Forwarded-For", "Forwarded", "Prefer", "If-Match", "If-None-Match", "Origin"]
    schemes = ["Bearer", "Basic", "Token", ""]
    sent = [{name: canary} for name in names]
    return [*sent, *({"Authorization": f"{scheme} {canary}".strip()} for scheme in schemes)]


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES.keys())
async def test_no_header_gets_into_log_or_refusal(
    standing: Gateway, log: io.StringIO, canary: str
) -> None:
    said = ""
    for headers in _headers(canary):
        for method, path in (("GET", "/users/@self"), ("POST", "/users/auth"), ("GET", "/users")):
            said += (await standing.rest(method, path, headers=headers)).text
        call = {"jsonrpc": "2.0", "method": "users.self", "id": 1}
        for query in ("", "?errors=problem"):
            said += (await standing.rest("POST", f"/rpc{query}", json=call, headers=headers)).text
    assert canary not in said
    assert log.getvalue().count("request_id") >= len(_headers(canary)) * 5
    assert canary not in log.getvalue()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES.keys())
async def test_no_parameter_or_envelope_gets_into_log_or_refusal(
    standing: Gateway, json_log: io.StringIO, name: str, canary: str
) -> None:
    members = input_schema(OPERATIONS[name].input).names
    attempts: list[Any] = [dict.fromkeys(members, canary), [canary] * len(members)]
    attempts += [{member: canary} for member in members]
    said = ""
    for params in attempts:
        for auth in (standing.admin_key, canary):
            for query in ("", "?errors=problem"):
                reply = await standing.rpc(name, params, auth, query=query)
                said += json.dumps(reply.get("error"))
    assert canary not in said
    assert canary not in json_log.getvalue()


@pytest.mark.parametrize("canary", [KEY, TOKEN], ids=["key", "token"])
@pytest.mark.parametrize(
    "around", ["/{}", "/users/{}", "/api/users/{}/keys", "/a{}b", "/users/x.{}"]
)
async def test_a_credential_in_a_path_gets_into_no_log(
    standing: Gateway, log: io.StringIO, canary: str, around: str
) -> None:
    secrets = canary.replace(".", "-").split("-")[1:]
    await standing.rest("GET", around.format(canary))
    assert "request_id" in log.getvalue()
    assert not [part for part in secrets if part in log.getvalue()]


ENCODED: dict[str, Callable[[str], str]] = {
    "one character": lambda text: text[:3] + f"%{ord(text[3]):02x}" + text[4:],
    "one hyphen": lambda text: text.replace("-", "%2D", 1).replace(".", "%2E", 1),
    "all": lambda text: "".join(f"%{ord(character):02X}" for character in text),
    "twice": lambda text: "".join(f"%25{ord(character):02x}" for character in text),
    "three times": lambda text: text.replace("s", "%252573").replace("-", "%25252d"),
    "four times": lambda text: text.replace("s", "%25252573"),
    "twelve times": lambda text: text.replace("s", f"%{'25' * 12}73"),
    "among others": lambda text: f"%E4%B8%AD%ff{text[:20]}%{ord(text[20]):x}{text[21:]}%00",
    "with dashes": lambda text: text.replace("-", "%E2%80%93").replace("seKr.", "seKr%2e"),
    "cut short": lambda text: text[:-3] if "-" in text else text,
}


@pytest.mark.parametrize("encode", ENCODED.values(), ids=ENCODED.keys())
@pytest.mark.parametrize("canary", [KEY, TOKEN], ids=["key", "token"])
async def test_a_credential_in_a_path_stays_out_of_the_log_however_it_is_encoded(
    json_log: io.StringIO, standing: Gateway, canary: str, encode: Callable[[str], str]
) -> None:
    for around in ("/{}", "/users/{}", "/api/users/{}/keys", "/users/x.{}"):
        await _ask_raw(standing, around.format(encode(canary)))
    lines = [json.loads(line) for line in json_log.getvalue().splitlines()]
    shown = [line["path"] for line in lines if line["event"] == "request"]
    assert len(shown) == 4
    for path in shown:
        assert "seKr" not in unquote(unquote(unquote(unquote(path))))
        assert "%25" not in path


@pytest.mark.parametrize("path", ["/users/%E4%B8%AD%E6%96%87", "/users/a%2525b", "/users/%zz%"])
async def test_a_path_without_a_credential_is_logged_as_it_was_sent(
    json_log: io.StringIO, standing: Gateway, path: str
) -> None:
    await _ask_raw(standing, path)
    assert json.loads(json_log.getvalue())["path"] == path


async def _ask_raw(gateway: Gateway, path: str) -> None:
    """Ask for a path in these very bytes; a client would encode them once more."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "client": ("203.0.113.9", 4711),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(_message: Any) -> None:
        return

    await gateway.app(scope, receive, send)


async def test_a_uuid_in_a_path_is_logged_whole(standing: Gateway, log: io.StringIO) -> None:
    for uuid in ("0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E"):
        await standing.rest("GET", f"/users/{uuid}", standing.admin_key)
        assert f"/users/{uuid}" in log.getvalue()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_no_member_or_query_gets_into_log_or_refusal(
    standing: Gateway, json_log: io.StringIO, route: OperationRoute
) -> None:
    said = ""
    for canary in CANARIES.values():
        members = dict.fromkeys(set(route.params) - route.elsewhere, canary)
        for sent in ({"json": members}, {"params": members}, {"data": members}, {"json": canary}):
            answer = await standing.rest(route.method, _path(route), standing.admin_key, **sent)
            said += answer.text if answer.status_code >= 400 else ""
    assert not [canary for canary in CANARIES.values() if canary in said]
    assert not [canary for canary in CANARIES.values() if canary in json_log.getvalue()]


def _path(route: OperationRoute) -> str:
    return _filled(route.path)


def _filled(path: str) -> str:
    return re.sub(r"{\w+}", "0f8fad5b-d9cb-469f-a165-70867728950e", path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("canary", [KEY, TOKEN], ids=["key", "token"])
async def test_no_credential_in_a_path_gets_into_log_or_refusal(
    standing: Gateway, json_log: io.StringIO, route: OperationRoute, canary: str
) -> None:
    said = ""
    for name in [*route.path_names, "surplus"]:
        path = route.path.replace(f"{{{name}}}", canary) if name in route.path_names else ""
        path = _filled(path or f"{route.path}/{canary}")
        said += (await standing.rest(route.method, path, standing.admin_key)).text
    assert canary not in said
    assert canary not in json_log.getvalue()


async def test_issued_secrets_stay_out_of_the_log(gateway: Gateway, log: io.StringIO) -> None:
    await gateway.sign_up("alice", PASSWORD)
    token = await gateway.log_in("alice", PASSWORD)
    renewed = (await gateway.rest("POST", "/users/@self/token", token)).json()["token"]
    key = (await gateway.rest("POST", "/users/@self/keys", token, json={"name": "x"})).json()["key"]
    new = {"username": "bobby", "email": "b@example.com"}
    made = (await gateway.rpc("admin.users.create", new, gateway.admin_key))["result"]
    secrets = [PASSWORD, token, renewed, key, key[9:], made["password"], gateway.admin_key]
    assert "users.create" in log.getvalue()
    assert not [secret for secret in secrets if secret in log.getvalue()]


# -------------------------------------------------------------------------------- faults


class BrokenHasher(FakeHasher):
    """Out of order."""

    async def hash(self, password: str) -> str:
        raise RuntimeError("out of order")

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        raise RuntimeError("out of order")


async def _provoke_faults(gateway: Gateway) -> list[str]:
    """A fault at each API, with a password and a credential on the way."""
    login = {"username": "alice", "password": PASSWORD}
    rest = await gateway.rest("POST", "/users/auth", KEY, json=login)
    basic = await gateway.client.post("/users/auth", auth=("alice", PASSWORD))
    assert rest.status_code == basic.status_code == 500
    reply = await gateway.rpc("users.auth", login, TOKEN)
    problem = await gateway.rpc("users.auth", login, TOKEN, query="?errors=problem")
    return [rest.text, basic.text, json.dumps(reply), json.dumps(problem)]


async def test_a_fault_is_answered_with_a_reference_and_nothing_else(
    database: Path, json_log: io.StringIO
) -> None:
    async with open_gateway(database, hasher=BrokenHasher()) as gateway:
        said = await _provoke_faults(gateway)
    assert not [text for text in said if "order" in text or "Traceback" in text or "hash" in text]
    for text in said:
        body = json.loads(text)
        reference = body.get("detail") or body["error"]["data"]
        reference = reference if isinstance(reference, str) else reference["detail"]
        assert f'"request_id":"{reference}"' in json_log.getvalue()


async def test_the_log_of_a_fault_holds_no_secret(database: Path, log: io.StringIO) -> None:
    async with open_gateway(database, hasher=BrokenHasher()) as gateway:
        await _provoke_faults(gateway)
    assert log.getvalue().count("out of order") >= 4
    assert not [secret for secret in (PASSWORD, KEY, TOKEN) if secret in log.getvalue()]


async def test_the_log_of_an_sql_error_holds_no_hash(database: Path, json_log: io.StringIO) -> None:
    with pysqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON users WHEN new.username = 'alice' "
            "BEGIN SELECT RAISE(ABORT, 'out of order'); END"
        )
    connection.close()
    async with open_gateway(database) as gateway:
        params = {"username": "alice", "password": PASSWORD}
        reply = await gateway.rpc("users.create", params)
    assert reply["error"]["code"] == -32603
    assert "out of order" in json_log.getvalue()
    values = [e["exc_value"] for e in _faults(json_log)]
    assert values
    assert not [value for value in values if "fake:1:1:" in value]


def _lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def _faults(log: io.StringIO) -> list[dict[str, Any]]:
    return [part for line in _lines(log) for part in line.get("exception", [])]


# ------------------------------------------------------------------------------- forgery

NEWLINES = ["\n", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\x1b[2K\r"]
FORGED = '{"event": "request", "path": "/forged", "status": 200}'


async def _send_forgeries(gateway: Gateway, newline: str) -> int:
    """The places whose text may get into the log; how many requests that were."""
    text = f"x{newline}{FORGED}".encode()
    names = [b"X-Request-ID", b"X-Forwarded-For", b"User-Agent", b"Forwarded", b"Host"]
    for name in names:
        await gateway.client.get("/.well-known/jwks.json", headers={name: text})
    zone = b"fe80::1%" + text
    await gateway.client.get("/.well-known/jwks.json", headers={b"X-Forwarded-For": zone})
    for path in (f"/{quote(newline + FORGED)}", f"/users/{quote(newline)}", "/%0A%0D%1B%5B2K"):
        await gateway.rest("GET", path)
    call = {"jsonrpc": "2.0", "method": f"x{newline}{FORGED}", "id": 1, "auth": text.decode()}
    await gateway.rest("POST", "/rpc", json=call)
    return len(names) + 5


@pytest.mark.parametrize("newline", NEWLINES, ids=ascii)
async def test_no_client_can_forge_a_line_of_the_log(
    database: Path, json_log: io.StringIO, newline: str
) -> None:
    settings = Settings(trusted_proxies=(ip_network("203.0.113.0/24"),))
    async with open_gateway(database, settings) as gateway:
        json_log.truncate(json_log.seek(0))
        sent = await _send_forgeries(gateway, newline)
    lines = [line for line in _lines(json_log) if line["logger"] == "gatehouse.http"]
    assert len(lines) == len(_lines(json_log)) == sent
    assert not [line for line in lines if line["path"] == "/forged"]


@pytest.mark.parametrize("newline", NEWLINES, ids=ascii)
async def test_no_client_can_write_to_the_operators_terminal(database: Path, newline: str) -> None:
    settings = Settings(trusted_proxies=(ip_network("203.0.113.0/24"),))
    with captured("console") as log:
        async with open_gateway(database, settings) as gateway:
            log.truncate(log.seek(0))
            sent = await _send_forgeries(gateway, newline)
    assert len(log.getvalue().splitlines()) == sent
    assert not {"\x1b", "\r", "\x85", "\u2028"} & set(log.getvalue())


async def test_a_request_id_is_taken_from_trusted_proxies_alone(gateway: Gateway) -> None:
    answer = await gateway.rest("GET", "/health/live", headers={"X-Request-ID": "mine"})
    assert answer.headers["x-request-id"] != "mine"


@pytest.mark.parametrize("sent", ["", "a b", "a\tb", "é", "a;b", "<b>", "x" * 129, "a\nb", KEY])
async def test_an_odd_request_id_is_not_taken_from_anybody(database: Path, sent: str) -> None:
    settings = Settings(trusted_proxies=(ip_network("203.0.113.0/24"),))
    async with open_gateway(database, settings) as gateway:
        for value, taken in ((sent.encode(), False), (b"an-id.of_1", True)):
            answer = await gateway.client.get("/health/live", headers={b"X-Request-ID": value})
            assert (answer.headers["x-request-id"].encode() == value) is taken


# ------------------------------------------------------------------------------ the store


def _stored_bytes(database: Path) -> bytes:
    """The database with its log of writes, as it lies on disk."""
    return b"".join(file.read_bytes() for file in database.parent.glob(f"{database.name}*"))


@pytest.fixture
async def lived_in(database: Path) -> AsyncIterator[tuple[Gateway, list[str]]]:
    """A gateway with real hashes, and every secret that it received or issued."""
    hasher = Argon2Hasher()
    async with open_gateway(database, hasher=hasher) as gateway:
        yield gateway, await _live(gateway)
    hasher.close()


async def _live(gateway: Gateway) -> list[str]:
    async def create(path: str, credential: str | None, **body: str) -> Any:
        """By REST, so that what is kept to answer the same again is in the store as well."""
        headers = {"Idempotency-Key": f"{ONCE} {path}".replace(" ", ""), "Prefer": SHOWN}
        return (await gateway.rest("POST", path, credential, json=body, headers=headers)).json()

    await create("/users/@self", None, username="alice", password=PASSWORD)
    token = await gateway.log_in("alice", PASSWORD)
    renewed = (await gateway.rpc("users.refresh", auth=token))["result"]["token"]
    changes = {"current": PASSWORD, "password": f"{PASSWORD} the second"}
    await gateway.rest("PUT", "/users/@self/password", token, json=changes)
    key = (await create("/users/@self/keys", renewed, name="x"))["key"]
    new = {"username": "bobby", "email": "b@example.com"}
    made = await create("/users", gateway.admin_key, **new)
    path, reset = f"/users/{made['uuid']}", "Canary-Passw0rd-of-bobby"
    await gateway.rest("PUT", path, gateway.admin_key, json={"password": reset})
    passwords = [PASSWORD, changes["password"], made["password"], reset, ONCE]
    parts = [part for text in (token, renewed) for part in (text, text.split(".")[2])]
    return [*passwords, *parts, key, key[9:], gateway.admin_key, gateway.admin_key[9:]]


async def test_no_secret_lies_in_the_database(
    lived_in: tuple[Gateway, list[str]], database: Path
) -> None:
    stored = _stored_bytes(database)
    assert b"$argon2id$" in stored
    assert not [secret for secret in lived_in[1] if secret.encode() in stored]


async def test_of_an_access_key_only_a_hash_lies_in_the_database(
    lived_in: tuple[Gateway, list[str]], database: Path
) -> None:
    stored = _stored_bytes(database)
    for key in (secret for secret in lived_in[1] if len(secret) == 32 and secret[8] == "-"):
        assert key[:8].encode() in stored
        assert sha256(key[9:].encode()).digest() in stored


async def test_no_private_key_lies_in_the_database(
    lived_in: tuple[Gateway, list[str]], database: Path
) -> None:
    stored = _stored_bytes(database)
    assert b'"kty"' in stored
    assert not [text for text in (b"PRIVATE", b'"d":', b'"d" :') if text in stored]


def _free_texts(uuid: str, session: str, key: str) -> dict[str, dict[str, str]]:
    """A call of each operation that changes something: well-formed, and naming what there is."""
    server, guild = "7c9e6679-7425-40de-944b-e07fc1f90ae7", "71395574100676610"
    return {
        "users.create": {"username": "carol", "password": f"{PASSWORD} of carol"},
        "users.auth": {"username": "alice", "password": PASSWORD},
        "users.presence": {"presence": "ONLINE"},
        "users.update": {"display_name": "Alice", "username": "alice"},
        "users.password": {"current": PASSWORD, "password": PASSWORD},
        "sessions.revoke": {"id": session},
        "keys.create": {"name": "x", "expires_at": "2100-01-01T00:00:00Z"},
        "keys.revoke": {"id": key},
        "admin.users.create": {"username": "david", "email": "d@example.com", "display_name": "D"},
        "admin.users.update": {"uuid": uuid, "email": "b@example.com", "display_name": "Bobby"},
        "admin.users.disable": {"uuid": uuid},
        "admin.users.unlock": {"uuid": uuid},
        "admin.sessions.revoke": {"uuid": uuid, "id": session},
        "admin.keys.revoke": {"uuid": uuid, "id": key},
        "admin.servers.put": {"uuid": server, "owner": uuid, "name": "Survival"},
        "admin.servers.delete": {"uuid": server},
        "admin.guilds.put": {"id": guild, "owner_id": uuid, "name": "x", "icon": "http://x/y"},
        "admin.guilds.members.put": {"id": guild, "user": uuid},
        "admin.guilds.members.delete": {"id": guild, "user": uuid},
        "admin.guilds.delete": {"id": guild},
        "admin.audit.list": {
            "actor": uuid,
            "target": uuid,
            "action": "keys.list",
            "outcome": "done",
        },
        "users.refresh": {},
        "users.logout": {},
    }


TAKE_ANY_TEXT = {
    "users.update display_name",
    "keys.create name",
    "admin.users.update display_name",
    "admin.servers.put name",
    "admin.guilds.put name",
}


async def _sing(gateway: Gateway, token: str, uuid: str) -> set[str]:
    """Put each canary into each member of each call, and into the headers; what succeeded."""
    done = set()
    for canary in CANARIES.values():
        headers = {"User-Agent": canary, "X-Forwarded-For": canary}
        # A trusted proxy may name a request as it likes, but not by a credential.
        if canary in {KEY, TOKEN}:
            headers["X-Request-ID"] = canary
        for name, members in _free_texts(uuid, "a session", "AAAAAAAA").items():
            auth = gateway.admin_key if name.startswith("admin.") else token
            for changed in [None, *members]:
                params = {**members, **({} if changed is None else {changed: canary})}
                call = {"jsonrpc": "2.0", "method": name, "params": params, "auth": auth, "id": 1}
                answer = await gateway.rest("POST", "/rpc", json=call, headers=headers)
                if "result" in answer.json():
                    done.add(f"{name} {changed}")
    return done


async def test_no_secret_gets_into_the_audit_trail_through_any_field(database: Path) -> None:
    settings = Settings(trusted_proxies=(ip_network("203.0.113.0/24"),))
    async with open_gateway(database, settings) as gateway:
        secrets = await _live(gateway)
        token = await gateway.log_in("alice", f"{PASSWORD} the second")
        done = await _sing(gateway, token, await gateway.uuid_of("bobby"))
        read = (await gateway.rest("GET", "/audit?limit=1000", gateway.admin_key)).text
        replied = await gateway.rpc("admin.audit.list", {"limit": 1000}, gateway.admin_key)
    # Where any text may stand, the canary was taken, and the change is on record.
    assert done >= TAKE_ANY_TEXT
    with pysqlite3.connect(database) as connection:
        stored = repr(connection.execute("SELECT * FROM audit").fetchall())
    connection.close()
    assert "admin.servers.put" in stored
    for told in (stored, read, json.dumps(replied, ensure_ascii=False)):
        assert not [s for s in [*secrets, token, *CANARIES.values(), "argon2"] if s in told]


async def test_lists_of_keys_and_sessions_hold_no_secret(
    lived_in: tuple[Gateway, list[str]],
) -> None:
    gateway, secrets = lived_in
    alice = await gateway.uuid_of("alice")
    said = ""
    for kind in ("keys", "sessions"):
        for path in (f"/users/{alice}/{kind}", f"/users/@self/{kind}", "/users", "/users/@self"):
            said += (await gateway.rest("GET", path, gateway.admin_key)).text
    assert not [secret for secret in secrets if secret in said]
    assert "argon2" not in said


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/users/auth"), ("POST", "/users/@self/keys"), ("POST", "/users/@self/token")],
)
async def test_no_cache_keeps_an_answer_that_holds_a_secret(
    gateway: Gateway, method: str, path: str
) -> None:
    token = await gateway.user("alice")
    bodies: dict[str, Any] = {
        "/users/auth": {"username": "alice", "password": "correct horse battery"},
        "/users/@self/keys": {"name": "x"},
    }
    answer = await gateway.rest(method, path, token, json=bodies.get(path))
    assert answer.is_success
    assert answer.headers["cache-control"] == "no-store"
