"""What a proxy asks in front of another service: may whoever sent this request come in?"""

from dataclasses import dataclass
from typing import Annotated

from app.domain.policy import Access, Principal
from app.domain.ports import Transaction
from app.usecases.call import Call
from app.usecases.operation import Param
from app.usecases.views import Identity, identity


@dataclass(frozen=True, slots=True)
class Verify:
    """What somebody needs to come in; the proxy says it, never the one who wants to."""

    admin: Annotated[bool, Param("1: only admins come in.", 1)] = False
    changes: Annotated[
        bool,
        Param(
            "0: the request behind this changes nothing, so that keys with the scope `read` will "
            "do.",
            0,
        ),
    ] = True


async def verify(call: Call, command: Verify) -> Identity:
    """Tells a proxy who sends a request, where he may come in.

    The holder of any valid credential may. For nginx's `auth_request` and the like: the proxy asks
    with the headers of the request that it holds, lets that through at 204, and hands the answer's
    `X-Gatehouse-…` headers on in the place of what the client sent under these names. What the
    client wants to do there is not known here, so a key with the scope `read` is refused unless
    the proxy says that nothing will change.
    """
    access = Access.ADMIN if command.admin else Access.HOLDER

    def admitted(_tx: Transaction, actor: Principal) -> Identity:
        access.require(actor, changes=command.changes)
        return identity(actor)

    return await call.read(admitted)
