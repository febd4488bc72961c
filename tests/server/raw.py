"""Bytes on a socket, and the answers that come back."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.parser import BytesParser
from typing import Any

from tests.server_process import Server

SECONDS = 20.0
HOST = b"Host: gateway\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /health/live HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
RPC = b"POST /rpc HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


def connect(server: Server) -> socket.socket:
    """A socket whose every write is a packet of its own."""
    port = int(server.greeting["url"].rsplit(":", 1)[1])
    connection = socket.create_connection(("127.0.0.1", port), SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def exchange(server: Server, sent: bytes, *, step: int = 0, method: str = "GET") -> list[Reply]:
    """Every answer to `sent`, in one piece or in steps, until the server closes the connection."""
    with closing(connect(server)) as connection:
        for piece in _pieces(sent, step):
            connection.sendall(piece)
        return list(replies(connection, method))


def replies(connection: socket.socket, method: str = "GET") -> Iterator[Reply]:
    """The answers that come until the end; no byte may be left over.

    A busy server may send interim responses to a client that sends no more.
    """
    with connection.makefile("rb") as stream:
        while line := stream.readline():
            assert line.startswith(b"HTTP/1.1 "), line
            head = b"".join(iter(stream.readline, b"\r\n"))
            headers = {k.lower(): v for k, v in BytesParser().parsebytes(head).items()}
            status = int(line.split()[1])
            if status == 102:
                continue
            size = 0 if method == "HEAD" else int(headers.get("content-length", 0))
            yield Reply(status, headers, stream.read(size))


def chunked(body: bytes, trailer: bytes = b"") -> bytes:
    """The rest of a request with this body in one chunk."""
    coded = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer)
    return b"Transfer-Encoding: chunked\r\n\r\n" + coded


def sized(body: bytes) -> bytes:
    """The rest of a request with this body and its length."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def call(method: str, *params: Any) -> bytes:
    """The body of a call."""
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).encode()


def assert_refused(reply: Reply) -> None:
    """It is a problem with the headers of every answer, and says that the connection ends."""
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["connection"] == "close"
    assert reply.headers["x-content-type-options"] == "nosniff"
    problem = reply.value
    assert (problem["code"], problem["status"]) == ("invalid-input", 400)
    assert problem["request_id"] == reply.headers["x-request-id"]
    assert problem["detail"]


def _pieces(sent: bytes, step: int) -> Iterator[bytes]:
    step = step or len(sent)
    for start in range(0, len(sent), step):
        yield sent[start : start + step]
