"""Where the time of one request goes: the application in this process, without a network.

`python -m bench profile self` prints microseconds of processor for each request, the least of
several rounds, and then where a profiler finds them.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from app.bootstrap import open_house
from app.logs import configure_logs
from app.main import create_app
from bench import works
from bench.bench import BEHIND_A_PROXY
from bench.engines import Sqlite
from bench.processes import BenchError
from bench.seed import TOKENS, Dataset, password_hash, seeded, settings_with
from bench.works import Request, Work

WORKS: dict[str, Callable[[Dataset], Work]] = {
    "self": works.who_am_i,
    "rpc": works.rpc_self,
    "check": works.check,
    "batch": works.batch,
    "list": works.first_page,
    "pages": works.pages,
}
_SECONDS = 0.5
_ROUNDS = 7
_WARMED_UP = TOKENS


def main(arguments: Sequence[str]) -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser("python -m bench profile", description=__doc__)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--accounts", type=int, default=10_000, help="in the store (10,000)")
    parser.add_argument("--lines", type=int, default=30, help="of the profile (30)")
    chosen = parser.parse_args(arguments)
    with (
        TemporaryDirectory(prefix="gatehouse-profile-") as folder,
        open(os.devnull, "w") as nowhere,
    ):
        configure_logs("json", nowhere)
        data = seeded(Dataset(Sqlite(), Path(folder), chosen.accounts), password_hash())
        asyncio.run(_profile(data, WORKS[chosen.work](data), chosen.lines))


async def _profile(data: Dataset, work: Work, lines: int) -> None:
    is_forwarded = "X-Forwarded-For" in dict(work.requests[0].headers)
    settings = settings_with(**data.settings, **(BEHIND_A_PROXY if is_forwarded else {}))
    async with open_house(settings) as house:
        app = create_app(settings, house.services)
        calls = [Call(request) for request in work.requests]
        # One after the other, on and on: nobody is asked from often enough to be throttled.
        turns = cycle(calls)

        async def go_through(count: int) -> float:
            started = process_time()
            for call in islice(turns, count):
                await call.make(app)
            return (process_time() - started) / count

        for call in islice(turns, _WARMED_UP):
            await call.make(app)
            call.require(work.answer)
        count = max(1, int(_SECONDS / await go_through(_WARMED_UP)))
        best = min([await go_through(count) for _ in range(_ROUNDS)])
        print(f"{work.title}: {best * 1e6:.1f} µs")
        with cProfile.Profile() as profiler:
            await go_through(count)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(lines)


class Call:
    """A request as uvicorn would hand it over."""

    def __init__(self, request: Request) -> None:
        path, _, query = request.path.partition("?")
        headers = [("host", "127.0.0.1"), *((n.lower(), v) for n, v in request.headers)]
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "http",
            "method": request.method,
            "root_path": "",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
        }
        self._body = {"type": "http.request", "body": request.body, "more_body": False}
        self._sent: list[dict[str, Any]] = []

    async def make(self, app: Any) -> None:
        """Ask the application."""
        self._sent = []
        await app(dict(self._scope), self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        return self._body

    async def _send(self, message: dict[str, Any]) -> None:
        self._sent.append(message)

    @property
    def body(self) -> str:
        """The last answer's body."""
        return b"".join(message.get("body", b"") for message in self._sent).decode()

    def require(self, piece: str) -> None:
        """Raise BenchError where the last answer does not hold the piece."""
        if self._sent[0]["status"] != 200 or piece not in self.body or '"error"' in self.body:
            raise BenchError(f"{self._scope['path']} was answered with {self.body[:300]}")
