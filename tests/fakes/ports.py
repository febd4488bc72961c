"""The other ports: time that is turned, ids that are counted, hashes that cost nothing."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from app.domain.credentials import TokenClaims
from app.domain.errors import DomainError
from app.domain.guilds_and_servers import Guild, PanelServer
from app.domain.ports.services import Clock, PasswordCheck
from app.domain.ports.upstreams import Cached
from app.domain.rate_limits import Limit

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock:
    """A clock that moves only when a test advances it."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def turn(self, by: timedelta) -> None:
        self._now += by


class FakeIds:
    """Counts."""

    def __init__(self) -> None:
        self._snowflakes = count(71395574100676609)
        self._uuids = count(1)

    def new_snowflake(self) -> int:
        return next(self._snowflakes)

    def new_uuid(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._uuids):012x}"


class FakeRandomness:
    """Well-formed, and foreseeable."""

    def __init__(self) -> None:
        self._counter = count(1)

    def new_access_key(self) -> str:
        number = next(self._counter)
        return f"FAKE{number:04}-abcd-1234-EFGH-{number:08}"

    def new_password(self) -> str:
        return f"generated password {next(self._counter)}"

    def fraction(self) -> float:
        return 0.5


class FakeHasher:
    """Marks a password with the generation of its hash and a salt.

    A higher `generation` makes all earlier hashes outdated.
    """

    def __init__(self) -> None:
        self.generation = 1
        self._salts = count(1)

    async def hash(self, password: str) -> str:
        return f"fake:{self.generation}:{next(self._salts)}:{password}"

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        if password is None or hashed is None or not hashed.startswith("fake:"):
            return PasswordCheck(is_correct=False)
        _, generation, _, stored = hashed.split(":", 3)
        if stored != password:
            return PasswordCheck(is_correct=False)
        is_old = int(generation) < self.generation
        return PasswordCheck(
            is_correct=True, new_hash=await self.hash(password) if is_old else None
        )


BREACHED = "known from a breach"


class FakeBreachedPasswords:
    """Knows some passwords, and remembers which it was asked for."""

    def __init__(self, *known: str) -> None:
        self._known = known
        self.asked: list[str] = []

    async def contains(self, password: str) -> bool:
        self.asked.append(password)
        return password in self._known


class FakeTokens:
    """Opaque texts, and what each of them says."""

    def __init__(self) -> None:
        self._claims: dict[str, TokenClaims] = {}

    def issue(self, claims: TokenClaims) -> str:
        token = f"fake.{claims.token_id}.token"
        self._claims[token] = claims
        return token

    def can_issue(self) -> bool:
        return True

    async def verify(self, token: str) -> TokenClaims | None:
        return self._claims.get(token)


class FakeRateLimiter:
    """Remembers when each call came; no window is kept but the one that slides.

    A bucket is kept as such.
    """

    seldom_waits = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: dict[tuple[str, str], list[datetime]] = {}
        self._full_at: dict[tuple[str, str], float] = {}

    def _take(self, limit: Limit, address: str) -> tuple[int, float, float]:
        full_at = self._full_at.get((limit.name, address), 0.0)
        return limit.take(full_at, self._clock.now().timestamp(), 1)

    async def count(self, limit: Limit, address: str) -> float:
        if limit.refills:
            _, wait, self._full_at[limit.name, address] = self._take(limit, address)
            return wait
        wait = self.peek(limit, address)
        if not wait:
            self._calls.setdefault((limit.name, address), []).append(self._clock.now())
        return wait

    async def count_many(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        waits = [await self.count(limit, address) for _ in range(calls)]
        return waits.count(0), waits[-1]

    async def refund(self, limit: Limit, address: str) -> None:
        if limit.refills:
            full_at = self._full_at.get((limit.name, address), 0.0)
            now = self._clock.now().timestamp()
            self._full_at[limit.name, address] = limit.take(full_at, now, -1)[2]
        elif calls := self._calls.get((limit.name, address)):
            calls.pop()

    def peek(self, limit: Limit, address: str) -> float:
        if limit.refills:
            return self._take(limit, address)[1]
        window, now = timedelta(seconds=limit.seconds), self._clock.now()
        calls = [at for at in self._calls.get((limit.name, address), []) if at > now - window]
        self._calls[limit.name, address] = calls
        if len(calls) < limit.calls:
            return 0
        return (calls[-limit.calls] + window - now).total_seconds()


class FakeSeconds:
    """A time that only goes forth, and only where it is turned."""

    def __init__(self) -> None:
        self._now = 1000.0

    def __call__(self) -> float:
        return self._now

    def turn(self, by: float) -> None:
        self._now += by


class FakeChat:
    """Tells what it was given of each account, or raises what it was given to raise.

    `meanwhile` is done before it answers.
    """

    def __init__(self) -> None:
        self.guilds: dict[int, Sequence[Guild]] = {}
        self.stale_seconds: int | None = None
        self.error: DomainError | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.asked = 0

    async def list_guilds(self, user_id: int) -> Cached[Sequence[Guild]]:
        self.asked += 1
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.error is not None:
            raise self.error
        return Cached(self.guilds.get(user_id, ()), self.stale_seconds)


class FakePanel:
    """The same of servers, which it stops and starts."""

    def __init__(self) -> None:
        self.servers: dict[str, Sequence[PanelServer]] = {}
        self.stale_seconds: int | None = None
        self.error: DomainError | None = None

    async def list_servers(self, owner: str) -> Cached[Sequence[PanelServer]]:
        return Cached(await self.fetch_servers(owner), self.stale_seconds)

    async def fetch_servers(self, owner: str) -> Sequence[PanelServer]:
        if self.error is not None:
            raise self.error
        return self.servers.get(owner, ())

    async def stop_servers(self, owner: str, servers: Collection[str]) -> None:
        await self._switch(owner, servers, on=False)

    async def start_servers(self, owner: str, servers: Collection[str]) -> None:
        await self._switch(owner, servers, on=True)

    async def _switch(self, owner: str, servers: Collection[str], *, on: bool) -> None:
        known = await self.fetch_servers(owner)
        self.servers[owner] = [
            replace(one, active=on) if one.uuid in servers else one for one in known
        ]
