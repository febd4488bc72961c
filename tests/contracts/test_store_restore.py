"""Every store: a restore revokes all credentials and skips numbers."""

from dataclasses import replace

import pytest

from app.domain.audit import Entry, EntryFilter
from app.domain.credentials import Origin
from app.domain.policy import OPERATOR_PRINCIPAL
from app.domain.ports.store import Store, Transaction
from app.domain.signing_keys import PublicKey
from app.operations.framework.audit_log import make_entry
from tests.contracts.rows import NOW, access_key, add, add_users, new_user, session

pytestmark = pytest.mark.anyio

JWK = '{"kty": "EC", "crv": "P-256"}'


async def fill(store: Store) -> None:
    """Two sessions and two keys, of which one each has ended; two signing keys."""
    (user,) = await add_users(store, 1)

    def add(tx: Transaction) -> None:
        tx.sessions.add(session("s1", user))
        tx.sessions.add(replace(session("s2", user), expires_at=NOW))
        tx.keys.add(replace(access_key("AAAAAAAA", user), expires_at=None))
        tx.keys.add(replace(access_key("BBBBBBBB", user), expires_at=NOW))
        for kid in ("old", "present"):
            tx.signing_keys.publish(PublicKey(kid, JWK, NOW, None, NOW, NOW))

    await store.write(add)


async def test_all_credentials_end_but_for_one_signing_key(store: Store) -> None:
    await fill(store)
    await store.write(lambda tx: tx.restored_database.end_credentials("present"))
    assert await store.read(lambda tx: tx.sessions.get_with_owner("s1")) is None
    assert await store.read(lambda tx: tx.keys.get_with_owner("AAAAAAAA")) is None
    assert await store.read(lambda tx: tx.keys.get_with_owner("BBBBBBBB")) is None
    assert [key.kid for key in await store.read(lambda tx: tx.signing_keys.list_all())] == [
        "present"
    ]


def _noted(action: str) -> Entry:
    return make_entry(action, OPERATOR_PRINCIPAL, Origin(), NOW)


async def test_skipped_numbers_are_never_given(store: Store) -> None:
    before, _ = await add_users(store, 2)
    await store.write(lambda tx: tx.audit.add(_noted("before")))
    await store.write(lambda tx: tx.restored_database.skip_numbers(1000))
    await store.write(lambda tx: tx.audit.add(_noted("after")))
    (after,) = await add(store, new_user(3))
    assert after.number > before.number + 1000
    newest, oldest = await store.read(lambda tx: tx.audit.list_page(EntryFilter(), None, 2))
    assert (newest.action, oldest.action) == ("after", "before")
    assert newest.number > oldest.number + 1000


async def test_numbers_are_skipped_in_an_empty_store_too(store: Store) -> None:
    await store.write(lambda tx: tx.restored_database.skip_numbers(1000))
    (first,) = await add_users(store, 1)
    assert first.number > 1000
