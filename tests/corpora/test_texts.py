"""Every text of the corpus in every text parameter of every operation.

In `make test` a parameter gets every eighth text at one API and every eighth at the other, which
ones depends on its name; with FUZZ_SECONDS it gets all of them at both. Members that take nearly
any text always get all.
"""

import io
import json
import os
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints
from unicodedata import normalize
from urllib.parse import quote

import pysqlite3
import pytest

from app.domain.errors import CATALOGUE
from app.http.params import call_example
from app.operations.framework.operation import Operation
from app.rest.operation_route import OperationRoute
from app.rest.router import ROUTES
from app.rpc.exchange import BATCH_HASHES_MAX, BATCH_MAX
from app.rpc.methods import METHODS
from tests.captured_logs import captured
from tests.corpora.asking import Reply, ask
from tests.corpora.report import none_of
from tests.gateway import Gateway
from tools.corpora.texts import TEXTS

pytestmark = pytest.mark.anyio

ALL = [text for texts in TEXTS.values() for text in texts]
SLUGS = {error.slug for error in CATALOGUE}
APIS = ("rpc", "rest")
UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def _texts(api: str, member: str) -> list[str]:
    """The texts that a member gets at this API."""
    turn = 4 * APIS.index(api) + len(member)
    return ALL if os.environ.get("FUZZ_SECONDS") else ALL[turn % 8 :: 8]


# Members that name an account.
PEOPLE = {"uuid", "user", "owner", "owner_id", "actor", "target"}


@pytest.fixture(scope="module", autouse=True)
def log() -> Iterator[io.StringIO]:
    with captured("json") as written:
        yield written


def _takes_text(hint: Any) -> bool:
    return hint is str or any(_takes_text(part) for part in get_args(hint))


def _is_list(hint: Any) -> bool:
    return getattr(hint, "__origin__", None) is list or any(_is_list(p) for p in get_args(hint))


def _text_members(operation: Operation) -> dict[str, bool]:
    """The members of an input that are texts, and which of them are lists of texts."""
    hints = get_type_hints(operation.input)
    return {name: _is_list(hint) for name, hint in hints.items() if _takes_text(hint)}


WITH_TEXTS = [name for name, method in METHODS.items() if _text_members(method.operation)]
ROUTES_WITH_TEXTS = [route for route in ROUTES if _text_members(route.operation)]


async def _example(gateway: Gateway, operation: Operation) -> dict[str, Any]:
    """The members of a call, about an account that is there."""
    (found,) = (await gateway.rest("GET", "/users?limit=1", gateway.admin_key)).json()
    example = call_example(operation)
    if "limit" in get_type_hints(operation.input):
        example = {**example, "limit": 1}
    return {name: found if name in PEOPLE else value for name, value in example.items()}


# -------------------------------------------------------------------------- JSON-RPC


def _calls(name: str, example: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    for member, is_list in _text_members(METHODS[name].operation).items():
        for text in _texts("rpc", member):
            value = [text] if is_list else text
            params = {**example, member: value}
            calls.append({"jsonrpc": "2.0", "method": name, "params": params, "id": len(calls)})
    return calls


def _refusal(reply: Mapping[str, Any]) -> str | None:
    """Return the flaw of a reply, which has a result or an error of the contract."""
    if "result" in reply:
        return None
    code, data = reply["error"]["code"], reply["error"]["data"]
    if code in {-32602, -32600} or (-32100 < code <= -32001 and data["code"] in SLUGS):
        return "a fault" if "internal" in json.dumps(data) else None
    return f"{reply['error']}"[:200]


@pytest.mark.parametrize("name", WITH_TEXTS)
async def test_rpc_answers_every_text(standing: tuple[Gateway, Path], name: str) -> None:
    gateway, _ = standing
    pending = deque(_calls(name, await _example(gateway, METHODS[name].operation)))
    size = BATCH_HASHES_MAX if METHODS[name].operation.hashes else BATCH_MAX
    headers = [(b"x-access-token", gateway.admin_key.encode())]
    wrong = []
    while pending:
        batch = [pending.popleft() for _ in range(min(size, len(pending)))]
        if not all(_is_utf8(call) for call in batch):
            # One lone surrogate makes no JSON of the whole batch.
            refused = [call for call in batch if not _is_utf8(call)]
            reply = await ask(gateway, "POST", b"/rpc", b"", headers, json.dumps(refused).encode())
            if json.loads(reply.body)["error"]["code"] != -32700:
                wrong.append(f"lone surrogates: {reply.body[:200]!r}")
            batch = [call for call in batch if _is_utf8(call)]
        body = json.dumps(batch, ensure_ascii=False).encode()
        reply = await ask(gateway, "POST", b"/rpc", b"errors=problem", headers, body)
        by_id = {one["id"]: one for one in json.loads(reply.body)}
        for call in batch:
            if (field_error := _refusal(by_id[call["id"]])) is not None:
                wrong.append(f"{call['params']!r:.120}: {field_error}")
    none_of(wrong)


def _is_utf8(value: Any) -> bool:
    return "\\ud" not in json.dumps(value) or _encodes(json.dumps(value, ensure_ascii=False))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -------------------------------------------------------------------------- the REST API


async def _send(
    gateway: Gateway, route: OperationRoute, members: Mapping[str, Any], member: str, text: str
) -> Reply | None:
    """One request with the text where the member travels; None where HTTP cannot carry it."""
    sent, path = dict(members), route.path
    for name in route.path_names:
        value = str(sent.pop(name, members.get("username", "x")))
        path = path.replace(f"{{{name}}}", quote(value, safe="", errors="surrogatepass"))
    headers = [(b"x-access-token", gateway.admin_key.encode())]
    for name, header in route.member_headers.items():
        if name in sent:
            value = str(sent.pop(name))
            if {"\0", "\r", "\n"} & {*value}:
                return None
            headers.append((header.encode(), value.encode("utf-8", "surrogatepass")))
    sent = {name: value for name, value in sent.items() if name not in route.left_out}
    if route.has_body:
        return await ask(
            gateway, route.method, path.encode(), b"", headers, json.dumps(sent).encode()
        )
    query = "&".join(
        f"{name}={quote(str(value), safe='', errors='surrogatepass')}"
        for name, value in sent.items()
    )
    return await ask(gateway, route.method, path.encode(), query.encode(), headers)


@pytest.mark.parametrize("route", ROUTES_WITH_TEXTS, ids=lambda r: f"{r.method} {r.path}")
async def test_rest_answers_every_text(
    standing: tuple[Gateway, Path], route: OperationRoute
) -> None:
    gateway, _ = standing
    example = await _example(gateway, route.operation)
    wrong = []
    for member, is_list in _text_members(route.operation).items():
        if member in route.left_out:
            continue
        for text in _texts("rest", member):
            members = {**example, member: [text] if is_list else text}
            reply = await _send(gateway, route, members, member, text)
            if reply is not None and (field_error := reply.field_error) is not None:
                wrong.append(f"{member} {text!r:.80}: {field_error}")
    none_of(wrong)


# ------------------------------------------------------------------------- what is accepted

GUILD = "71395574100676610"
# A write and a read of the same text, at each API: the write's operation and member, and where it
# is read again.
KEPT: dict[str, tuple[str, str, str, str]] = {
    "display name": ("users.update", "display_name", "PATCH /users/@self", "/users/@self"),
    "username": ("users.update", "username", "PATCH /users/@self", "/users/@self"),
    "guild name": ("admin.guilds.put", "name", f"PUT /guilds/{GUILD}", "/guilds"),
    "server name": ("admin.servers.put", "name", f"PUT /servers/{UUID}", "/servers"),
    "e-mail": ("admin.users.update", "email", "PUT /users/{uuid}", "/users?sort=id&limit=1"),
}


def _found(shown: Any, member: str) -> Any:
    """The member of the account, server or guild in question."""
    if isinstance(shown, list):
        shown = {one["id"]: one for one in shown}
    for name in (member, UUID, GUILD):
        if name in shown:
            return shown[name] if name == member else shown[name][member]
    (only,) = shown.values()
    return only[member]


@pytest.mark.parametrize("what", KEPT)
async def test_both_apis_accept_the_same_texts_and_show_them_alike(
    standing: tuple[Gateway, Path], what: str
) -> None:
    gateway, _ = standing
    operation, member, route, shown = KEPT[what]
    method, path = route.split()
    example = await _example(gateway, METHODS[operation].operation)
    (uuid,) = (await gateway.rest("GET", "/users?limit=1", gateway.admin_key)).json()
    ids = {"id": GUILD} if "guild" in what else {"uuid": UUID} if "server" in what else {}
    headers = [(b"x-access-token", gateway.admin_key.encode())]
    target, (page, _, query) = path.replace("{uuid}", uuid).encode(), shown.encode().partition(b"?")

    async def write(params: Mapping[str, Any]) -> bool:
        call = {"jsonrpc": "2.0", "method": operation, "params": params, "id": 1}
        reply = await ask(gateway, "POST", b"/rpc", b"", headers, json.dumps(call).encode())
        return b'"result":' in reply.body

    async def read() -> Any:
        return _found(json.loads((await ask(gateway, "GET", page, query, headers)).body), member)

    wrong = []
    for text in filter(_encodes, ALL):
        params = {**example, **ids, member: text}
        is_taken = await write(params)
        sent = {name: value for name, value in params.items() if name not in {"id", "uuid"}}
        answer = await ask(gateway, method, target, b"", headers, json.dumps(sent).encode())
        if is_taken != (answer.status < 400):
            wrong.append(f"{text!r:.60}: the APIs differ: {answer.body[:200]!r}")
        if is_taken:
            kept = await read()
            if not await write({**params, member: kept}) or await read() != kept:
                wrong.append(f"{text!r:.60}: {kept!r} is not kept when it is sent back")
            if kept is None or _compared(kept) != _compared(text):
                wrong.append(f"{text!r:.60}: became {kept!r}")
    none_of(wrong)


def _compared(text: str) -> str:
    """Normalisation, case and white space are all that may differ."""
    return " ".join(normalize("NFKC", text).casefold().split())


# -------------------------------------------------------------------- what was left behind


async def test_afterwards_the_store_is_whole_and_the_log_has_no_raw_text(
    standing: tuple[Gateway, Path], log: io.StringIO
) -> None:
    gateway, folder = standing
    headers = [(b"x-access-token", gateway.admin_key.encode())]
    for text in ALL:
        quoted = quote(text, safe="", errors="surrogatepass").encode()
        await ask(gateway, "GET", b"/users/" + quoted, b"", headers)
        await ask(gateway, "GET", b"/users", b"limit=1&q=" + quoted, headers)
    assert (await gateway.rest("GET", "/users/@self", gateway.admin_key)).status_code == 200
    assert (await gateway.rest("GET", "/health/ready")).status_code == 200
    connection = pysqlite3.connect(folder / "gatehouse.sqlite3")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    lines = log.getvalue().splitlines()
    assert len(lines) >= 2 * len(ALL)
    # What looks like a credential in a path is left out.
    plain = [line.replace("…", "") for line in lines]
    none_of(line for line in plain if not (line.isascii() and line.isprintable()))
    assert {json.loads(line)["event"] for line in lines} == {"request"}
