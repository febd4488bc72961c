"""The boundaries of requests: unambiguous, and one response for each.

The shapes are those of request smuggling: a proxy in front might see one request where we see two.
"""

import json
import socket
import time

import pytest

from app.domain.errors import CredentialFault
from app.server.connection import PIPELINE_MAX
from app.server.head import FIELDS_MAX, HEAD_MAX, TARGET_MAX
from tests.server.raw import (
    HOST,
    LAST,
    LIVE,
    RPC,
    assert_refused,
    call,
    chunked,
    connect,
    exchange,
    replies,
    sized,
)
from tests.server_process import Server

GET = b"GET /health/live HTTP/1.1\r\n"
CHECK = call("users.check", "nobody")
END = b"0\r\n\r\n"
CHUNKED = RPC + b"Transfer-Encoding: chunked\r\n"


def of_length(value: bytes) -> bytes:
    """A call that says this of its length."""
    return RPC + b"Content-Length: " + value + b"\r\n\r\n" + CHECK


def coded(value: bytes) -> bytes:
    """A call whose body is coded as it says here."""
    return RPC + b"Transfer-Encoding: " + value + b"\r\n\r\n" + END


def in_chunks(chunks: bytes) -> bytes:
    """A call in these chunks."""
    return CHUNKED + b"\r\n" + chunks


def with_line(line: bytes) -> bytes:
    """A request with one more line in its head."""
    return GET + HOST + line + b"\r\n\r\n"


def to_target(target: bytes, host: bytes = b"gateway") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


OFFERED = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
OFFER = RPC + OFFERED + b"\r\n"
SIZE = b"%d" % len(CHECK)
REFUSED = {
    "length and coding": RPC + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "coding and length": CHUNKED + b"Content-Length: 5\r\n\r\n" + END,
    "coding and no length": CHUNKED + b"Content-Length: 0\r\n\r\n" + END,
    "one length twice": RPC + b"Content-Length: " + SIZE + b"\r\n" + sized(CHECK),
    "two lengths": RPC + b"Content-Length: 5\r\n" + sized(CHECK),
    "a list of lengths": of_length(SIZE + b", " + SIZE),
    "a length with a plus": of_length(b"+" + SIZE),
    "a negative length": of_length(b"-1"),
    "a hexadecimal length": of_length(b"0x3e"),
    "no length at all": of_length(b""),
    "a length in two words": of_length(b"6 2"),
    "a length of 2^64": of_length(b"18446744073709551616"),
    "a length of 40 digits": of_length(b"9" * 40),
    "xchunked": coded(b"xchunked"),
    "chunked after a vertical tab": coded(b"\x0bchunked"),
    "gzip, chunked": coded(b"gzip, chunked"),
    "chunked, chunked": coded(b"chunked, chunked"),
    "chunked, identity": coded(b"chunked, identity"),
    "identity": coded(b"identity"),
    "chunked, then identity": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + END,
    "identity, then chunked": RPC + b"Transfer-Encoding: identity\r\n" + chunked(CHECK),
    "chunked in HTTP/1.0": RPC.replace(b"HTTP/1.1", b"HTTP/1.0") + chunked(CHECK),
    "a chunk of size Z": in_chunks(b"Z\r\nabc\r\n" + END),
    "a chunk of negative size": in_chunks(b"-3\r\nabc\r\n" + END),
    "a chunk of size 0x3": in_chunks(b"0x3\r\nabc\r\n" + END),
    "a chunk of size 2^64": in_chunks(b"10000000000000000\r\nabc\r\n" + END),
    "a chunk without a size": in_chunks(b"\r\nabc\r\n" + END),
    "a chunk longer than its size": in_chunks(b"3\r\nabcd\r\n" + END),
    "a blank after the size": in_chunks(b"3 \r\nabc\r\n" + END),
    "bare LF in chunks": in_chunks(b"3\nabc\n0\n\n"),
    "bare LF in an extension": in_chunks(b"3;a\nb\r\nabc\r\n" + END),
    "bare LF at the last": in_chunks(b"3\r\nabc\r\n0\r\n\n"),
    "a folded line": with_line(b"X: a\r\n b"),
    "a first line that is folded": GET + b" X: a\r\n" + HOST + b"\r\n",
    "bare LF everywhere": LIVE.replace(b"\r\n", b"\n"),
    "bare LF after the request line": LIVE.replace(b"\r\n", b"\n", 1),
    "bare LF after a field": GET + b"Host: gateway\nX: a\r\n\r\n",
    "bare LF at the end": GET + HOST + b"\n",
    "bare CR": GET + b"Host: gateway\rX: a\r\n\r\n",
    "a blank before the colon": with_line(b"X : a"),
    "a blank before the colon of the coding": RPC + b"Transfer-Encoding : chunked\r\n\r\n" + END,
    "a line without a colon": with_line(b"X"),
    "a field without a name": with_line(b": a"),
    "NUL in a field": with_line(b"X: a\x00b"),
    "NUL in a name": with_line(b"X\x00: a"),
    "a control character in a field": with_line(b"X: a\x01b"),
    "a name that is not ASCII": with_line(b"X\xff: a"),
    "an offer beside a length and a coding": OFFER + b"Content-Length: 5\r\n" + chunked(CHECK),
    "an offer beside two lengths": OFFER + b"Content-Length: 5\r\n" + sized(CHECK),
    "an offer beside gzip": OFFER + b"Transfer-Encoding: gzip\r\n\r\n" + END,
    "an offer beside a bad chunk": OFFER + b"Transfer-Encoding: chunked\r\n\r\nZ\r\n",
    "RTSP": LIVE.replace(b"HTTP/1.1", b"RTSP/1.0"),
    "OPTIONS of RTSP": LIVE.replace(b"GET", b"OPTIONS").replace(b"HTTP/1.1", b"RTSP/1.1"),
    "a method of RTSP": LIVE.replace(b"GET", b"DESCRIBE"),
    "ICE": LIVE.replace(b"GET", b"SOURCE").replace(b"HTTP/1.1", b"ICE/1.0"),
    "two blanks before the target": LIVE.replace(b" /", b"  /"),
    "two blanks behind the target": LIVE.replace(b" HTTP", b"  HTTP"),
    "a blank behind the version": LIVE.replace(b"1.1\r\n", b"1.1 \r\n"),
    "a blank before the method": b" " + LIVE,
    "LF before the request": b"\n" + LIVE,
    "CR before the request": b"\r" + LIVE,
    "an empty line and LF before the request": b"\r\n\n" + LIVE,
    "CR and an empty line before the request": b"\r\r\n" + LIVE,
    "LF and CR before the request": b"\n\r" + LIVE,
    "two CR behind the request line": LIVE.replace(b"1.1\r\n", b"1.1\r\r\n"),
    "CR at the end of the head": GET + HOST + b"\r\r\n",
    "a line that looks right in a field": b"GET  / HTTP/1.1\r\nX: \r\n" + HOST + b"\r\n",
    "CONNECT of a path": b"CONNECT /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host": GET + b"\r\n",
    "one host twice": with_line(HOST.strip()),
    "a host and another": with_line(b"Host: elsewhere"),
    "a list of hosts": GET + b"Host: gateway, elsewhere\r\n\r\n",
    "a host with a path": GET + b"Host: gateway/path\r\n\r\n",
    "a host with a user": GET + b"Host: user@gateway\r\n\r\n",
    "a host that is not ASCII": GET + b"Host: gatew\xc3\xa4y\r\n\r\n",
    "HTTP/0.9": b"GET /health/live\r\n\r\n",
    "HTTP/0.9 by name": LIVE.replace(b"1.1", b"0.9"),
    "HTTP/1.2": LIVE.replace(b"1.1", b"1.2"),
    "HTTP/2.0": LIVE.replace(b"1.1", b"2.0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an unknown method": LIVE.replace(b"GET", b"SMUGGLE"),
    "a method in small letters": LIVE.replace(b"GET", b"get"),
    "tabs in the request line": LIVE.replace(b" /health/live ", b"\t/health/live\t"),
    "CONNECT": b"CONNECT gateway:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "another host's target": to_target(b"http://elsewhere/health/live"),
    "a target with a user": to_target(b"http://user@gateway/health/live"),
    "a target at another port": to_target(b"http://gateway:81/health/live", b"gateway:80"),
    "a target at the other default port": to_target(b"http://gateway:443/health/live"),
    "a target without a host": to_target(b"http:///health/live", b""),
    "a host within the target's": to_target(b"http://gateway.example/health/live"),
    "a target of another scheme": to_target(b"ftp://gateway/health/live"),
    "a target with a fragment": to_target(b"/health/live#part"),
    "an absolute target with a fragment": to_target(b"http://gateway/health/live#part"),
    "a target without a slash": to_target(b"health/live"),
    "a target with a blank": to_target(b"/health live"),
    "a target with NUL": to_target(b"/health\x00/live"),
    "a target with DEL": to_target(b"/health\x7f/live"),
    "a target that is not ASCII": to_target(b"/health/\xff"),
    "too long a target": to_target(b"/" + b"x" * TARGET_MAX),
    "too many fields": GET + HOST + b"X: a\r\n" * FIELDS_MAX + b"\r\n",
    "10,000 fields": GET + HOST + b"X: a\r\n" * 10_000 + b"\r\n",
    "too long a field": with_line(b"X: " + b"x" * HEAD_MAX),
    "a field of 1 MB": with_line(b"X: " + b"x" * 1_000_000),
    "a name of 1 MB": with_line(b"x" * 1_000_000 + b": a"),
    "a target of 1 MB": to_target(b"/" + b"x" * 1_000_000),
    "a method of 1 MB": b"G" * 1_000_000 + LIVE,
    "extensions of 1 MB": in_chunks(b"3;" + b"x" * 1_000_000 + b"\r\nabc\r\n" + END),
    "a trailer of 1 MB": RPC + chunked(CHECK, b"X: " + b"x" * 1_000_000 + b"\r\n"),
}


@pytest.mark.parametrize("step", [0, 7], ids=["at once", "bit by bit"])
@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in REFUSED.items()])
def test_an_ambiguous_request_is_refused_and_closes_the_connection(
    server: Server, sent: bytes, step: int
) -> None:
    (refused,) = exchange(server, sent + LIVE, step=step if len(sent) < 10_000 else 40_000)
    assert_refused(refused)


TAKEN = {
    "any case": RPC + b"tRANSFER-eNCODING: CHUNKED\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (62, CHECK[:62]),
    "a tab before a value": RPC + b"Transfer-Encoding:\tchunked\r\n\r\n" + END,
    "an extension": in_chunks(b"3;a=b\r\nabc\r\n" + END),
    "a trailer": RPC + chunked(CHECK, b"X: a\r\n"),
    "empty lines before": b"\r\n\r\n" + LIVE,
    "Latin-1 in a field": with_line(b"X: \xe9"),
    "a host with a port": GET + b"Host: [::1]:8000\r\n\r\n",
    "an empty host": GET + b"Host:\r\n\r\n",
    "an absolute target": to_target(b"http://gateway:80/health/live?", b"gateway:80"),
    "its default port": to_target(b"http://gateway:80/health/live"),
    "its host's default port": to_target(b"http://gateway/health/live", b"gateway:80"),
    "its empty port": to_target(b"http://gateway:/health/live"),
    "its default port of https": to_target(b"https://gateway:443/health/live"),
    "its host in another case": to_target(b"HTTP://GateWay/health/live"),
    "an absolute target in HTTP/1.1 with IPv6": to_target(
        b"http://[::1]:8000/health/live", b"[::1]:8000"
    ),
    "as many fields as may be": GET + HOST + b"X: a\r\n" * (FIELDS_MAX - 1) + b"\r\n",
    "as long a field as may be": with_line(b"X: " + b"x" * (HEAD_MAX - 100)),
    "an offer of HTTP/2": with_line(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c"),
    "an offer with a body": OFFER + sized(CHECK),
    "an offer with a body like a request": OFFER + sized(LIVE),
    "an offer with a body in chunks": OFFER + chunked(CHECK, b"X: a\r\n"),
    "an offer with a body of many chunks": OFFER
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"1\r\n%c\r\n" % byte for byte in CHECK)
    + END,
    "an offer with no length": with_line(OFFERED + b"\r\nContent-Length: 0"),
    "an offer with no length, in more digits": with_line(OFFERED + b"\r\nContent-Length: 00"),
    "an offer with a body on GET": with_line(OFFERED + b"\r\nContent-Length: 5") + b"LIVE!",
    "an offer of WebSocket with a body": RPC
    + b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    + sized(CHECK),
    "an offer beside an expectation": OFFER + b"Expect: 200-ok\r\n" + sized(CHECK),
    "blanks around a value": with_line(b"X: \t a \t "),
    "a tab behind the host": GET + b"Host: gateway\t\r\n\r\n",
    "a blank behind the coding": RPC + b"Transfer-Encoding: chunked \r\n\r\n" + END,
    "an offer of WebSocket": with_line(b"Connection: upgrade\r\nUpgrade: websocket"),
}


@pytest.mark.parametrize("step", [0, 7], ids=["at once", "bit by bit"])
@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in TAKEN.items()])
def test_an_unusual_valid_request_and_the_next_one_are_answered(
    server: Server, sent: bytes, step: int
) -> None:
    answers = exchange(server, sent + LAST, step=step if len(sent) < 10_000 else 40_000)
    assert [answer.status for answer in answers] == [200, 200]


def test_a_body_behind_an_offer_is_read_and_so_are_those_after_it(server: Server) -> None:
    """On one connection, which goes on with another parser each time."""
    body = {"username": "offered", "password": "correct horse battery"}
    server.client.post("/users/@self", json=body)
    calls = [call("users.check", name) for name in ("offered", "nobody", "offered", "no-one")]
    sent = [
        OFFER + sized(calls[0]),
        OFFER + chunked(calls[1]),
        LIVE,
        RPC + sized(calls[2]),
        OFFER + sized(calls[3]),
        with_line(OFFERED),
    ]
    for step in (0, 11):
        answers = exchange(server, b"".join(sent) + LAST, step=step)
        assert [answer.status for answer in answers] == [200] * 7
        results = [answers[i].value["result"] for i in (0, 1, 3, 4)]
        assert results == [True, False, True, False]


def test_a_body_offered_with_expect_continue_is_requested(server: Server) -> None:
    head = OFFER + b"Expect: 100-continue\r\nContent-Length: " + SIZE + b"\r\n\r\n"
    with connect(server) as connection:
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(CHECK)
        (answer,) = replies(connection)
    assert answer.value["result"] is False


@pytest.mark.parametrize("between", [b"\n", b"\r", b"\r\r\n", b"\r\n\n", b" "], ids=repr)
@pytest.mark.parametrize("first", [LIVE, RPC + sized(CHECK), RPC + chunked(CHECK)])
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
def test_anything_but_an_empty_line_between_requests_is_refused(
    server: Server, first: bytes, between: bytes, apart: bool
) -> None:
    with connect(server) as connection:
        answers = replies(connection)
        if apart:
            connection.sendall(first)
            assert next(answers).status == 200
            first = b""
        connection.sendall(first + between)
        connection.sendall(LAST)
        *answered, refused = answers
    assert [answer.status for answer in answered] == ([] if apart else [200])
    assert_refused(refused)


@pytest.mark.parametrize("first", [LIVE, RPC + sized(CHECK + b"\n"), RPC + chunked(CHECK + b"\r")])
def test_empty_lines_between_requests_are_no_fault(server: Server, first: bytes) -> None:
    for step in (0, 1):
        answers = exchange(server, first + b"\r\n\r\n" + first + first + LAST, step=step)
        assert [answer.status for answer in answers] == [200] * 4


@pytest.mark.parametrize("behind", range(1, 9))
def test_a_read_may_end_anywhere_in_the_end_of_a_chunked_body(server: Server, behind: int) -> None:
    request = RPC + chunked(CHECK)
    with connect(server) as connection:
        connection.sendall(request[:-behind])
        time.sleep(0.05)
        connection.sendall(request[-behind:] + request + LAST)
        assert [answer.status for answer in replies(connection)] == [200] * 3


def test_a_target_in_the_body_before_it_is_no_request_line(server: Server) -> None:
    body = b'{"x":"GET  /health/live HTTP/1.1"}\r\n' + LIVE
    refused = LIVE.replace(b"GET ", b"GET  ")
    first, second = exchange(server, RPC + sized(body) + refused + LIVE)
    assert first.status == 200
    assert_refused(second)


def test_the_host_of_an_absolute_target_counts(server: Server) -> None:
    """An origin is foreign but for that of the host."""
    page = b"Origin: http://gateway:8000\r\nSec-Fetch-Site: same-site\r\n"
    target = b"GET http://GATEWAY:8000/users/nobody HTTP/1.1\r\nHost: gateway:8000\r\n"
    (answer,) = exchange(server, target + page + b"Connection: close\r\n\r\n")
    assert answer.status == 404
    assert answer.value["code"] == "user-not-found"


@pytest.mark.parametrize("target", [b"http://gateway?limit=1", b"/?limit=1"])
def test_an_absolute_target_may_have_no_path(server: Server, target: bytes) -> None:
    answers = exchange(server, to_target(target) + LAST)
    # The front page takes no query.
    assert [answer.status for answer in answers] == [400, 200]


@pytest.mark.parametrize(
    ("line", "allow"),
    [
        (b"OPTIONS / HTTP/1.0", "GET, HEAD, OPTIONS"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    ],
)
def test_a_health_check_by_options_is_answered(server: Server, line: bytes, allow: str) -> None:
    (answer,) = exchange(server, line + b"\r\nConnection: close\r\n\r\n")
    assert (answer.status, answer.headers["allow"]) == (204, allow)


# ------------------------------------------------------------------------------ HTTP/1.0


def whole_list(server: Server, method: bytes = b"GET", version: bytes = b"1.0") -> bytes:
    key = server.admin_key.encode()
    return b"%b /users HTTP/%b\r\nHost: a\r\nX-Access-Token: %b\r\n\r\n" % (method, version, key)


def test_a_streamed_answer_to_http_1_0_ends_with_its_connection(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(whole_list(server))
        with connection.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding" not in head.lower()
    assert b"content-length" not in head.lower()
    assert b"connection: close" in head.lower()
    assert "admin" in {user["username"] for user in json.loads(body).values()}


def test_head_of_a_streamed_answer_to_http_1_0_has_no_coding(server: Server) -> None:
    for method in (b"HEAD", b"OPTIONS"):
        (answer,) = exchange(server, whole_list(server, method), method="HEAD")
        assert answer.status in {200, 204}
        assert "transfer-encoding" not in answer.headers


def test_an_answer_with_a_length_keeps_it_in_http_1_0(server: Server) -> None:
    for line in (b"GET /health/live HTTP/1.0", b"GET /nothing HTTP/1.0"):
        (answer,) = exchange(server, line + b"\r\n\r\n")
        assert int(answer.headers["content-length"]) == len(answer.body) > 0


# ------------------------------------------------------------------- half of a connection


HALF_CLOSED = {
    "ready or not": (LIVE, 1),
    "a call": (RPC + sized(CHECK), 1),
    "a call in chunks": (RPC + chunked(CHECK), 1),
    "several": (LIVE + RPC + sized(CHECK) + LIVE, 3),
    "HTTP/1.0": (b"GET /health/live HTTP/1.0\r\n\r\n", 1),
    "behind an offer": (OFFER + sized(CHECK), 1),
    "one and half a head": (LIVE + LIVE[:20], 1),
    "two and half a body": (LIVE + LIVE + RPC + b"Content-Length: 500\r\n\r\n{", 2),
    "one and half a chunk": (LIVE + in_chunks(b"5\r\n{"), 1),
    "half a head": (LIVE[:20], 0),
    "half a body": (RPC + b"Content-Length: 500\r\n\r\n{", 0),
    "nothing": (b"", 0),
}


@pytest.mark.parametrize(("sent", "count"), HALF_CLOSED.values(), ids=HALF_CLOSED)
def test_a_complete_request_is_answered_after_the_client_has_closed_its_side(
    server: Server, sent: bytes, count: int
) -> None:
    for _ in range(5):
        with connect(server) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert [answer.status for answer in replies(connection)] == [200] * count


def test_a_login_is_answered_though_the_client_sends_no_more(server: Server) -> None:
    """It takes long enough that the end comes before its answer."""
    wrong = RPC + sized(call("users.auth", "nobody", "a wrong password"))
    with connect(server) as connection:
        connection.sendall(wrong + wrong)
        connection.shutdown(socket.SHUT_WR)
        answers = list(replies(connection))
    assert [answer.value["error"]["data"] for answer in answers] == ["invalid password"] * 2
    assert answers[-1].headers["connection"] == "close"


def test_a_refusal_reaches_a_client_that_sends_no_more(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(LIVE + b"no HTTP at all\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        first, second = replies(connection)
    assert first.status == 200
    assert_refused(second)


def test_nothing_is_done_of_a_call_whose_end_is_missing(server: Server) -> None:
    body = call("users.create", "half-sent", "correct horse battery")
    with connect(server) as connection:
        connection.sendall(LIVE + RPC + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)
        connection.shutdown(socket.SHUT_WR)
        assert [answer.status for answer in replies(connection)] == [200]
    assert server.client.get("/users/half-sent").status_code == 404


def test_a_request_of_http_1_0_needs_no_host(server: Server) -> None:
    (answer,) = exchange(server, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert answer.status == 200


def test_an_absolute_target_without_a_path_is_the_front_page(server: Server) -> None:
    first, second, _ = exchange(server, to_target(b"http://gateway") + to_target(b"/") + LAST)
    assert first.value == second.value
    assert first.value["name"] == "Gatehouse"


@pytest.mark.parametrize("target", [b"*", b"/" + b"x" * (TARGET_MAX - 1)])
def test_a_target_that_leads_nowhere_is_not_found(server: Server, target: bytes) -> None:
    first, second = exchange(server, to_target(target) + LAST)
    assert (first.status, first.value["code"], second.status) == (404, "not-found", 200)


# --------------------------------------------------------------------------- what is right


def test_requests_sent_at_once_are_answered_in_their_order(server: Server) -> None:
    calls = [RPC + sized(call("users.check", "nobody", *([0] * n))) for n in (0, 1, 0)]
    answers = exchange(server, b"".join(calls) + LAST)
    assert ["error" in answer.value for answer in answers] == [False, True, False, False]


def test_too_many_pipelined_requests_get_the_first_responses_and_an_error(server: Server) -> None:
    *answered, refused = exchange(server, LIVE * 1000)
    assert [answer.status for answer in answered] == [200] * (PIPELINE_MAX + 1)
    assert_refused(refused)


def test_a_refusal_waits_for_the_answers_before_it(server: Server) -> None:
    first, second = exchange(server, LIVE + b"no HTTP at all\r\n\r\n")
    assert first.status == 200
    assert_refused(second)


def test_a_broken_body_is_refused_in_its_turn(server: Server) -> None:
    broken = in_chunks(b"3\r\nabc\r\nZ\r\n")
    first, second, third = exchange(server, LIVE + LIVE + broken + LIVE)
    assert (first.status, second.status) == (200, 200)
    assert_refused(third)


def test_nothing_is_done_of_a_call_whose_body_breaks_off(server: Server) -> None:
    body = call("users.create", "smuggled", "correct horse battery")
    for step in (0, 9):
        (refused,) = exchange(
            server, in_chunks(b"%x\r\n%b\r\nZ\r\n" % (len(body), body)), step=step
        )
        assert_refused(refused)
    assert server.client.get("/users/smuggled").status_code == 404


def test_a_trailer_field_is_not_a_header(server: Server) -> None:
    body = call("users.self")
    secret = b"X-Access-Token: " + server.admin_key.encode() + b"\r\n"
    known, unknown = exchange(
        server,
        RPC + secret + chunked(body) + RPC + b"Connection: close\r\n" + chunked(body, secret),
    )
    assert known.value["result"]["username"] == "admin"
    assert unknown.value["error"]["data"] == CredentialFault.MISSING


def test_head_has_the_header_of_get_and_no_body(server: Server) -> None:
    heads = exchange(server, LAST.replace(b"GET", b"HEAD"), method="HEAD")
    (get,) = exchange(server, LAST)
    assert [head.headers["content-length"] for head in heads] == [str(len(get.body))]


def test_expect_continue_gets_an_interim_response(server: Server) -> None:
    expecting = RPC + b"Expect: 100-continue\r\n"
    with connect(server) as connection:
        connection.sendall(expecting + b"Content-Length: " + SIZE + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(CHECK)
        (answer,) = replies(connection)
    assert (answer.status, answer.value["result"]) == (200, False)


def test_an_unread_body_is_not_taken_for_a_request(server: Server) -> None:
    """A body after an early response is ambiguous, so that response closes the connection."""
    expecting = RPC + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"
    with connect(server) as connection:
        connection.sendall(expecting)
        (answer,) = replies(connection)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_a_refused_body_is_read_to_its_end_and_the_connection_goes_on(server: Server) -> None:
    first, second = exchange(server, RPC + sized(b" " * 3_000_000) + LAST)
    assert (first.status, first.value["code"], second.status) == (413, "payload-too-large", 200)


def test_a_refused_endless_body_is_not_read_forever(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(RPC + b"Content-Length: 1000000000000\r\n\r\n")
        assert next(replies(connection)).status == 413
        with pytest.raises(ConnectionError):
            connection.sendall(b" " * 100_000_000)
