"""The fast path sends cached responses, equal to those of the normal path."""

import json
import re
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.raw import HOST, LAST, LIVE, RPC, Reply, connect, exchange, replies, sized
from tests.server_process import Server, serving

PASSWORD = "correct horse battery"
FAULT = re.compile(r"gatehouse_faults_total\{.*\} [^0]")
OF_ITS_OWN = {"date", "x-request-id", "connection"}


def sign_in(server: Server, name: str) -> str:
    """A new account's token, with which its answers have been made ready."""
    asked = {"username": name, "password": PASSWORD}
    assert server.client.post("/users/@self", json=asked).status_code == 201
    token: str = server.client.post("/users/auth", json=asked).json()["token"]
    for _ in range(3):
        assert exchange(server, who(token) + LAST)[0].value["username"] == name
    return token


def who(token: str, more: bytes = b"", method: bytes = b"GET") -> bytes:
    """`/users/@self` with this token."""
    bearer = b"Authorization: Bearer %b\r\n" % token.encode()
    return method + b" /users/@self HTTP/1.1\r\n" + HOST + bearer + more + b"\r\n"


def verify(token: str) -> bytes:
    """The forward-auth request of a proxy with this token."""
    return who(token).replace(b"/users/@self", b"/auth/verify?admin=0")


def rpc(token: str, **members: object) -> bytes:
    """A call of `users.self`; members replace those of the envelope."""
    envelope = {"jsonrpc": "2.0", "method": "users.self", "auth": token, "id": 1, **members}
    return RPC + sized(json.dumps(envelope).encode())


def shown(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    """The parts that two responses to the same request share."""
    kept = {name: value for name, value in reply.headers.items() if name not in OF_ITS_OWN}
    return reply.status, kept, reply.body


def check(_token: str) -> bytes:
    """A call of `users.check`."""
    body = {"jsonrpc": "2.0", "method": "users.check", "params": ["alice"], "id": 1}
    return RPC + sized(json.dumps(body).encode())


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return sign_in(server, "alice")


@pytest.mark.parametrize("ask", [who, rpc, verify, check])
def test_a_ready_answer_is_the_one_that_asking_again_gives(
    server: Server, token: str, ask: Callable[[str], bytes]
) -> None:
    # A request that wants the connection closed takes the normal path.
    slow = ask(token).replace(HOST, HOST + b"Connection: close\r\n")
    _, ready, _ = exchange(server, ask(token) * 2 + LAST)
    (usual,) = exchange(server, slow)
    assert shown(ready) == shown(usual)
    assert ready.headers["x-request-id"] != usual.headers["x-request-id"]
    assert ready.headers["date"]


def test_answers_keep_the_order_of_their_requests(server: Server, token: str) -> None:
    sent = who(token) + LIVE + who(token) + rpc(token, id="x") + who("nobody's") + who(token) + LAST
    answers = exchange(server, sent)
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 401, 200, 200]
    assert [answers[i].value.get("username") for i in (0, 2, 5)] == ["alice"] * 3
    assert answers[3].value["id"] == "x"


def test_a_request_in_single_bytes_is_answered_once(server: Server, token: str) -> None:
    answers = exchange(server, who(token) + rpc(token) + LAST, step=7)
    assert [answer.status for answer in answers] == [200, 200, 200]


def test_a_change_shows_at_once_on_the_same_connection(server: Server) -> None:
    token = sign_in(server, "bobby")
    body = b'{"display_name": "Robert"}'
    patch = who(token, b"Content-Type: application/json\r\n", b"PATCH")[:-2] + sized(body)
    end = who(token).replace(b"GET /users/@self", b"DELETE /users/@self/sessions/@current")
    with closing(connect(server)) as connection:
        answers = replies(connection)
        for sent in (who(token), patch, who(token), end, who(token), LAST):
            connection.sendall(sent)
        statuses = [(answer.status, b"Robert" in answer.body) for answer in answers]
    expected = [(200, False), (200, True), (200, True), (204, False), (401, False), (200, False)]
    assert statuses == expected


def test_a_notification_of_what_is_ready_has_no_answer(server: Server, token: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "method": "users.self", "auth": token}).encode()
    silent, _ = exchange(server, RPC + sized(body) + LAST)
    assert (silent.status, silent.body) == (204, b"")


def test_a_cached_response_does_not_make_an_invalid_request_valid(
    server: Server, token: str
) -> None:
    two = who(token, b"X-Access-Token: another\r\n")
    surplus = rpc(token, params={"more": 1})
    text = rpc(token).replace(b"application/json", b"text/plain")
    query = who(token).replace(b"@self ", b"@self?more=1 ")
    answers = exchange(server, two + surplus + text + query + LAST)
    assert [answer.status for answer in answers[:4]] == [400, 200, 415, 400]
    assert answers[1].value["error"]["code"] == -32602


def test_a_head_of_what_is_ready_has_no_body(server: Server, token: str) -> None:
    last = LAST.replace(b"GET", b"HEAD")
    head, _ = exchange(server, who(token, method=b"HEAD") + last, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 0


def test_a_page_of_another_origin_reads_what_is_ready(tmp_path: Path) -> None:
    origin = "https://chat.example.com"
    with serving(tmp_path, GATEHOUSE_CORS_ORIGINS=origin) as server:
        token = sign_in(server, "carol")
        answer, _ = exchange(server, who(token, b"Origin: %b\r\n" % origin.encode()) + LAST)
    assert answer.headers["access-control-allow-origin"] == origin


def test_a_disconnect_between_two_responses_causes_no_error(server: Server) -> None:
    attempt = {"jsonrpc": "2.0", "method": "users.auth", "params": ["alice", "wrong"], "id": 1}
    at_once = struct.pack("ii", 1, 0)
    for _ in range(5):
        with closing(connect(server)) as connection:
            connection.sendall(RPC + sized(json.dumps(attempt).encode()) + LIVE)
            # A password takes longer to verify.
            time.sleep(0.004)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    # Hashes are computed one after the other: once this one is, those before it have been answered.
    server.client.post("/rpc", json=attempt)
    metrics = server.client.get("/metrics", headers={"X-Access-Token": server.admin_key}).text
    assert not [line for line in metrics.splitlines() if FAULT.match(line)]
    assert '"fault"' not in server.log.so_far
