"""A data directory's keys: published before they sign, switched, renewed, and never lost."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from app.domain.credentials import SESSION_MAX
from app.domain.errors import Overloaded
from app.domain.ports.store import Transaction
from app.domain.signing_keys import KEY_LEASE, LEASE_RENEWED_AFTER, PUBLISHED_AHEAD, PublicKey
from app.domain.timestamps import EPOCH
from app.runtime.background_tasks import Supervisor
from app.security import signing_keys
from app.security.key_files import KEY_FILE, NEXT_FILE, KeyFiles, SigningKeyError
from app.security.signing_keys import SigningKeyFile
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import FakeClock

pytestmark = pytest.mark.anyio

T = TypeVar("T")
SECOND = timedelta(seconds=1)


class Host:
    """A data directory and the processes that use it."""

    def __init__(self, folder: Path, store: MemoryStore, clock: FakeClock) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.store, self.clock = folder, store, clock
        self.signing = SigningKeyFile(folder, clock)

    def started(self) -> "Host":
        """Another process."""
        return Host(self.folder, self.store, self.clock)

    async def ensure(self) -> str | None:
        """The key that signs after another look, if any does."""
        await self.signing.ensure(self.store)
        return self.signing.current().kid if self.signing.is_usable else None

    async def rotate(self) -> PublicKey:
        """Run the command in a process of its own."""
        return await self.started().signing.rotate(self.store)

    async def published(self) -> dict[str, PublicKey]:
        keys = await self.store.read(lambda tx: tx.signing_keys.list_all())
        return {key.kid: key for key in keys}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def host(tmp_path: Path, store: MemoryStore, clock: FakeClock) -> Host:
    return Host(tmp_path / "one", store, clock)


async def test_the_first_host_of_a_store_signs_at_once(host: Host) -> None:
    kid = await host.ensure()
    assert kid is not None
    assert list(await host.published()) == [kid]


async def test_a_new_replica_signs_nothing_before_its_key_was_published_long_enough(
    host: Host, tmp_path: Path
) -> None:
    await host.ensure()
    replica = Host(tmp_path / "other", host.store, host.clock)
    assert await replica.ensure() is None
    with pytest.raises(Overloaded):
        replica.signing.current()
    assert len(await host.published()) == 2
    host.clock.turn(PUBLISHED_AHEAD - SECOND)
    # Neither does one that was started again meanwhile.
    assert await replica.ensure() is None
    assert await replica.started().ensure() is None
    host.clock.turn(SECOND)
    assert await replica.ensure() == KeyFiles(replica.folder).current().kid  # type: ignore[union-attr]


async def test_after_a_rotation_the_running_server_switches_by_itself(host: Host) -> None:
    old = await host.ensure()
    following = await host.rotate()
    assert following.signs_from == host.clock.now() + PUBLISHED_AHEAD
    assert (await host.published()).keys() == {old, following.kid}
    host.clock.turn(PUBLISHED_AHEAD - SECOND)
    assert await host.ensure() == old
    host.clock.turn(SECOND)
    others = host.started()
    assert await others.ensure() == await host.ensure() == following.kid
    published = await host.published()
    assert published[following.kid].retired_at is None
    assert published[str(old)].retired_at == host.clock.now()
    assert not (host.folder / NEXT_FILE).exists()


async def test_a_pending_rotation_is_not_begun_a_second_time(host: Host) -> None:
    await host.ensure()
    first = await host.rotate()
    host.clock.turn(timedelta(minutes=1))
    assert await host.rotate() == first
    host.clock.turn(PUBLISHED_AHEAD)
    assert (await host.rotate()).replaces == first.kid


async def test_a_rotation_before_the_first_start_publishes_the_key_of_that(host: Host) -> None:
    public = await host.rotate()
    assert await host.ensure() == public.kid
    # It is the first one, and not the next one of a key that was never published.
    assert public.replaces is None
    assert not (host.folder / NEXT_FILE).exists()


async def test_a_replica_that_is_announced_by_a_rotation_is_ready_when_it_starts(
    host: Host, tmp_path: Path
) -> None:
    await host.ensure()
    replica = Host(tmp_path / "other", host.store, host.clock)
    await replica.rotate()
    host.clock.turn(PUBLISHED_AHEAD)
    assert await replica.ensure() is not None


class Killed(BaseException):
    """The process ends here."""


def kill(*_: object, **__: object) -> None:
    raise Killed


STEPS = [
    "app.security.key_files.replace_file",
    "app.security.key_files.os.fsync",
    "app.security.key_files.os.replace",
    "app.security.key_files.Path.unlink",
    "app.security.signing_keys.KeyFiles.promote",
    "tests.fakes.memory.MemorySigningKeys.publish",
    "tests.fakes.memory.MemorySigningKeys.retire",
]


@pytest.mark.parametrize("step", STEPS)
async def test_wherever_a_rotation_is_killed_it_is_completed_and_no_key_signs_too_early(
    host: Host, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await host.ensure()

    async def killed(work: Callable[[], Awaitable[object]]) -> None:
        with monkeypatch.context() as process, suppress(Killed):
            process.setattr(step, kill)
            await work()

    for wait in (timedelta(), PUBLISHED_AHEAD, PUBLISHED_AHEAD):
        await killed(host.rotate)
        await killed(host.started().ensure)
        host.clock.turn(wait)
        await killed(host.started().ensure)
        kid = await host.started().ensure()
        assert kid is not None
        assert (await host.published())[kid].can_sign(host.clock.now())
    following = await host.rotate()
    host.clock.turn(PUBLISHED_AHEAD)
    assert await host.ensure() == following.kid
    published = await host.published()
    assert [kid for kid, key in published.items() if key.retired_at is None] == [following.kid]
    assert published[str(old)].retired_at is not None


async def test_many_processes_of_a_new_data_directory_make_one_key(host: Host) -> None:
    kids = await asyncio.gather(*(host.started().ensure() for _ in range(8)))
    assert len(set(kids)) == len(await host.published()) == 1


async def test_a_process_that_was_slow_does_not_promote_a_later_key(host: Host) -> None:
    await host.ensure()
    slow = KeyFiles(host.folder)
    first = await host.rotate()
    host.clock.turn(PUBLISHED_AHEAD)
    await host.ensure()
    second = await host.rotate()
    slow.promote(first.kid)
    assert KeyFiles(host.folder).next() is not None
    assert await host.started().ensure() == first.kid != second.kid


async def test_a_running_server_renews_its_lease_and_a_key_without_a_host_retires(
    host: Host, tmp_path: Path
) -> None:
    gone = Host(tmp_path / "other", host.store, host.clock)
    kept, lost = await host.ensure(), await gone.signing.ensure(host.store)
    for _ in range(48):
        host.clock.turn(LEASE_RENEWED_AFTER)
        await host.ensure()
    now, published = host.clock.now(), await host.published()
    assert published[str(kept)].ends_at == now + KEY_LEASE
    assert published[lost].ends_at == now - KEY_LEASE
    assert published[lost].is_trusted(now)
    assert not published[lost].is_trusted(now + SESSION_MAX)


async def test_nothing_is_written_where_nothing_is_due(host: Host) -> None:
    await host.ensure()
    before = await host.published()
    host.clock.turn(LEASE_RENEWED_AFTER - SECOND)
    await host.ensure()
    assert await host.published() == before


async def test_a_server_that_comes_back_signs_with_its_key_at_once(host: Host) -> None:
    kid = await host.ensure()
    host.clock.turn(KEY_LEASE + SESSION_MAX - SECOND)
    assert await host.started().ensure() == kid
    assert (await host.published())[str(kid)].ends_at == host.clock.now() + KEY_LEASE


async def test_a_key_that_was_retired_by_others_is_replaced(host: Host, tmp_path: Path) -> None:
    await Host(tmp_path / "other", host.store, host.clock).ensure()
    host.clock.turn(PUBLISHED_AHEAD)
    await host.signing.ensure(host.store)
    host.clock.turn(PUBLISHED_AHEAD)
    old = str(await host.ensure())
    await host.store.write(lambda tx: tx.signing_keys.retire(old, host.clock.now()))
    # Its tokens are trusted, so it signs until the next one may.
    assert await host.ensure() == old
    host.clock.turn(PUBLISHED_AHEAD)
    assert await host.ensure() != old


async def test_a_key_that_is_distrusted_signs_nothing_any_more(host: Host, tmp_path: Path) -> None:
    old = str(await host.ensure())
    await Host(tmp_path / "other", host.store, host.clock).signing.ensure(host.store)
    await host.store.write(lambda tx: tx.signing_keys.retire(old, EPOCH))
    assert await host.ensure() is None
    host.clock.turn(PUBLISHED_AHEAD)
    assert await host.ensure() not in {old, None}


async def test_a_file_that_was_removed_is_replaced_while_the_old_key_signs_on(host: Host) -> None:
    old = await host.ensure()
    (host.folder / KEY_FILE).unlink()
    assert await host.ensure() == old
    host.clock.turn(PUBLISHED_AHEAD)
    assert await host.ensure() != old


async def test_a_link_stays_and_what_it_leads_to_is_replaced(host: Host, tmp_path: Path) -> None:
    await host.ensure()
    elsewhere = tmp_path / "elsewhere.pem"
    (host.folder / KEY_FILE).rename(elsewhere)
    (host.folder / KEY_FILE).symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    await host.rotate()
    host.clock.turn(PUBLISHED_AHEAD)
    await host.ensure()
    assert (host.folder / KEY_FILE).is_symlink()
    assert elsewhere.read_bytes() != before
    assert elsewhere.stat().st_mode & 0o777 == 0o600


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: str = "") -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


@pytest.mark.parametrize("name", [KEY_FILE, NEXT_FILE])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"spoiled",
        _pem(ec.generate_private_key(ec.SECP384R1())),
        _pem(ed25519.Ed25519PrivateKey.generate()),
        _pem(ec.generate_private_key(ec.SECP256R1()), "secret"),
    ],
    ids=["empty", "no PEM", "another curve", "another algorithm", "encrypted"],
)
async def test_an_invalid_signing_key_is_refused_by_name(
    host: Host, name: str, content: bytes
) -> None:
    await host.ensure()
    (host.folder / name).write_bytes(content)
    for work in (host.rotate, host.started().ensure):
        with pytest.raises(SigningKeyError, match=name):
            await work()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
async def test_anything_but_a_file_is_refused_without_waiting(
    host: Host, make: Callable[[Path], None]
) -> None:
    make(host.folder / KEY_FILE)
    with pytest.raises(SigningKeyError, match=KEY_FILE):
        await host.ensure()


async def test_after_a_restore_the_next_key_takes_the_place_of_the_one_that_leaked(
    host: Host,
) -> None:
    leaked = await host.ensure()
    following = await host.rotate()
    kid = host.started().signing.promote_restored()
    assert kid == following.kid != leaked
    assert host.started().signing.promote_restored() == kid


async def test_a_key_that_was_replaced_is_retired_once(
    host: Host, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check that moved the time on would have it trusted forever."""
    old = await host.ensure()
    assert old is not None
    await host.rotate()
    clock.turn(PUBLISHED_AHEAD)
    await host.ensure()
    retired_at = (await host.published())[old].retired_at
    assert retired_at is not None
    for _ in range(3):
        clock.turn(LEASE_RENEWED_AFTER)
        await host.ensure()
    assert (await host.published())[old].retired_at == retired_at
    with monkeypatch.context() as patch:
        patch.setattr(host.store, "write", None)
        await host.ensure()


class MeetingStore(MemoryStore):
    """Begins no write before two are there, while `meets` is clear."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.meets = asyncio.Event()
        self.meets.set()

    async def write(self, work: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        self.waiting += 1
        if self.waiting == 2:
            self.meets.set()
        await self.meets.wait()
        return await super().write(work)


async def test_two_rotations_at_once_publish_one_key(tmp_path: Path, clock: FakeClock) -> None:
    store = MeetingStore()
    published: list[str] = []
    host = Host(tmp_path / "one", store, clock)
    await host.ensure()
    store.waiting = 0
    store.meets.clear()

    def note(_tx: Transaction, _old: str | None, new: str) -> None:
        published.append(new)

    rotations = [host.started().signing.rotate(store, note) for _ in range(2)]
    first, second = await asyncio.gather(*rotations)
    assert first == second
    assert published == [first.kid]


async def test_a_key_that_the_store_does_not_have_signs_nothing_any_more(
    host: Host, tmp_path: Path, clock: FakeClock
) -> None:
    await host.ensure()
    other = Host(tmp_path / "two", MemoryStore(), clock)
    await other.ensure()
    (host.folder / KEY_FILE).unlink()
    await host.signing.ensure(other.store)
    assert not host.signing.is_usable


class RefusingStore(MemoryStore):
    """Refuses a scan where `refuses`."""

    refuses = False

    async def scan(self, work: Callable[[Transaction], T]) -> T:
        if self.refuses:
            raise Overloaded
        return await super().scan(work)


async def test_keys_are_kept_while_a_server_runs_and_trouble_shows_when_the_lease_is_due(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "CHECK_INTERVAL", 0.001)
    store, supervisor = RefusingStore(), Supervisor()
    host = Host(tmp_path / "one", store, clock)

    async def trouble_after(by: timedelta) -> list[str]:
        clock.turn(by)
        # Enough for many rounds, however busy the machine is.
        for _ in range(20):
            await asyncio.sleep(0.002)
        return supervisor.failing()

    async with host.signing.maintain(store, supervisor):
        assert host.signing.is_usable
        clock.turn(LEASE_RENEWED_AFTER)
        await trouble_after(timedelta())
        assert [key.renewed_at for key in (await host.published()).values()] == [clock.now()]
        store.refuses = True
        assert await trouble_after(KEY_LEASE / 2) == []
        assert await trouble_after(timedelta(milliseconds=1)) == ["signing-keys"]
    assert supervisor.failing() == []
