"""A server that is killed again and again in the midst of writes, and started on its store."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic, sleep
from typing import Protocol, TypeVar

import httpx
from sqlalchemy import make_url

from app.storage.postgresql.store import PostgresServer
from app.storage.sqlite.store import SqliteFile
from tests.databases import Database, ask, url_of
from tests.faults.book import Account, Book
from tests.faults.writers import ADMIN_KEY, SETTINGS, Names, Writer, client_of
from tests.parity.apis import Outcome
from tests.postgres import SERVER
from tests.server_process import START_SECONDS, Server, serving

T = TypeVar("T")


class Serve(Protocol):
    """Start a server on the store below a folder, until it is killed."""

    def __call__(self, folder: Path, /, **settings: str) -> AbstractContextManager[Server]: ...


WRITERS = 16
# Accounts of before that each writer goes on with.
TAKEN_UP = 4
# The kill comes after so many acknowledged writes, however fast the machine is; on one that is very
# slow, after so many seconds. Then a little later, so that it comes at any moment of a write.
EARLIEST, LATEST = 10, 120
PATIENCE = 10.0
MOMENT = 0.03
# Credentials that are tried after a kill, of those that live and of those that ended; in the end
# all are.
LOOKED_AT = 60


@dataclass
class Figures:
    """The result of a test run."""

    kills: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    restarts: list[float] = field(default_factory=list)
    replacements: list[float] = field(default_factory=list)

    def lines(self, book: Book) -> Iterator[str]:
        """For people to read."""
        yield f"kills           {_sum(self.kills)}"
        yield f"acknowledged    {_sum(book.acknowledged)}"
        yield f"lost            {book.lost}"
        yield f"never answered  {_sum(book.unanswered)}"
        yield f"looked at       {_sum(self.looks)}"
        for name, times in (("restart to ready", self.restarts), ("replaced", self.replacements)):
            if times:
                yield f"{name}  median {median(times):.2f} s, at most {max(times):.2f} s"


def _sum(counts: Counter[str]) -> str:
    return f"{counts.total()} ({', '.join(f'{n} {name}' for name, n in counts.most_common())})"


class Victim:
    """The server on a store: the one that runs, or the next."""

    def __init__(self, folder: Path, database: Database, figures: Figures, serve: Serve) -> None:
        self._serve = serve
        self._folder = folder
        self._database = database
        self._figures = figures
        self._running = ExitStack()
        self._server: Server | None = None
        self._workers = 1

    @property
    def url(self) -> str:
        """The URL of the server."""
        assert self._server is not None
        return self._server.greeting["url"]

    @property
    def is_running(self) -> bool:
        """Return true while there is a process."""
        return self._server is not None

    def start(self, workers: int) -> None:
        """Start it, and note how long it takes until it is ready."""
        before = self._running
        self._running, begun = ExitStack(), monotonic()
        settings = {
            **SETTINGS,
            "GATEHOUSE_DATABASE_URL": url_of(self._database),
            "GATEHOUSE_WORKERS": str(workers),
            # What a killed process leaves there goes with the test.
            "TMPDIR": str(self._folder),
        }
        self._server = self._running.enter_context(self._serve(self._folder, **settings))
        eventually(self._is_ready)
        self._figures.restarts.append(monotonic() - begun)
        self._workers = workers
        before.close()

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/ready", trust_env=False, timeout=5).is_success
        return False

    def kill(self, which: str) -> Callable[[], None]:
        """Send SIGKILL; return a function that waits until it has had all its consequences."""
        assert self._server is not None
        parent = self._server.process.pid
        workers = _children(parent) if self._workers > 1 else []
        self._figures.kills[which] += 1
        begun = monotonic()
        if which == "a worker":
            os.kill(workers[0], signal.SIGKILL)
            return lambda: self._see_replaced(parent, workers[0], begun)
        os.kill(parent, signal.SIGKILL)
        if which == "parent and workers":
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
        self._server = None
        return lambda: self._see_gone([parent, *workers])

    def _see_replaced(self, parent: int, killed: int, begun: float) -> None:
        eventually(lambda: len(set(_children(parent)) - {killed}) == self._workers)
        eventually(self._is_ready)
        self._figures.replacements.append(monotonic() - begun)

    def _see_gone(self, processes: Sequence[int]) -> None:
        eventually(lambda: not any(map(_is_alive, processes)))

    def close(self) -> None:
        """End it."""
        self._running.close()


class Programme:
    """So many kills of one store's servers, everything promised being looked at after each."""

    def __init__(self, folder: Path, database: Database, seed: int, serve: Serve = serving) -> None:
        self.book = Book()
        self.figures = Figures()
        self._database = database
        self._random = Random(seed)
        self._names = Names()
        self._victim = Victim(folder, database, self.figures, serve)

    def run(self, kills: int) -> None:
        """Kill so many times. Raises AssertionError where a promise is not kept."""
        try:
            plan = [kind for _, kind in zip(range(kills + 1), cycle(KINDS), strict=False)]
            self._victim.start(plan[0][0])
            asyncio.run(self._begin())
            self.book.settle(self._database)
            for (_, which), (next_workers, _) in pairwise(plan):
                see = asyncio.run(self._write_until_killed(which))
                if not self._victim.is_running:
                    self._victim.start(next_workers)
                see()
                eventually(lambda: _is_quiet(self._database))
                self.book.settle(self._database)
                self._look(list(self.book.touched))
                self.book.touched.clear()
            self._look(list(self.book.accounts.values()), at_all=True)
        finally:
            self._victim.close()

    async def _begin(self) -> None:
        """Create users to write about."""
        async with client_of(self._victim.url) as client:
            writer = Writer(client, self.book, self._names, [], self._random.getrandbits(64))
            for _ in range(WRITERS):
                await writer.welcome()

    async def _write_until_killed(self, which: str) -> Callable[[], None]:
        known = list(self.book.accounts.values())
        own = self._random.sample(known, min(len(known), WRITERS * TAKEN_UP))
        is_over = asyncio.Event()
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as writing:
            for number in range(WRITERS):
                client = await stack.enter_async_context(client_of(self._victim.url))
                seed = self._random.getrandbits(64)
                writer = Writer(client, self.book, self._names, own[number::WRITERS], seed)
                writing.create_task(writer.go(is_over))
            enough = self.book.acknowledged.total() + self._random.randint(EARLIEST, LATEST)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while self.book.acknowledged.total() < enough:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            await asyncio.sleep(self._random.uniform(0, MOMENT))
            see = self._victim.kill(which)
            is_over.set()
        return see

    def _look(self, accounts: Sequence[Account], *, at_all: bool = False) -> None:
        """Hold what the APIs show against the book."""
        _require_sound(self._database)
        asyncio.run(self._look_through_doors(accounts, at_all=at_all))
        # Logins were writes, too.
        self.book.settle(self._database)

    async def _look_through_doors(self, accounts: Sequence[Account], *, at_all: bool) -> None:
        async with client_of(self._victim.url) as client:
            writer = Writer(client, self.book, self._names, [], self._random.getrandbits(64))
            await self._look_at_lists(writer)
            living = [(a, text) for a in accounts for text in a.credentials]
            ended = [text for account in accounts for text in account.ended]
            changed = [a for a in accounts if a.former_password is not None]
            if not at_all:
                living, ended = self._some(living), self._some(ended)
            for account, text in living:
                found = await self._ask(writer, "users.self", text)
                shown = found.value and found.value["username"]
                assert shown == account.username, f"a living credential: {found}"
            for text in ended:
                found = await self._ask(writer, "users.self", text)
                assert found.slug == "unauthenticated", f"a credential that had ended: {found}"
            self.figures.looks += Counter(living=len(living), ended=len(ended))
            for account in changed[: LOOKED_AT // 4]:
                await self._look_at_password(writer, account)

    async def _look_at_lists(self, writer: Writer) -> None:
        """Each account and each server, as a panel sees them."""
        chat, rest = writer.apis
        shown = (await rest("admin.users.list", ADMIN_KEY, status="all")).value
        accounts = self.book.accounts.values()
        others = {uuid: view for uuid, view in shown.items() if view["username"] != "admin"}
        assert others == {account.uuid: account.listed for account in accounts}
        shown = (await chat("admin.servers.list", ADMIN_KEY)).value
        active = {uuid: (view["name"], bool(view["active"])) for uuid, view in shown.items()}
        assert active == {
            uuid: (name, runs and not account.disabled)
            for account in accounts
            for uuid, (name, runs) in account.servers.items()
        }

    async def _look_at_password(self, writer: Writer, account: Account) -> None:
        members = {"username": account.username, "password": account.password}
        if account.disabled:
            found = await self._ask(writer, "users.auth", None, **members)
            assert found == Outcome("account-disabled")
        else:
            await writer.log_in(account)
        members["password"], account.former_password = account.former_password or "", None
        assert await self._ask(writer, "users.auth", None, **members) == Outcome(
            "invalid-credentials"
        )
        self.figures.looks["passwords"] += 1

    async def _ask(
        self, writer: Writer, operation: str, credential: str | None, **members: str
    ) -> Outcome:
        return await self._random.choice(writer.apis)(operation, credential, **members)

    def _some(self, things: list[T]) -> list[T]:
        return self._random.sample(things, min(len(things), LOOKED_AT))


# Of how many processes the server is, and which is killed.
KINDS = [
    (1, "the server"),
    (2, "a worker"),
    (2, "the parent"),
    (2, "parent and workers"),
]


def eventually(holds: Callable[[], object]) -> None:
    """Wait until it does. Raises AssertionError."""
    end = monotonic() + START_SECONDS
    while not holds():
        assert monotonic() < end
        sleep(0.01)


def _children(process: int) -> list[int]:
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def _is_alive(process: int) -> bool:
    """A zombie has nothing any more; its parent may not have looked yet."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _is_quiet(database: Database) -> bool:
    """Return true if no transaction of a killed client is left: a server finishes its statement."""
    if isinstance(database, SqliteFile):
        return True
    name = make_url(database.url).database
    busy = ask(
        PostgresServer(SERVER),
        "SELECT datname FROM pg_stat_activity"
        " WHERE application_name = 'gatehouse' AND state <> 'idle'",
    )
    return (name,) not in busy


def _require_sound(database: Database) -> None:
    if isinstance(database, SqliteFile):
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]
        assert ask(database, "PRAGMA foreign_key_check") == []
