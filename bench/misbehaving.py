"""A chat service that misbehaves on command: `python -m bench.misbehaving PORT`, on loopback.

`GET /mood/NUMBER` selects the behaviour for all requests that follow.
"""

import asyncio
import gzip
import json
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

Mood = Callable[[StreamWriter], Awaitable[None]]

GUILD = {"id": "71395574100676610", "name": "Builders", "owner_id": "1", "icon": None}
_BLOCK = b" " * 65536
_GIGABYTE = 1024**3


def _head(status: str, *fields: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", "Connection: close", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _whole(body: bytes, *fields: str) -> Mood:
    async def answer(writer: StreamWriter) -> None:
        writer.write(_head("200 OK", *fields, length=len(body)))
        for start in range(0, len(body), len(_BLOCK)):
            writer.write(body[start : start + len(_BLOCK)])
            await writer.drain()

    return answer


async def _silence(_: StreamWriter) -> None:
    await asyncio.Event().wait()


async def _a_byte_a_second(writer: StreamWriter) -> None:
    writer.write(_head("200 OK"))
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(1)


async def _gigabyte(writer: StreamWriter) -> None:
    writer.write(_head("200 OK"))
    for _ in range(_GIGABYTE // len(_BLOCK)):
        writer.write(_BLOCK)
        await writer.drain()


async def _redirect(writer: StreamWriter) -> None:
    writer.write(_head("302 Found", "Location: http://127.0.0.1:1/", length=0))
    await writer.drain()


async def _reset(writer: StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def _failing(writer: StreamWriter) -> None:
    writer.write(_head("500 Internal Server Error", length=0))
    await writer.drain()


GOOD = "answers"
# Behaviours, and the status and error slug that a client of the gateway must see.
MOODS: dict[str, tuple[Mood, int, str | None]] = {
    GOOD: (_whole(json.dumps([GUILD]).encode()), 200, None),
    "accepts and says nothing": (_silence, 504, "upstream-timeout"),
    "sends a byte a second": (_a_byte_a_second, 504, "upstream-timeout"),
    "sends a gigabyte": (_gigabyte, 502, "upstream-failed"),
    "sends a gzip bomb": (
        _whole(gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip"),
        502,
        "upstream-failed",
    ),
    "redirects to loopback": (_redirect, 502, "upstream-failed"),
    "sends broken UTF-8": (_whole(b'[{"id": "\xff\xfe"}]'), 502, "upstream-failed"),
    "lists 100,000 guilds": (
        _whole(json.dumps([GUILD] * 100_000).encode()),
        502,
        "upstream-failed",
    ),
    "lists 2,000 guilds": (_whole(json.dumps([GUILD] * 2_000).encode()), 502, "upstream-failed"),
    "resets the connection": (_reset, 502, "upstream-failed"),
    "answers with status 500": (_failing, 502, "upstream-failed"),
}


class Service:
    """The service with its current behaviour."""

    def __init__(self) -> None:
        self._mood = MOODS[GOOD][0]

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer one request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            if path.startswith("/mood/"):
                self._mood = list(MOODS.values())[int(path.removeprefix("/mood/"))][0]
                await _whole(b"[]")(writer)
            elif path == "/":
                await _whole(b"[]")(writer)
            else:
                await self._mood(writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def main(port: int) -> None:
    """Serve until the process ends."""
    async with await asyncio.start_server(Service(), "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
