"""A panel's servers follow their owner: while his account is disabled, they stand still."""

import logging
from collections.abc import Sequence

from app.domain.errors import UpstreamFailed
from app.domain.outbox import Delivery, Json, Message
from app.domain.ports import Handler, Panel, Store, Transaction
from app.domain.registry import SERVERS_MAX
from app.domain.users import AccountRef, User

SERVERS = "servers"
_LOG = logging.getLogger("gatehouse.outbox")


def servers_follow(user: User) -> Message:
    """What to tell the panel of an account that was disabled or enabled."""
    return Message(SERVERS, user.id, {"disabled": user.disabled})


def panel_handler(store: Store, panel: Panel) -> Handler:
    """What stops and starts the servers of accounts.

    A message says that there is something to look at; what is to be done follows from the account
    as it is now. So one that comes late, again, or was dead and is put back undoes nothing newer.
    """

    async def follow(delivery: Delivery) -> Json:
        ref = AccountRef(id=delivery.message.subject)
        user = await store.read(lambda tx: tx.users.find(ref))
        assert user is not None, "no account is ever deleted"
        follows = _stop if user.disabled else _start
        return await follows(store, panel, user, delivery.attempts)

    return follow


async def _stop(store: Store, panel: Panel, user: User, attempt: int) -> Json:
    """Stop those that are active. Which these are is kept first, beside what was kept: an attempt
    that was broken off may have stopped some already. Of more than a panel can show at once, those
    that it does not show are forgotten first: it may show invented ones at every attempt."""
    shown = await panel.look_up_servers(user.uuid)
    there = {server.uuid for server in shown}
    active = {server.uuid for server in shown if server.active}

    def keep(tx: Transaction) -> Sequence[str]:
        known = active.union(tx.stopped_servers.of(user.id))
        kept = sorted(known, key=lambda uuid: (uuid not in there, uuid))[:SERVERS_MAX]
        tx.stopped_servers.put(user.id, kept)
        return sorted(kept)

    stopped = await store.write(keep)
    await panel.stop_servers(user.uuid, _in_turn(stopped, attempt))
    return {"stopped": list(stopped)}


async def _start(store: Store, panel: Panel, user: User, attempt: int) -> Json:
    """Start those that were stopped with the account, and no other. Those that are gone are
    forgotten, but for when none is left: then the panel may just not know their owner."""
    stopped = await store.read(lambda tx: tx.stopped_servers.of(user.id))
    if not stopped:
        return {"started": []}
    there = {server.uuid for server in await panel.look_up_servers(user.uuid)}
    started = [uuid for uuid in stopped if uuid in there]
    if not started:
        _LOG.warning("the panel shows none of the servers that were stopped with %s", user.uuid)
        raise UpstreamFailed("panel")
    await panel.start_servers(user.uuid, _in_turn(started, attempt))
    await store.write(lambda tx: tx.stopped_servers.put(user.id, ()))
    return {"started": list(started)}


def _in_turn(servers: Sequence[str], attempt: int) -> Sequence[str]:
    """Begin with another one at each attempt: two whose machines hang take all the time it has."""
    first = (attempt - 1) % max(len(servers), 1)
    return [*servers[first:], *servers[:first]]
