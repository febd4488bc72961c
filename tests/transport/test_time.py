"""Whom the server waits for, and how long: its clock is turned, nobody waits."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.transport import (
    BODY_SECONDS,
    HEAD_SECONDS,
    IDLE_SECONDS,
    LINGER_SECONDS,
    WRITE_SECONDS,
    Connection,
    Server,
)
from app.wire.http import read_body, send_json

pytestmark = pytest.mark.anyio

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
GET = HEAD + b"\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
LARGE = b" " * 50_000_000
MOMENT = 0.5
# Nothing here waits; more than a moment means that what was expected does not come.
SECONDS = 20


@dataclass
class House:
    """An application that answers when it may, and the server before it, with the clock's hands."""

    server: Server
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
        self.server.close_what_is_due(asyncio.get_running_loop().time() + seconds)

    async def is_empty(self) -> None:
        """Wait until no connection is left."""
        # There is no event for that; `house` bounds the rounds.
        while self.server.server_state.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def has_read(self) -> None:
        """Wait until everything that was sent is read."""
        # What is sent on loopback can be read at once; the loop reads it at its next round.
        for _ in range(10):
            await asyncio.sleep(0.001)


class Client:
    """Somebody who speaks to the house."""

    def __init__(self, house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._house = house
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send it and see to it that it has been read."""
        self._writer.write(data)
        await self._house.has_read()

    async def answer(self) -> str:
        """The status of the next answer, whose body is read."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(len(self._house.body))
        return head.split()[1].decode()

    async def rest(self) -> bytes:
        """What comes until the server closes the connection."""
        return await self._reader.read()

    async def is_cut_off(self) -> bool:
        """Whether the connection ends before the whole answer has come."""
        try:
            return len(await self._reader.read()) < len(LARGE)
        except ConnectionResetError:
            return True


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    """A house with its doors open."""
    with socket.create_server(("127.0.0.1", 0)) as sock:

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await opened(scope, receive, send)

        config = uvicorn.Config(app, http=Connection, ws="none", lifespan="off", log_config=None)
        opened = House(Server(config), sock.getsockname())
        opened.may_answer.set()
        serving = asyncio.ensure_future(opened.server.serve(sockets=[sock]))
        try:
            async with asyncio.timeout(SECONDS):
                yield opened
        finally:
            opened.server.should_exit = opened.server.force_exit = True
            await serving


@asynccontextmanager
async def client(opened: House) -> AsyncIterator[Client]:
    """Somebody who has come."""
    reader, writer = await asyncio.open_connection(*opened.address)
    try:
        await opened.has_read()
        yield Client(opened, reader, writer)
    finally:
        writer.transport.abort()
        await opened.has_read()


async def test_who_says_nothing_is_not_waited_for_long() -> None:
    async with house() as opened, client(opened) as silent:
        opened.turn(HEAD_SECONDS)
        assert await silent.rest() == b""
        await opened.is_empty()


async def test_a_head_that_comes_in_too_slowly_is_waited_for_no_longer_by_its_bytes() -> None:
    async with house() as opened, client(opened) as slow:
        for byte in HEAD:
            await slow.send(bytes([byte]))
        opened.turn(HEAD_SECONDS)
        assert await slow.rest() == b""
    assert opened.done == []


async def test_a_head_in_time_is_answered() -> None:
    async with house() as opened, client(opened) as slow:
        await slow.send(HEAD)
        opened.turn(HEAD_SECONDS - MOMENT)
        await slow.send(b"\r\n")
        assert await slow.answer() == "200"


async def test_a_body_that_comes_in_too_slowly_is_given_up() -> None:
    async with house() as opened, client(opened) as slow:
        await slow.send(POST)
        for byte in b"123":
            await slow.send(bytes([byte]))
        opened.turn(BODY_SECONDS)
        assert await slow.rest() == b""
        await opened.is_empty()
    assert opened.done == ["left"]


async def test_a_body_in_time_is_answered() -> None:
    async with house() as opened, client(opened) as slow:
        await slow.send(POST)
        opened.turn(BODY_SECONDS - MOMENT)
        await slow.send(b"1234")
        assert await slow.answer() == "200"


async def test_a_connection_is_kept_for_another_request_but_not_for_long() -> None:
    async with house() as opened, client(opened) as regular:
        for _ in range(3):
            await regular.send(GET)
            assert await regular.answer() == "200"
            opened.turn(IDLE_SECONDS - MOMENT)
        opened.turn(IDLE_SECONDS)
        await opened.is_empty()


async def test_empty_lines_between_requests_keep_no_connection() -> None:
    async with house() as opened, client(opened) as idle:
        await idle.send(GET)
        await idle.send(b"\r\n\r\n\r\n")
        opened.turn(IDLE_SECONDS)
        await opened.is_empty()


async def test_whose_turn_it_is_not_is_waited_for_in_any_case() -> None:
    async with house() as opened, client(opened) as patient:
        opened.may_answer.clear()
        await patient.send(GET + POST + b"12")
        opened.turn(3600)
        opened.may_answer.set()
        assert await patient.answer() == "200"
        await patient.send(b"34")
        assert await patient.answer() == "200"


async def test_who_does_not_take_his_answer_is_left() -> None:
    async with house() as opened, client(opened) as deaf:
        opened.body = LARGE
        await deaf.send(GET)
        opened.turn(WRITE_SECONDS)
        await opened.is_empty()
        assert await deaf.is_cut_off()


async def test_who_takes_it_slowly_has_it_all_in_the_end() -> None:
    async with house() as opened, client(opened) as slow:
        opened.body = LARGE
        await slow.send(GET)
        opened.turn(WRITE_SECONDS - MOMENT)
        assert await slow.answer() == "200"


async def test_who_was_refused_and_stays_is_left() -> None:
    async with house() as opened, client(opened) as rude:
        await rude.send(b"no HTTP at all\r\n\r\n")
        opened.turn(LINGER_SECONDS)
        await opened.is_empty()
