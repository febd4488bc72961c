"""Deadlines of connections, with a clock that the tests advance."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.http.request import read_body, send_json
from app.server.connection import (
    BODY_SECONDS,
    HEAD_SECONDS,
    IDLE_SECONDS,
    LINGER_SECONDS,
    PROBE_SECONDS,
    WRITE_SECONDS,
    Connection,
)
from app.server.http_server import HttpServer

pytestmark = pytest.mark.anyio

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
GET = HEAD + b"\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
LARGE = b" " * 50_000_000
MOMENT = 0.5
# Nothing here waits; more than a moment means that what was expected does not come.
SECONDS = 20


@dataclass
class TimedServer:
    """An application that answers when it may, and the server before it, with the clock's hands."""

    server: HttpServer
    address: tuple[str, int]
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    body: bytes = b"{}"
    done: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await read_body(scope, receive)
        except ClientDisconnect:
            self.done.append("left")
            return
        await self.may_answer.wait()
        await send_json(send, self.body)
        self.done.append("answered")

    def turn(self, seconds: float) -> None:
        """Let the server look at its clock as if it were so much later."""
        self.server.close_expired_connections(asyncio.get_running_loop().time() + seconds)

    async def is_empty(self) -> None:
        """Wait until no connection is left."""
        # There is no event for that; `timed_server` bounds the rounds.
        while self.server.server_state.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def has_read(self) -> None:
        """Wait until everything that was sent is read."""
        # What is sent on loopback can be read at once; the loop reads it at its next round.
        for _ in range(10):
            await asyncio.sleep(0.001)


class Client:
    """A client on a socket."""

    def __init__(
        self, timed_server: TimedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ):
        self._server = timed_server
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send it and see to it that it has been read."""
        self._writer.write(data)
        await self._server.has_read()

    async def end(self) -> None:
        """Send no more."""
        self._writer.write_eof()
        await self._server.has_read()

    async def leave(self) -> None:
        """Close the connection, as a program does that ends."""
        self._writer.close()
        await self._server.has_read()

    async def answer(self) -> str:
        """The status of the next answer, whose body is read."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(len(self._server.body))
        return head.split()[1].decode()

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        return await self._reader.read()

    async def is_cut_off(self) -> bool:
        """Return true if the connection ends before the whole response has arrived."""
        try:
            return len(await self._reader.read()) < len(LARGE)
        except ConnectionResetError:
            return True


@asynccontextmanager
async def timed_server() -> AsyncIterator[TimedServer]:
    """A server that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as sock:

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await opened(scope, receive, send)

        config = uvicorn.Config(app, http=Connection, ws="none", lifespan="off", log_config=None)
        opened = TimedServer(HttpServer(config), sock.getsockname())
        opened.may_answer.set()
        serving = asyncio.ensure_future(opened.server.serve(sockets=[sock]))
        try:
            async with asyncio.timeout(SECONDS):
                yield opened
        finally:
            opened.server.should_exit = opened.server.force_exit = True
            await serving


@asynccontextmanager
async def client(opened: TimedServer) -> AsyncIterator[Client]:
    """A client that has connected."""
    reader, writer = await asyncio.open_connection(*opened.address)
    try:
        await opened.has_read()
        yield Client(opened, reader, writer)
    finally:
        writer.transport.abort()
        await opened.has_read()


async def test_a_silent_client_is_disconnected_soon() -> None:
    async with timed_server() as opened, client(opened) as silent:
        opened.turn(HEAD_SECONDS)
        assert await silent.rest() == b""
        await opened.is_empty()


async def test_a_head_that_comes_in_too_slowly_is_waited_for_no_longer_by_its_bytes() -> None:
    async with timed_server() as opened, client(opened) as slow:
        for byte in HEAD:
            await slow.send(bytes([byte]))
        opened.turn(HEAD_SECONDS)
        assert await slow.rest() == b""
    assert opened.done == []


async def test_a_head_in_time_is_answered() -> None:
    async with timed_server() as opened, client(opened) as slow:
        await slow.send(HEAD)
        opened.turn(HEAD_SECONDS - MOMENT)
        await slow.send(b"\r\n")
        assert await slow.answer() == "200"


async def test_a_body_that_comes_in_too_slowly_is_given_up() -> None:
    async with timed_server() as opened, client(opened) as slow:
        await slow.send(POST)
        for byte in b"123":
            await slow.send(bytes([byte]))
        opened.turn(BODY_SECONDS)
        assert await slow.rest() == b""
        await opened.is_empty()
    assert opened.done == ["left"]


async def test_a_body_in_time_is_answered() -> None:
    async with timed_server() as opened, client(opened) as slow:
        await slow.send(POST)
        opened.turn(BODY_SECONDS - MOMENT)
        await slow.send(b"1234")
        assert await slow.answer() == "200"


async def test_a_connection_is_kept_for_another_request_but_not_for_long() -> None:
    async with timed_server() as opened, client(opened) as regular:
        for _ in range(3):
            await regular.send(GET)
            assert await regular.answer() == "200"
            opened.turn(IDLE_SECONDS - MOMENT)
        opened.turn(IDLE_SECONDS)
        await opened.is_empty()


async def test_empty_lines_between_requests_keep_no_connection() -> None:
    async with timed_server() as opened, client(opened) as idle:
        await idle.send(GET)
        await idle.send(b"\r\n\r\n\r\n")
        opened.turn(IDLE_SECONDS)
        await opened.is_empty()


async def test_a_connection_that_waits_for_the_server_is_kept() -> None:
    async with timed_server() as opened, client(opened) as patient:
        opened.may_answer.clear()
        await patient.send(GET + POST + b"12")
        opened.turn(3600)
        opened.may_answer.set()
        assert await patient.answer() == "200"
        await patient.send(b"34")
        assert await patient.answer() == "200"


async def test_a_client_that_does_not_read_its_response_is_disconnected() -> None:
    async with timed_server() as opened, client(opened) as deaf:
        opened.body = LARGE
        await deaf.send(GET)
        opened.turn(WRITE_SECONDS)
        await opened.is_empty()
        assert await deaf.is_cut_off()


async def test_a_slow_reader_gets_the_whole_response() -> None:
    async with timed_server() as opened, client(opened) as slow:
        opened.body = LARGE
        await slow.send(GET)
        opened.turn(WRITE_SECONDS - MOMENT)
        assert await slow.answer() == "200"


async def test_a_refused_client_that_stays_is_disconnected() -> None:
    async with timed_server() as opened, client(opened) as rude:
        await rude.send(b"no HTTP at all\r\n\r\n")
        opened.turn(LINGER_SECONDS)
        await opened.is_empty()


async def test_a_complete_request_gets_a_response_after_an_interim_one() -> None:
    async with timed_server() as opened, client(opened) as brief:
        opened.may_answer.clear()
        await brief.send(GET)
        await brief.end()
        opened.turn(PROBE_SECONDS - MOMENT)
        opened.turn(PROBE_SECONDS)
        await opened.has_read()
        opened.may_answer.set()
        interim, _, answer = (await brief.rest()).partition(b"\r\n\r\n")
        assert interim == b"HTTP/1.1 102 Processing"
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_disconnect_is_noticed_during_a_slow_operation() -> None:
    async with timed_server() as opened, client(opened) as gone:
        opened.may_answer.clear()
        await gone.send(GET)
        await gone.leave()
        (connection,) = opened.server.server_state.connections
        # A client that closed only its sending half looks the same.
        assert connection.is_disconnected()  # type: ignore[union-attr]
        opened.turn(PROBE_SECONDS)
        await opened.is_empty()
