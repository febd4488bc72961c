"""Requests without a client in between, since there are tens of thousands of them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import anyio
from starlette.types import Message

from app.http.request import BODY_MAX
from tests.gateway import CLIENT, Gateway


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def field_error(self) -> str | None:
        """Return the flaw of a response: an internal error, or an error outside the contract."""
        if self.status >= 500 or self.status == 422:
            return f"{self.status} {self.body[:200]!r}"
        if self.status >= 400:
            if self.headers[b"content-type"] != b"application/problem+json" or (
                self.body and len(self.body) > 4000
            ):
                return f"no problem: {self.body[:200]!r}"
            problem = json.loads(self.body) if self.body else {"status": self.status}
            if problem["status"] != self.status:
                return f"another status: {self.body[:200]!r}"
        return None


async def ask(
    gateway: Gateway,
    method: str,
    path: bytes,
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes = b"",
) -> Reply:
    """Send one request as a server would hand it on; `path` and `query` are percent-encoded."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": unquote(path.decode()),
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "headers": [
            *headers,
            (b"content-type", b"application/json"),
            (b"host", b"gateway"),
            (b"content-length", b"%d" % len(body)),
        ],
        "client": CLIENT,
        "server": ("gateway", 80),
        "state": {},
    }
    assert len(body) <= BODY_MAX
    status, answered, chunks = 0, {}, bytearray()

    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if is_read:
            # The client stays for as long as the answer takes.
            await anyio.sleep_forever()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, answered
        if message["type"] == "http.response.start":
            status, answered = message["status"], dict(message["headers"])
        else:
            chunks.extend(message.get("body", b""))

    await gateway.app(scope, receive, send)
    return Reply(status, answered, bytes(chunks))
