"""Where a request begins and ends: never in doubt, never two answers to one.

The shapes are those of request smuggling: a proxy in front might see one request where we see two.
"""

import pytest

from app.transport import FIELDS_MAX, HEAD_MAX, PIPELINE_MAX, TARGET_MAX
from tests.server import Server
from tests.transport.raw import (
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


OFFER = RPC + b"Connection: upgrade\r\nUpgrade: h2c\r\n"
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
    "a body with an offer of HTTP/2": OFFER + sized(LIVE),
    "a body in chunks with an offer": OFFER + chunked(CHECK),
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
def test_what_is_in_doubt_is_refused_and_nothing_after_it_is_answered(
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
    "as many fields as may be": GET + HOST + b"X: a\r\n" * (FIELDS_MAX - 1) + b"\r\n",
    "as long a field as may be": with_line(b"X: " + b"x" * (HEAD_MAX - 100)),
    "an offer of HTTP/2": with_line(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c"),
    "an offer of WebSocket": with_line(b"Connection: upgrade\r\nUpgrade: websocket"),
}


@pytest.mark.parametrize("step", [0, 7], ids=["at once", "bit by bit"])
@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in TAKEN.items()])
def test_what_is_odd_but_right_is_answered_and_so_is_what_follows(
    server: Server, sent: bytes, step: int
) -> None:
    answers = exchange(server, sent + LAST, step=step if len(sent) < 10_000 else 40_000)
    assert [answer.status for answer in answers] == [200, 200]


def test_a_request_of_http_1_0_needs_no_host(server: Server) -> None:
    (answer,) = exchange(server, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert answer.status == 200


@pytest.mark.parametrize("target", [b"*", b"http://gateway", b"/" + b"x" * (TARGET_MAX - 1)])
def test_a_target_that_leads_nowhere_is_not_found(server: Server, target: bytes) -> None:
    first, second = exchange(server, to_target(target) + LAST)
    assert (first.status, first.value["code"], second.status) == (404, "not-found", 200)


# --------------------------------------------------------------------------- what is right


def test_requests_sent_at_once_are_answered_in_their_order(server: Server) -> None:
    calls = [RPC + sized(call("users.check", "nobody", *([0] * n))) for n in (0, 1, 0)]
    answers = exchange(server, b"".join(calls) + LAST)
    assert ["error" in answer.value for answer in answers] == [False, True, False, False]


def test_who_sends_too_many_at_once_gets_the_first_answers_and_a_refusal(server: Server) -> None:
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


def test_what_is_said_in_a_trailer_is_no_header(server: Server) -> None:
    body = call("users.self")
    secret = b"X-Access-Token: " + server.admin_key.encode() + b"\r\n"
    known, unknown = exchange(
        server,
        RPC + secret + chunked(body) + RPC + b"Connection: close\r\n" + chunked(body, secret),
    )
    assert known.value["result"]["username"] == "admin"
    assert unknown.value["error"]["data"] == "A valid token or access key is required."


def test_head_has_the_header_of_get_and_no_body(server: Server) -> None:
    heads = exchange(server, LAST.replace(b"GET", b"HEAD"), method="HEAD")
    (get,) = exchange(server, LAST)
    assert [head.headers["content-length"] for head in heads] == [str(len(get.body))]


def test_who_waits_to_be_asked_for_a_body_is_asked(server: Server) -> None:
    expecting = RPC + b"Expect: 100-continue\r\n"
    with connect(server) as connection:
        connection.sendall(expecting + b"Content-Length: " + SIZE + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(CHECK)
        (answer,) = replies(connection)
    assert (answer.status, answer.value["result"]) == (200, False)


def test_a_body_that_nobody_asked_for_is_not_taken_for_a_request(server: Server) -> None:
    """Whether it follows an early answer is in doubt, so that answer is the last."""
    expecting = RPC + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"
    with connect(server) as connection:
        connection.sendall(expecting)
        (answer,) = replies(connection)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_a_refused_body_is_read_to_its_end_and_the_connection_goes_on(server: Server) -> None:
    first, second = exchange(server, RPC + sized(b" " * 3_000_000) + LAST)
    assert (first.status, first.value["code"], second.status) == (413, "payload-too-large", 200)


def test_a_refused_body_without_an_end_is_not_read_for_ever(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(RPC + b"Content-Length: 1000000000000\r\n\r\n")
        assert next(replies(connection)).status == 413
        with pytest.raises(ConnectionError):
            connection.sendall(b" " * 100_000_000)
