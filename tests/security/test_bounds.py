"""Bounds that keep one client from delaying all others."""

import asyncio
from pathlib import Path
from time import process_time

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from app.domain.errors import Overloaded
from app.domain.names import Username
from app.domain.passwords import normalize_password
from app.http.json import CONTAINERS_MAX, ESCAPES_MAX, VALUES_MAX, TooManyValues, parse
from app.http.middleware import ErrorMiddleware, MiddlewareRules, RequestMiddleware
from app.http.request import Context
from app.rest.login import FORM, FORM_MAX
from app.security.ids import hold_worker_number
from app.security.passwords import Argon2Hasher
from tests.gateway import Gateway

pytestmark = pytest.mark.anyio

# Each such digit makes PRECIS look at the whole string again.
ARABIC_DIGIT = "\u0660"


def test_a_text_that_is_dear_to_map_is_refused_before_it_is_mapped() -> None:
    assert Username.try_parse(("b" + ARABIC_DIGIT) * 512) is None
    assert normalize_password(("b" + ARABIC_DIGIT) * 200) is None
    assert normalize_password("b" + ARABIC_DIGIT * 127) is not None


def test_half_width_letters_may_be_twice_as_many_before_mapping() -> None:
    found = Username.try_parse("\uff76\uff9e" * 16)
    assert found is not None
    assert found.value == "\u30ac" * 16


@pytest.mark.parametrize("piece", ["a", "a.", "a-", "a.b.", f"a.b.{'c' * 42}/", "ABCDEFGH-"])
async def test_a_path_is_searched_for_secrets_once_however_it_looks(piece: str) -> None:
    """Starting again at each of its characters would take an hour."""

    async def ignore(*_: object) -> None:
        return

    path = "/" + piece * (1024 * 1024 // len(piece))
    edge = RequestMiddleware(
        ignore, rules=MiddlewareRules(), new_id=lambda: "id", metrics=CollectorRegistry()
    )
    scope = {"type": "http", "method": "GET", "headers": [], "raw_path": path.encode()}
    with capture_logs() as log:
        await edge(scope, ignore, ignore)  # type: ignore[arg-type]
    assert log[0]["path"] == path


async def test_a_login_form_is_smaller_than_other_bodies(shared_gateway: Gateway) -> None:
    """To undo so many escapes takes longer than to hash a password."""
    form = {b"Content-Type": FORM.encode()}
    for body, status in ((b"%41" * (FORM_MAX // 3 - 20), 401), (b"%41" * FORM_MAX, 413)):
        sent = b"username=alice&password=" + body
        response = await shared_gateway.client.post("/users/auth", content=sent, headers=form)
        assert response.status_code == status


async def test_a_name_that_a_form_has_twice_is_found_in_a_moment(shared_gateway: Gateway) -> None:
    """To count each of its names takes seconds; anyone may send it."""
    names = [f"{number:x}" for number in range(FORM_MAX // 7)]
    form = {b"Content-Type": FORM.encode()}
    began = process_time()
    response = await shared_gateway.client.post(
        "/users/auth", content="=&".join([*names, names[-1], ""])[:-1], headers=form
    )
    assert process_time() - began < 0.5
    assert response.json()["detail"] == f"{names[-1]}: is given twice; send it once"


def test_json_of_more_arrays_and_objects_than_any_request_needs_is_refused() -> None:
    assert parse(b"[" + b"{}," * (CONTAINERS_MAX - 2) + b"{}]")
    with pytest.raises(ValueError, match="too many"):
        parse(b"[" + b"{}," * CONTAINERS_MAX + b"{}]")


def test_json_of_more_values_or_escapes_than_any_request_needs_is_refused_unparsed() -> None:
    """The parser holds the interpreter's lock, so what it takes stops the event loop."""
    assert len(parse(b"[%b0]" % (b"0," * VALUES_MAX))) == VALUES_MAX + 1
    assert parse(b'["%b"]' % (b"\\n" * ESCAPES_MAX))
    for body in (
        b"[%b0]" % (b"0," * (VALUES_MAX + 1)),
        b"{%b}" % b",".join(b'"%d":0' % number for number in range(VALUES_MAX + 2)),
        b'["%b"]' % (b"\\n" * (ESCAPES_MAX + 1)),
    ):
        with pytest.raises(TooManyValues):
            parse(body)


async def test_too_many_values_are_refused_at_both_apis(shared_gateway: Gateway) -> None:
    members = ",".join(f'"m{number}":[]' for number in range(VALUES_MAX + 2))
    body = f'{{"jsonrpc":"2.0","method":"users.check","id":1,{members}}}'.replace("[]", "0")
    headers = {"Content-Type": "application/json"}
    reply = await shared_gateway.client.post("/rpc", content=body, headers=headers)
    assert reply.json()["error"] == {
        "code": -32600,
        "message": "Invalid Request",
        "data": "Send less at once: there are too many values.",
    }
    answer = await shared_gateway.rest("POST", "/users/@self", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "Send less at once: there are too many values."


async def test_a_refusal_is_smaller_than_what_it_refuses(shared_gateway: Gateway) -> None:
    members = {f"member{number}": 1 for number in range(20_000)}
    for response in (
        await shared_gateway.rest("POST", "/users/@self", json=members),
        await shared_gateway.rest(
            "GET", "/users/alice", params=dict.fromkeys(map(str, range(2_000)), "")
        ),
        await shared_gateway.rest("POST", "/users/@self", json={"x" * 100_000: 1}),
    ):
        assert response.status_code == 400
        assert len(response.content) < 4_000


async def test_a_hash_that_would_wait_too_long_is_refused() -> None:
    hasher = Argon2Hasher(cores=1)
    flood = [asyncio.ensure_future(hasher.verify("a", None)) for _ in range(500)]
    done, waiting = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
    refused = [task for task in done if isinstance(task.exception(), Overloaded)]
    assert len(refused) > 300
    for task in waiting:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    hasher.close()


async def test_a_request_cancelled_at_shutdown_gets_an_error() -> None:
    async def interrupted(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise asyncio.CancelledError

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    sent: list[Message] = []
    scope = {"type": "http", "headers": [], "gatehouse": Context("id", None)}
    await ErrorMiddleware(interrupted)(scope, receive, send)
    assert sent[0]["status"] == 503


async def test_no_two_at_once_have_the_same_worker_number(tmp_path: Path) -> None:
    with hold_worker_number(tmp_path) as first, hold_worker_number(tmp_path) as second:
        assert (first, second) == (0, 1)
    with hold_worker_number(tmp_path) as third:
        assert third == 0
