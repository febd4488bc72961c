"""Every store: sessions, access keys, signing keys."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.credentials import AccessKey, Session
from app.domain.key_limits import Networks, Scope
from app.domain.ports.store import Store, Transaction
from app.domain.signing_keys import PublicKey
from app.domain.users import User
from tests.contracts.rows import LATER, NOW, access_key, add_users, save, session
from tests.fakes.services import as_user, do, make_services

pytestmark = pytest.mark.anyio

JWK = '{"kty": "EC", "crv": "P-256"}'


async def open_all(store: Store, *sessions: Session) -> None:
    def work(tx: Transaction) -> None:
        for opened in sessions:
            tx.sessions.add(opened)

    await store.write(work)


async def sessions_of(store: Store, user: User) -> list[str]:
    return [s.id for s in await store.read(lambda tx: tx.sessions.list_for_user(user.id))]


async def make_all(store: Store, *keys: AccessKey) -> None:
    def work(tx: Transaction) -> None:
        for key in keys:
            tx.keys.add(key)

    await store.write(work)


async def list_keys_of(store: Store, user: User) -> list[str]:
    return [key.id for key in await store.read(lambda tx: tx.keys.list_for_user(user.id))]


# ------------------------------------------------------------------------------- sessions


@pytest.mark.parametrize("address", [None, "2001:db8::1"])
@pytest.mark.parametrize("agent", [None, "", "浏览器 '\"\\"])
async def test_a_session_is_found_as_it_was_added_with_its_owner(
    store: Store, address: str | None, agent: str | None
) -> None:
    user, _ = await add_users(store, 2)
    added = replace(session("s1", user), address=address, agent=agent)
    await open_all(store, added)
    assert await store.read(lambda tx: tx.sessions.get_with_owner("s1")) == (added, user)


async def test_the_owner_of_a_session_is_current(store: Store) -> None:
    (user,) = await add_users(store, 1)
    await open_all(store, session("s1", user))
    changed = await save(store, user, disabled=True, username="renamed")
    found = await store.read(lambda tx: tx.sessions.get_with_owner("s1"))
    assert found is not None
    assert found[1] == changed


async def test_a_time_is_kept_to_the_millisecond(store: Store) -> None:
    (user,) = await add_users(store, 1)
    added = replace(session("s1", user), expires_at=NOW + timedelta(days=90, milliseconds=123))
    await open_all(store, added)
    found = await store.read(lambda tx: tx.sessions.get_with_owner("s1"))
    assert found is not None
    assert found[0].expires_at == added.expires_at
    assert found[0].expires_at.utcoffset() == timedelta(0)


async def test_a_session_that_is_not_there_is_none(store: Store) -> None:
    assert await store.read(lambda tx: tx.sessions.get_with_owner("s1")) is None


async def test_the_sessions_of_an_account_are_listed_the_oldest_first(store: Store) -> None:
    user, other = await add_users(store, 2)
    await open_all(
        store,
        session("a", user, minute=2),
        session("b", user, minute=3),
        session("c", user, minute=1),
        session("d", other, minute=0),
    )
    assert await sessions_of(store, user) == ["c", "a", "b"]


async def test_a_refresh_moves_the_end_and_nothing_else(store: Store) -> None:
    (user,) = await add_users(store, 1)
    opened = session("s1", user)
    await open_all(store, opened, session("s2", user, minute=1))
    await store.write(lambda tx: tx.sessions.set_last_seen("s1", LATER))
    moved = replace(opened, expires_at=LATER, address="198.51.100.9")
    await store.write(lambda tx: tx.sessions.save_expiry(moved))
    listed = await store.read(lambda tx: list(tx.sessions.list_for_user(user.id)))
    assert listed == [
        replace(opened, expires_at=LATER, last_seen_at=LATER),
        session("s2", user, minute=1),
    ]


async def test_seen_is_noted_of_that_session_alone(store: Store) -> None:
    (user,) = await add_users(store, 1)
    first, second = session("s1", user), session("s2", user, minute=1)
    await open_all(store, first, second)
    await store.write(lambda tx: tx.sessions.set_last_seen("s2", LATER))
    listed = await store.read(lambda tx: list(tx.sessions.list_for_user(user.id)))
    assert listed == [first, replace(second, last_seen_at=LATER)]


async def test_a_session_that_ended_does_not_come_back(store: Store) -> None:
    (user,) = await add_users(store, 1)
    ended = session("s1", user)
    await open_all(store, ended)
    await store.write(lambda tx: tx.sessions.end_for_user(user.id))
    await store.write(lambda tx: tx.sessions.set_last_seen("s1", LATER))
    await store.write(lambda tx: tx.sessions.save_expiry(ended))
    assert await store.read(lambda tx: tx.sessions.get_with_owner("s1")) is None


@pytest.mark.parametrize(
    ("only", "keep", "left"),
    [
        (None, None, []),
        ("s2", None, ["s1", "s3"]),
        (None, "s2", ["s2"]),
        ("his", None, ["s1", "s2", "s3"]),
        ("unknown", None, ["s1", "s2", "s3"]),
        (None, "his", []),
        (None, "unknown", []),
    ],
)
async def test_an_accounts_sessions_end_the_one_or_all_or_all_but_one(
    store: Store, only: str | None, keep: str | None, left: list[str]
) -> None:
    user, other = await add_users(store, 2)
    own = [session(f"s{n}", user, minute=n) for n in (1, 2, 3)]
    await open_all(store, *own, session("his", other))
    ended = await store.write(lambda tx: tx.sessions.end_for_user(user.id, only=only, keep=keep))
    assert await sessions_of(store, user) == left
    assert ended == 3 - len(left)
    assert await sessions_of(store, other) == ["his"]


async def test_a_session_ends_once(store: Store) -> None:
    (user,) = await add_users(store, 1)
    await open_all(store, session("s1", user))
    ended = [
        await store.write(lambda tx: tx.sessions.end_for_user(user.id, only="s1")) for _ in range(2)
    ]
    assert ended == [1, 0]


async def test_end_expired_takes_the_expired_ones_of_that_account(store: Store) -> None:
    user, other = await add_users(store, 2)
    await open_all(
        store,
        session("old", user, days=1),
        session("new", user, minute=1, days=9),
        session("his", other, days=1),
    )
    await store.write(lambda tx: tx.sessions.end_expired(user.id, NOW + timedelta(days=2)))
    assert await sessions_of(store, user) == ["new"]
    assert await sessions_of(store, other) == ["his"]


async def test_end_expired_agrees_with_the_session_at_the_very_end(store: Store) -> None:
    (user,) = await add_users(store, 1)
    opened = session("s1", user)
    await open_all(store, opened)
    await store.write(lambda tx: tx.sessions.end_expired(user.id, opened.expires_at))
    assert bool(await sessions_of(store, user)) is opened.is_active(opened.expires_at)


# ------------------------------------------------------------------------------------ keys


@pytest.mark.parametrize("expires_at", [None, LATER])
@pytest.mark.parametrize("secret_hash", [b"", bytes(range(256))], ids=["empty", "all bytes"])
async def test_a_key_is_found_as_it_was_added_with_its_owner(
    store: Store, expires_at: object, secret_hash: bytes
) -> None:
    user, _ = await add_users(store, 2)
    plain = access_key("KEY00001", user)
    added = replace(plain, expires_at=expires_at, secret_hash=secret_hash, name="钥匙 '")  # type: ignore[arg-type]
    await make_all(store, added)
    assert await store.read(lambda tx: tx.keys.get_with_owner("KEY00001")) == (added, user)


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("where", [None, ["192.0.2.0/24", "2001:db8::/32"], ["::1"]])
async def test_the_bounds_of_a_key_are_kept(
    store: Store, scope: Scope, where: list[str] | None
) -> None:
    (user,) = await add_users(store, 1)
    networks = None if where is None else Networks.parse(where)
    added = replace(access_key("KEY00001", user), scope=scope, networks=networks)
    await make_all(store, added)
    found = await store.read(lambda tx: tx.keys.get_with_owner("KEY00001"))
    assert found == (added, user)
    assert await store.read(lambda tx: list(tx.keys.list_for_user(user.id))) == [added]


async def test_the_id_of_a_key_is_compared_exactly(store: Store) -> None:
    (user,) = await add_users(store, 1)
    await make_all(store, access_key("KEY0000a", user), access_key("KEY0000A", user, minute=1))
    assert await list_keys_of(store, user) == ["KEY0000a", "KEY0000A"]
    assert await store.read(lambda tx: tx.keys.get_with_owner("key0000a")) is None
    assert await store.write(lambda tx: tx.keys.revoke_for_user(user.id, only="KEY0000A")) == 1
    assert await list_keys_of(store, user) == ["KEY0000a"]


async def test_the_owner_of_a_key_is_current(store: Store) -> None:
    (user,) = await add_users(store, 1)
    await make_all(store, access_key("KEY00001", user))
    changed = await save(store, user, disabled=True)
    found = await store.read(lambda tx: tx.keys.get_with_owner("KEY00001"))
    assert found is not None
    assert found[1] == changed


async def test_the_keys_of_an_account_are_listed_the_oldest_first(store: Store) -> None:
    user, other = await add_users(store, 2)
    await make_all(
        store,
        access_key("A", user, minute=2),
        access_key("B", user, minute=3),
        access_key("C", user, minute=1),
        access_key("D", other),
    )
    assert await list_keys_of(store, user) == ["C", "A", "B"]


async def test_use_is_noted_of_that_key_alone(store: Store) -> None:
    (user,) = await add_users(store, 1)
    first, second = access_key("A", user), access_key("B", user, minute=1)
    await make_all(store, first, second)
    await store.write(lambda tx: tx.keys.set_last_used("B", LATER))
    listed = await store.read(lambda tx: list(tx.keys.list_for_user(user.id)))
    assert listed == [first, replace(second, last_used_at=LATER)]


@pytest.mark.parametrize(
    ("only", "left"), [(None, []), ("A", ["B"]), ("his", ["A", "B"]), ("unknown", ["A", "B"])]
)
async def test_an_accounts_keys_are_revoked_the_one_or_all(
    store: Store, only: str | None, left: list[str]
) -> None:
    user, other = await add_users(store, 2)
    await make_all(
        store, access_key("A", user), access_key("B", user, minute=1), access_key("his", other)
    )
    revoked = await store.write(lambda tx: tx.keys.revoke_for_user(user.id, only=only))
    assert await list_keys_of(store, user) == left
    assert revoked == 2 - len(left)
    assert await list_keys_of(store, other) == ["his"]


async def test_a_key_that_was_revoked_does_not_come_back(store: Store) -> None:
    (user,) = await add_users(store, 1)
    await make_all(store, access_key("A", user))
    await store.write(lambda tx: tx.keys.revoke_for_user(user.id))
    await store.write(lambda tx: tx.keys.set_last_used("A", LATER))
    assert await store.read(lambda tx: tx.keys.get_with_owner("A")) is None


@pytest.mark.parametrize(
    "expires_at", [None, "2030-01-31T12:00:00Z", "2030-01-31T12:00:00.123456Z"]
)
async def test_a_key_is_listed_as_it_was_shown_when_it_was_made(
    store: Store, expires_at: str | None
) -> None:
    services = make_services(store=store)
    caller = await as_user(services, "alice")
    made = await do(services, "keys.create", caller, name="key", expires_at=expires_at)
    (listed,) = await do(services, "keys.list", caller)
    assert {**listed, "key": made["key"]} == made


# ---------------------------------------------------------------------------- signing keys


async def publish(store: Store, *keys: PublicKey) -> None:
    def work(tx: Transaction) -> None:
        for key in keys:
            tx.signing_keys.publish(key)

    await store.write(work)


async def test_a_published_key_is_found_and_listed(store: Store) -> None:
    keys = [PublicKey(kid, JWK, NOW, None, NOW, NOW) for kid in ("one", "two")]
    await publish(store, *keys)
    assert await store.read(lambda tx: tx.signing_keys.find("two")) == keys[1]
    assert sorted(await store.read(lambda tx: tx.signing_keys.list_all()), key=str) == keys
    assert await store.read(lambda tx: tx.signing_keys.find("three")) is None


async def test_a_retired_key_is_still_found_with_the_time_it_retired(store: Store) -> None:
    keys = [PublicKey(kid, JWK, NOW, None, NOW, NOW) for kid in ("one", "two")]
    await publish(store, *keys)
    await store.write(lambda tx: tx.signing_keys.retire("one", LATER))
    assert await store.read(lambda tx: tx.signing_keys.find("one")) == replace(
        keys[0], retired_at=LATER
    )
    assert await store.read(lambda tx: tx.signing_keys.find("two")) == keys[1]


async def test_a_key_that_is_not_there_does_not_retire(store: Store) -> None:
    await store.write(lambda tx: tx.signing_keys.retire("one", LATER))
    assert await store.read(lambda tx: list(tx.signing_keys.list_all())) == []


# -------------------------------------------------------------------------------- bounds


async def test_the_oldest_sessions_end_so_that_so_many_are_left(store: Store) -> None:
    user, other = await add_users(store, 2)
    await open_all(
        store,
        *(session(f"s{minute}", user, minute=minute) for minute in range(5)),
        session("other", other),
    )
    ended = await store.write(lambda tx: tx.sessions.end_oldest(user.id, max_count=3, keep="s4"))
    assert sorted(ended) == ["s0", "s1"]
    assert await sessions_of(store, user) == ["s2", "s3", "s4"]
    assert await sessions_of(store, other) == ["other"]
    assert (
        await store.write(lambda tx: tx.sessions.end_oldest(user.id, max_count=3, keep="s4")) == []
    )


async def test_the_session_that_is_kept_stays_even_where_it_is_the_oldest(store: Store) -> None:
    """The clock may have been set back."""
    (user,) = await add_users(store, 1)
    await open_all(store, *(session(f"s{minute}", user, minute=minute) for minute in range(3)))
    await store.write(lambda tx: tx.sessions.end_oldest(user.id, max_count=2, keep="s0"))
    assert await sessions_of(store, user) == ["s0", "s2"]


async def test_the_keys_of_an_account_are_counted(store: Store) -> None:
    user, other = await add_users(store, 2)
    assert await store.read(lambda tx: tx.keys.count_for_user(user.id)) == 0
    await make_all(store, access_key("A", user), access_key("B", user), access_key("C", other))
    assert await store.read(lambda tx: tx.keys.count_for_user(user.id)) == 2
