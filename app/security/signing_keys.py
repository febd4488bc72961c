"""Signing keys of this data directory: selection, publication, lease and rotation."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from jose import jwk
from jose.backends.base import Key

from app.domain.errors import Overloaded
from app.domain.ports.services import Clock
from app.domain.ports.store import Store, Transaction
from app.domain.signing_keys import KEY_LEASE, PublicKey
from app.domain.timestamps import EPOCH
from app.runtime.background_tasks import Supervisor
from app.security.key_files import ALGORITHM, KeyFiles, SigningKey

# Seconds between two checks of the keys.
CHECK_INTERVAL = 10.0

OnPublish = Callable[[Transaction, str | None, str], None]


def verifying_key(public: PublicKey) -> Key:
    """Build the verifying key of a public key, which costs more than using it."""
    return jwk.construct(json.loads(public.jwk), ALGORITHM)


class SigningKeyFile:
    """The private keys in `DATA_DIR`: the current one, and after a rotation the next one.

    A private key is on disk before its public key is published, and signs only once that was
    published for long enough (`domain/signing_keys.py`). Processes of one data directory share the
    files; each signs with the key that its last call of `ensure` selected.
    """

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._files = KeyFiles(data_dir)
        self._clock = clock
        self._signing: SigningKey | None = None
        self._signs_from = self._lease_ends = EPOCH

    def current(self) -> SigningKey:
        """Return the key to sign with. Raises Overloaded while none may be used."""
        if self._signing is None:
            wait = self._signs_from - self._clock.now()
            raise Overloaded(
                "The signing key of this server was published recently; it cannot sign yet.",
                retry_after=max(1, math.ceil(wait.total_seconds())),
            )
        return self._signing

    @property
    def is_usable(self) -> bool:
        """True if a key may sign."""
        return self._signing is not None

    @asynccontextmanager
    async def maintain(self, store: Store, background: Supervisor) -> AsyncIterator[None]:
        """Call `ensure` now, and regularly within the block.

        Raises the errors of `ensure`.
        """
        await self.ensure(store)
        step = partial(self._check, store)
        task = background.start("signing-keys", step, CHECK_INTERVAL, at_once=False)
        try:
            yield
        finally:
            await task.stop()

    async def _check(self, store: Store) -> str | None:
        try:
            await self.ensure(store)
        except Overloaded as error:
            # A store that is not writable has no effect while most of the lease is left.
            is_due = self._lease_ends - self._clock.now() < KEY_LEASE / 2
            return error.detail if is_due else None
        return None

    async def ensure(self, store: Store) -> str:
        """Bring the keys up to date, for `serve` only; return the current `kid`.

        Make and publish a key if there is none, renew its lease, switch to the next key once
        that was published for long enough, retire its predecessor, and replace a key that was
        retired. Each step also completes an interrupted one. Raises SigningKeyError, Overloaded.
        """
        current = await self._switch(store)
        public = await self._keep_published(store, current)
        if public.retired_at is not None:
            await self._publish_next(store, current, None)
        self._signs_from, self._lease_ends = public.signs_from, public.ends_at
        now = self._clock.now()
        if public.is_trusted(now) and public.signs_from <= now:
            self._signing = current
        elif self._signing is not None and not await self._is_trusted(store, self._signing.kid):
            self._signing = None
        return current.kid

    async def rotate(self, store: Store, on_publish: OnPublish | None = None) -> PublicKey:
        """Publish the next key, or complete a pending rotation; return the public key.

        The servers of this data directory sign with it from its `signs_from` on; tokens of the
        old key stay valid. `also` is called with the old and the new kid in the same transaction.
        Raises SigningKeyError, Overloaded.
        """
        current = await self._switch(store)
        if await _find(store, current.kid) is None:
            return await self._publish(store, current, None, on_publish)
        return await self._publish_next(store, current, on_publish)

    def promote_restored(self) -> str | None:
        """Make the next key, if any, the current one: its predecessor is not trusted.

        Return the `kid` of the only key that a restored store has to trust, if there is one.
        Raises SigningKeyError, OSError.
        """
        next_key = self._files.next()
        if next_key is not None:
            self._files.promote(next_key.kid)
        current = self._files.current()
        return None if current is None else current.kid

    async def _switch(self, store: Store) -> SigningKey:
        """Return the current key, after promoting the next one as soon as it may sign."""
        next_key = self._files.next()
        if next_key is not None:
            public = await _find(store, next_key.kid)
            if public is not None and public.can_sign(self._clock.now()):
                await asyncio.to_thread(self._files.promote, next_key.kid)
        current = self._files.current()
        return current if current is not None else await asyncio.to_thread(self._files.make_current)

    async def _keep_published(self, store: Store, current: SigningKey) -> PublicKey:
        """Publish the public key, renew its lease and retire its predecessor; return it."""
        now = self._clock.now()

        def find(tx: Transaction) -> tuple[PublicKey | None, PublicKey | None]:
            found = tx.signing_keys.find(current.kid)
            kid = found.replaces if found is not None else None
            return found, None if kid is None else tx.signing_keys.find(kid)

        def publish_and_retire(tx: Transaction) -> PublicKey:
            public, replaced = find(tx)
            if public is None:
                public = PublicKey.publish(
                    current.kid, current.jwk, tx.signing_keys.list_all(), now
                )
                tx.signing_keys.publish(public)
            elif public.retired_at is None:
                public = public.renewed(tx.signing_keys.list_all(), now)
                tx.signing_keys.renew(public)
            if replaced is not None and replaced.retired_at is None:
                tx.signing_keys.retire(replaced.kid, now)
            return public

        public, replaced = await store.scan(find)
        is_complete = replaced is None or replaced.retired_at is not None
        if public is None or not is_complete or public.needs_renewal(now):
            public = await store.write(publish_and_retire)
        return public

    async def _publish_next(
        self, store: Store, current: SigningKey, on_publish: OnPublish | None
    ) -> PublicKey:
        next_key = await asyncio.to_thread(self._files.make_next)
        return await self._publish(store, next_key, current.kid, on_publish)

    async def _publish(
        self, store: Store, key: SigningKey, replaces: str | None, on_publish: OnPublish | None
    ) -> PublicKey:
        """Publish a key whose private key is on disk, unless it is published."""
        now = self._clock.now()

        def publish(tx: Transaction) -> PublicKey:
            found = tx.signing_keys.find(key.kid)
            if found is not None:
                return found
            public = PublicKey.publish(key.kid, key.jwk, tx.signing_keys.list_all(), now, replaces)
            tx.signing_keys.publish(public)
            if on_publish is not None:
                on_publish(tx, replaces, key.kid)
            return public

        found = await _find(store, key.kid)
        return found if found is not None else await store.write(publish)

    async def _is_trusted(self, store: Store, kid: str) -> bool:
        public = await _find(store, kid)
        return public is not None and public.is_trusted(self._clock.now())


async def _find(store: Store, kid: str) -> PublicKey | None:
    return await store.read(lambda tx: tx.signing_keys.find(kid))
