"""Rows that the store suites use."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.credentials import AccessKey, Session
from app.domain.ports.store import Store, Transaction
from app.domain.users import User

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
SERVERS = [f"7c9e6679-7425-40de-944b-e07fc1f90a{n:02}" for n in range(10)]
UNKNOWN_ID = 999


def new_user(number: int, **changes: Any) -> User:
    """An account to add; `number` makes what is unique about it."""
    plain = User(
        number=0,
        id=1000 + number,
        uuid=f"00000000-0000-4000-8000-{number:012}",
        username=f"user{number}",
        display_name=f"User {number}",
        email=None,
        password_hash="hash",
    )
    return replace(plain, **changes)


async def add(store: Store, *accounts: User) -> list[User]:
    """The accounts as they are stored."""

    def work(tx: Transaction) -> list[User]:
        return [tx.users.add(account) for account in accounts]

    return await store.write(work)


async def add_users(store: Store, count: int) -> list[User]:
    return await add(store, *(new_user(number) for number in range(1, count + 1)))


async def save(store: Store, user: User, **changes: Any) -> User:
    """The account, changed in the store."""
    changed = replace(user, **changes)
    await store.write(lambda tx: tx.users.save(changed))
    return changed


def session(session_id: str, user: User, *, minute: int = 0, days: int = 7) -> Session:
    opened = NOW + timedelta(minutes=minute)
    return Session(
        id=session_id,
        user_id=user.id,
        created_at=opened,
        expires_at=opened + timedelta(days=days),
        last_seen_at=opened,
        address="192.0.2.1",
        agent=None,
    )


def access_key(key_id: str, user: User, *, minute: int = 0) -> AccessKey:
    return AccessKey(
        id=key_id,
        user_id=user.id,
        name="key",
        secret_hash=b"\x00\xff" * 16,
        created_at=NOW + timedelta(minutes=minute),
        expires_at=None,
        last_used_at=None,
    )
