"""Odd addresses and header fields on the socket of a real server: answers of the contract alone."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.hostile import corpus
from tests.server.raw import Reply, call, connect, replies, sized
from tests.server_process import Server, serving

# What may be answered 'yes' beside JSON: that there is nothing to say.
MEDIA_TYPES = {"application/json", "application/problem+json", None}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("hostile"), GATEHOUSE_RATE_LIMITS="off") as started:
        yield started


def ask(server: Server, line: str, *fields: str, body: bytes = b"") -> Reply:
    """The only answer to a request with these lines in its head."""
    lines = [f"{line} HTTP/1.1", "Host: gateway", *fields]
    if not any(field.lower().startswith("connection:") for field in fields):
        lines.append("Connection: close")
    if body and not any(field.startswith("Content-Type") for field in fields):
        lines.append("Content-Type: application/json")
    head = "\r\n".join(lines).encode("latin-1")
    with connect(server) as connection:
        connection.sendall(head + b"\r\n" + (sized(body) if body else b"\r\n"))
        return next(replies(connection, line.split()[0]))


def assert_contract(reply: Reply, *statuses: int) -> None:
    """It is one of these, and not in anybody else's words."""
    assert reply.status in statuses, reply
    assert reply.headers.get("content-type") in MEDIA_TYPES, reply
    assert reply.headers["x-request-id"]
    assert "x-injected" not in reply.headers
    if reply.status >= 400 and reply.body:
        problem = json.loads(reply.body)
        assert problem["status"] == reply.status
        assert len(reply.body) < 4000


def test_an_address_that_leads_nowhere_is_a_problem(server: Server) -> None:
    known = f"X-Access-Token: {server.admin_key}"
    for path in corpus.PATHS:
        target = quote(path, safe="/%@;:+*$'=,{}<>\"`")
        for method in ("GET", "PUT", "DELETE", "PATCH", "POST", "HEAD"):
            reply = ask(server, f"{method} {target}", known)
            assert_contract(reply, 400, 404, 405, 415)


@pytest.mark.parametrize("path", ["/users", "/users/@self", "/users/alice", "/rpc", "/nothing"])
def test_an_odd_query_is_refused_or_says_nothing(server: Server, path: str) -> None:
    known = f"X-Access-Token: {server.admin_key}"
    for query in corpus.QUERIES:
        assert_contract(ask(server, f"GET {path}?{query}", known), 200, 204, 400, 404, 405)
        if path != "/users":
            body = call("users.self")
            reply = ask(server, f"POST {path}?{query}", known, body=body)
            assert_contract(reply, 200, 400, 404, 405, 415)


@pytest.mark.parametrize("name", corpus.FIELDS)
def test_an_odd_field_is_refused_or_says_nothing(server: Server, name: str) -> None:
    known = f"X-Access-Token: {server.admin_key}"
    for value in corpus.FIELDS[name]:
        field = f"{name}: {value}"
        for fields in ([field], [known, field]):
            assert_contract(ask(server, "GET /users/@self", *fields), 200, 304, 400, 401)
            assert_contract(ask(server, "GET /users", *fields), 200, 400, 401)
            body = call("users.self")
            reply = ask(server, "POST /rpc", *fields, body=body)
            assert_contract(reply, 200, 400, 415)
    log = server.log.until('"serving"')
    assert all(json.loads(line)["event"] != "forged" for line in log.splitlines())


def test_a_slash_in_disguise_leads_nowhere_even_where_an_answer_is_ready(server: Server) -> None:
    known = f"X-Access-Token: {server.admin_key}"
    for _ in range(2):
        assert ask(server, "GET /users/@self", known, "Connection: keep-alive").status == 200
    reply = ask(server, "GET /users%2F@self", known, "Connection: keep-alive")
    assert (reply.status, reply.value["code"]) == (404, "not-found")
