"""Profile of one request: the application in this process, without a network.

`python -m bench profile self` prints the microseconds of CPU time per request, the minimum of
several rounds, and then a profile.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from app.container import open_container
from app.logs.setup import configure_logs
from app.main import create_app
from bench.bench import BEHIND_A_PROXY
from bench.engines import Sqlite
from bench.processes import BenchError
from bench.seed import Dataset, password_hash, seed, settings_with
from bench.works import WORKS, Request, Work

_SECONDS = 0.5
_ROUNDS = 7
_WARMED_UP = 64


def main(arguments: Sequence[str]) -> None:
    """Profile the request that the command line names."""
    parser = argparse.ArgumentParser("python -m bench profile", description=__doc__)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument(
        "--accounts", type=int, default=10_000, help="number of accounts in the store (10,000)"
    )
    parser.add_argument("--lines", type=int, default=30, help="number of lines of the profile (30)")
    chosen = parser.parse_args(arguments)
    with (
        TemporaryDirectory(prefix="gatehouse-profile-") as folder,
        open(os.devnull, "w") as nowhere,
    ):
        configure_logs("json", stream=nowhere)
        data = seed(Dataset(Sqlite(), Path(folder), chosen.accounts), password_hash())
        asyncio.run(_profile(data, WORKS[chosen.work](data), chosen.lines))


async def _profile(data: Dataset, work: Work, lines: int) -> None:
    is_forwarded = "X-Forwarded-For" in dict(work.requests[0].headers)
    settings = settings_with(**data.settings, **(BEHIND_A_PROXY if is_forwarded else {}))
    async with open_container(settings, signs=True) as container:
        app = create_app(settings, container.services)
        calls = [AsgiCall(request) for request in work.requests]
        # In turn, so that no account reaches a rate limit.
        turns = cycle(calls)

        async def make_calls(count: int) -> float:
            started = process_time()
            for call in islice(turns, count):
                await call.make(app)
            return (process_time() - started) / count

        for call in islice(turns, _WARMED_UP):
            await call.make(app)
            call.require(work)
        count = max(1, int(_SECONDS / await make_calls(_WARMED_UP)))
        best = min([await make_calls(count) for _ in range(_ROUNDS)])
        print(f"{work.title}: {best * 1e6:.1f} µs")
        with cProfile.Profile() as profiler:
            await make_calls(count)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(lines)


class AsgiCall:
    """A request as uvicorn passes it to the application."""

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
        """Call the application."""
        self._sent = []
        await app(dict(self._scope), self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        return self._body

    async def _send(self, message: dict[str, Any]) -> None:
        self._sent.append(message)

    @property
    def body(self) -> str:
        """The body of the last response."""
        return b"".join(message.get("body", b"") for message in self._sent).decode()

    def require(self, work: Work) -> None:
        """Raise BenchError if the last response is not one that the work expects."""
        status = self._sent[0]["status"]
        if status not in work.statuses or work.answer not in self.body or '"error"' in self.body:
            raise BenchError(f"{self._scope['path']} returned {status} {self.body[:300]}")
