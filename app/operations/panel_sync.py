"""Synchronization of a panel's servers with their owner: they are stopped while it is disabled."""

import logging
from collections.abc import Sequence

from app.domain.errors import UpstreamFailed
from app.domain.guilds_and_servers import SERVERS_MAX
from app.domain.outbox import Delivery, Json, Message
from app.domain.ports.services import Handler
from app.domain.ports.store import Store, Transaction
from app.domain.ports.upstreams import Panel
from app.domain.users import AccountRef, User

SERVERS = "servers"
_LOG = logging.getLogger("gatehouse.outbox")


def panel_sync_message(user: User) -> Message:
    """Create the message for the panel about an account that was disabled or enabled."""
    return Message(SERVERS, user.id, {"disabled": user.disabled})


def make_panel_handler(store: Store, panel: Panel) -> Handler:
    """Return the handler that stops and starts the servers of accounts.

    A message only triggers the synchronization; what to do depends on the current account. So a
    late, repeated or requeued message never undoes a newer change.
    """

    async def handle(delivery: Delivery) -> Json:
        ref = AccountRef(id=delivery.message.subject)
        user = await store.read(lambda tx: tx.users.find(ref))
        assert user is not None, "no account is ever deleted"
        sync = _stop if user.disabled else _start
        return await sync(store, panel, user, delivery.attempts)

    return handle


async def _stop(store: Store, panel: Panel, user: User, attempt: int) -> Json:
    """Stop the active servers, and store which these are first.

    They are added to those stored before, since an interrupted attempt may have stopped some
    already. Of more than SERVERS_MAX, those that the panel does not list are dropped first, since
    it may list invented ones at every attempt.
    """
    shown = await panel.fetch_servers(user.uuid)
    listed = {server.uuid for server in shown}
    active = {server.uuid for server in shown if server.active}

    def keep(tx: Transaction) -> Sequence[str]:
        known = active.union(tx.stopped_servers.list_for_user(user.id))
        kept = sorted(known, key=lambda uuid: (uuid not in listed, uuid))[:SERVERS_MAX]
        tx.stopped_servers.replace_for_user(user.id, kept)
        return sorted(kept)

    stopped = await store.write(keep)
    await panel.stop_servers(user.uuid, _rotated(stopped, attempt))
    return {"stopped": list(stopped)}


async def _start(store: Store, panel: Panel, user: User, attempt: int) -> Json:
    """Start the servers that were stopped with the account, and no others.

    Deleted servers are forgotten, unless all are missing: then the panel may just not know their
    owner.
    """
    stopped = await store.read(lambda tx: tx.stopped_servers.list_for_user(user.id))
    if not stopped:
        return {"started": []}
    listed = {server.uuid for server in await panel.fetch_servers(user.uuid)}
    started = [uuid for uuid in stopped if uuid in listed]
    if not started:
        _LOG.warning(
            "the panel lists none of the servers that were stopped with account %s", user.uuid
        )
        raise UpstreamFailed("panel")
    await panel.start_servers(user.uuid, _rotated(started, attempt))
    await store.write(lambda tx: tx.stopped_servers.replace_for_user(user.id, ()))
    return {"started": list(started)}


def _rotated(servers: Sequence[str], attempt: int) -> Sequence[str]:
    """Start with another server at each attempt, so that unreachable machines do not always use
    up the time."""
    first = (attempt - 1) % max(len(servers), 1)
    return [*servers[first:], *servers[:first]]
