"""The connection that is closed for a new one: the one that waits longest for its client."""

import asyncio
from ipaddress import ip_network

import pytest

from app.main import Application, create_app
from app.server import connection_limits
from app.server.connection import WRITE_SECONDS
from app.server.connection_limits import ConnectionLimits, limits_of
from app.settings import Settings
from tests.server.test_time import GET, LARGE, POST, TimedServer, client, timed_server

pytestmark = pytest.mark.anyio


class Member:
    """A connection that is waited for since then, or not at all."""

    def __init__(self, since: float | None = None) -> None:
        self.since = since
        self.is_aborted = False

    def waiting_since(self) -> float | None:
        return self.since

    def abort(self) -> None:
        self.is_aborted = True


def aborted(members: list[Member]) -> list[int]:
    return [number for number, member in enumerate(members) if member.is_aborted]


# ---------------------------------------------------------------------------- the rule


def test_the_one_that_is_waited_for_longest_makes_room() -> None:
    of_all, members = ConnectionLimits(3), [Member(since) for since in (3.0, None, 1.0, 4.0)]
    for number, member in enumerate(members):
        of_all.add_connection(member, f"192.0.2.{number}")
    assert aborted(members) == [2]


def test_no_connection_is_closed_before_its_turn() -> None:
    of_all, members = ConnectionLimits(2), [Member(), Member(), Member()]
    for number, member in enumerate(members):
        of_all.add_connection(member, f"192.0.2.{number}")
    assert aborted(members) == []


def test_an_address_over_its_bound_pushes_out_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "PER_NETWORK_MAX", 2)
    of_all = ConnectionLimits(100)
    others = [Member(0.0), Member(0.0)]
    for number, other in enumerate(others):
        of_all.add_connection(other, f"198.51.100.{number}")
    members = [Member(float(since)) for since in (3, 2, 4, 5)]
    for member in members[:3]:
        of_all.add_connection(member, "192.0.2.1")
    assert (aborted(members), aborted(others)) == ([1], [])
    of_all.remove_connection(members[1], "192.0.2.1")
    of_all.remove_connection(members[0], "192.0.2.1")
    of_all.add_connection(members[3], "192.0.2.1")
    assert aborted(members) == [1]


def test_trusted_proxies_have_no_such_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "PER_NETWORK_MAX", 2)
    of_all, members = ConnectionLimits(100), [Member(0.0) for _ in range(10)]
    for member in members:
        of_all.add_connection(member, None)
    assert aborted(members) == []


def test_the_oldest_goes_where_too_much_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "UNREAD_MAX", 100)
    of_all, members = ConnectionLimits(100), [Member() for _ in range(5)]
    of_all.set_unread(members[0], 40)
    of_all.set_unread(members[1], 40)
    of_all.set_unread(members[2], 20)
    of_all.clear_unread(members[0])
    of_all.set_unread(members[3], 40)
    assert aborted(members) == []
    of_all.set_unread(members[0], 1)
    assert aborted(members) == [1]
    of_all.remove_connection(members[2], None)
    of_all.set_unread(members[4], 60)
    assert aborted(members) == [1, 3]
    of_all.set_unread(members[4], 101)
    assert aborted(members) == [0, 1, 3, 4]


def test_the_oldest_goes_where_too_much_is_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "PARTIAL_BODIES_MAX", 100)
    of_all, members = ConnectionLimits(100), [Member() for _ in range(4)]
    of_all.add_partial_body(members[0], 40)
    of_all.add_partial_body(members[1], 40)
    of_all.add_partial_body(members[0], 20)
    of_all.remove_partial_body(members[0])
    of_all.add_partial_body(members[2], 60)
    assert aborted(members) == []
    # More bytes make no body younger.
    of_all.add_partial_body(members[1], 1)
    assert aborted(members) == [1]
    of_all.remove_connection(members[2], None)
    of_all.add_partial_body(members[3], 100)
    assert aborted(members) == [1]


def test_an_application_knows_its_trusted_proxies_and_exempt_networks() -> None:
    app = create_app(
        Settings(
            trusted_proxies=(ip_network("10.0.0.0/8"),),
            rate_limit_exempt=(ip_network("198.51.100.0/24"),),
        )
    )
    assert isinstance(app, Application)
    for unlimited in (("::ffff:10.0.0.1", 1), ("198.51.100.7", 1)):
        assert app.is_unlimited_peer(unlimited)
    for other in (("192.0.2.1", 1), None):
        assert not app.is_unlimited_peer(other)


# ---------------------------------------------------------------------- on real sockets


def post(size: int) -> bytes:
    """The head of a request with a body of so many bytes."""
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size


def with_room_for(opened: TimedServer, count: int) -> None:
    """Let the server have room for so many connections."""
    limits_of(opened.server.server_state)._connections_max = count


async def test_a_client_that_does_not_read_makes_room_for_a_new_one() -> None:
    """Requests that were sent ahead keep no place, though their answers are due."""
    async with timed_server() as opened, client(opened) as deaf:
        with_room_for(opened, 2)
        opened.body = LARGE
        await deaf.send(GET * 20)
        opened.may_answer.clear()
        async with client(opened) as first:
            await first.send(GET)
            async with client(opened) as second:
                assert await deaf.is_cut_off()
                opened.body = b"{}"
                opened.may_answer.set()
                await second.send(GET)
                assert (await first.answer(), await second.answer()) == ("200", "200")


async def test_a_slow_reader_keeps_its_connection_longer_than_an_earlier_idle_client() -> None:
    async with timed_server() as opened, client(opened) as idle, client(opened) as deaf:
        with_room_for(opened, 2)
        await idle.send(GET)
        assert await idle.answer() == "200"
        opened.body = LARGE
        await deaf.send(GET)
        async with client(opened):
            assert await idle.rest() == b""
            assert await deaf.answer() == "200"


async def test_a_slow_sender_makes_room() -> None:
    async with timed_server() as opened, client(opened) as slow:
        with_room_for(opened, 1)
        await slow.send(POST + b"1")
        async with client(opened) as quick:
            assert await slow.rest() == b""
            await quick.send(GET)
            assert await quick.answer() == "200"


async def test_an_address_has_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "PER_NETWORK_MAX", 1)
    async with timed_server() as opened, client(opened) as first, client(opened) as second:
        assert await first.rest() == b""
        await second.send(GET)
        assert await second.answer() == "200"


async def test_unread_responses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "UNREAD_MAX", 3 * len(LARGE) // 2)
    async with timed_server() as opened, client(opened) as first, client(opened) as second:
        opened.body = LARGE
        await first.send(GET)
        await second.send(GET)
        assert await first.is_cut_off()
        assert await second.answer() == "200"
        await asyncio.sleep(0)
        opened.turn(WRITE_SECONDS)


async def test_bodies_without_an_end_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "PARTIAL_BODIES_MAX", 5_000)
    begun = post(8_000) + b"x" * 3_000
    async with timed_server() as opened, client(opened) as first, client(opened) as second:
        # What was whole or refused counts no longer.
        for _ in range(3):
            await second.send(post(3_000))
            await second.send(b"x" * 2_999)
            await second.send(b"x")
            assert await second.answer() == "200"
        await first.send(begun)
        await second.send(begun)
        assert await first.is_cut_off()
        await second.send(b"x" * 5_000)
        assert await second.answer() == "200"
