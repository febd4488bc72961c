"""Real servers and the operator's command line, each with the APIs that a walk goes through."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.gateway import Gate
from tests.parity.apis import Api, Outcome, RestApi, RpcApi
from tests.postgres import new_database
from tests.replicas import publish_earlier
from tests.server_process import Finished, Server, run, serving

ADMIN_KEY = "ROOTROOT-aaaa-bbbb-cccc-ddddeeee"
# The model knows nothing of time: walks that are long enough would be throttled.
COMMON = {"GATEHOUSE_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY, "GATEHOUSE_RATE_LIMITS": "off"}
# Connections to each process.
CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class Served:
    """A server, the folder it has its data below, and of how many processes it is."""

    server: Server
    folder: Path
    workers: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """Servers on one store, and the settings that they share with the operator's commands."""

    served: list[Served]
    settings: Mapping[str, str]

    def command(self, folder: Path, *arguments: str, stdin: str = "") -> Finished:
        """Run a command of the operator's to its end."""
        return run(folder, *arguments, stdin=stdin, **self.settings)


@dataclass(frozen=True, slots=True)
class Place:
    """A connection to one process, and the folder whose key that process signs with."""

    gate: Gate
    apis: tuple[Api, Api]
    folder: Path
    process: int


@contextmanager
def two_workers_on_sqlite(folder: Path) -> Iterator[Deployment]:
    """One server of two processes; the command line is the third."""
    settings = dict(COMMON)
    with serving(folder, GATEHOUSE_WORKERS="2", **settings) as server:
        yield Deployment([Served(server, folder, 2)], settings)


@contextmanager
def replicas_on_postgresql(folder: Path) -> Iterator[Deployment]:
    """Two servers with a data directory each, the second of two processes."""
    folders = [folder / "one", folder / "other"]
    for each in folders:
        each.mkdir()
    with new_database() as url:
        settings = {**COMMON, "GATEHOUSE_DATABASE_URL": url}
        with ExitStack() as stack:
            one = stack.enter_context(serving(folders[0], **settings))
            publish_earlier(folders[1], url)
            other = stack.enter_context(serving(folders[1], GATEHOUSE_WORKERS="2", **settings))
            yield Deployment([Served(one, folders[0], 1), Served(other, folders[1], 2)], settings)


DEPLOYMENTS: dict[str, Callable[[Path], Any]] = {
    "sqlite": two_workers_on_sqlite,
    "postgresql": replicas_on_postgresql,
}


@asynccontextmanager
async def connected(deployment: Deployment) -> AsyncIterator[list[Place]]:
    """Connections to every process of the server, as many to each."""
    async with AsyncExitStack() as stack:
        places: list[Place] = []
        for served in deployment.served:
            wanted = dict.fromkeys(await _processes(served), CONNECTIONS)
            while any(wanted.values()):
                client = _client(served.server)
                before = {process: _sockets(process) for process in wanted}
                await client.get("/health/live")
                takers = [p for p in wanted if wanted[p] and _sockets(p) - before[p]]
                if len(takers) != 1:
                    await client.aclose()
                    continue
                (taker,) = takers
                wanted[taker] -= 1
                stack.push_async_callback(client.aclose)
                gate = Gate(client)
                apis = (RpcApi(gate), RestApi(gate))
                places.append(Place(gate, apis, served.folder, taker))
        # In an order that a seed determines, whichever process took the first connection.
        served_from = [served.folder for served in deployment.served]
        yield sorted(places, key=lambda p: (served_from.index(p.folder), p.process))


def _client(server: Server) -> httpx.AsyncClient:
    """One connection, closed before the server closes it, which is after five seconds."""
    return httpx.AsyncClient(
        base_url=server.greeting["url"],
        limits=httpx.Limits(max_connections=1, keepalive_expiry=4),
        timeout=30,
        trust_env=False,
    )


async def _processes(served: Served) -> list[int]:
    """Those that serve, all of them begun."""
    pid = served.server.process.pid
    if served.workers == 1:
        return [pid]
    while len(found := _children(pid)) < served.workers:
        async with _client(served.server) as client:
            await client.get("/health/live")
    return found


def _children(process: int) -> list[int]:
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def _sockets(process: int) -> set[str]:
    links = (entry.path for entry in os.scandir(f"/proc/{process}/fd"))
    opened = set()
    for link in links:
        with suppress(FileNotFoundError):
            opened.add(os.readlink(link))
    return {name for name in opened if name.startswith("socket:")}


class CommandLine:
    """The operator, as one more API; each command in a process of its own."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self._deployment = deployment
        self._folder = folder

    async def __call__(
        self, operation: str, credential: str | None = None, /, **members: Any
    ) -> Outcome:
        words = operation.split()[1:]
        password = members.pop("password", None)
        options = [] if password is None else ["--password-stdin"]
        arguments = [*words, *members.values(), *options]
        stdin = "" if password is None else f"{password}\n"
        done = await asyncio.to_thread(
            lambda: self._deployment.command(self._folder, *arguments, stdin=stdin)
        )
        if done.status != 0:
            return Outcome(f"status {done.status}")
        return Outcome(None, _READERS[operation](done.out))


_READERS: dict[str, Callable[[str], Any]] = {
    "gatehouse users create": lambda out: {"id": out.split()[2]},
    "gatehouse users list": lambda out: {line.split("\t")[2] for line in out.splitlines()},
    "gatehouse users disable": lambda out: True,
    "gatehouse users enable": lambda out: True,
    "gatehouse keys create": lambda out: {"key": out.strip()},
    "gatehouse keys revoke": lambda out: True,
    "gatehouse signing-keys rotate": lambda out: out.split()[0],
}
