"""Forward authentication: a reverse proxy asks if a request to another service is allowed."""

from dataclasses import dataclass
from typing import Annotated

from app.domain.policy import Access
from app.operations.formats import Bit
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import Param
from app.operations.views.accounts import Identity, identity


@dataclass(frozen=True, slots=True)
class Verify:
    """The permission that a request needs, set by the proxy and never by its client."""

    admin: Annotated[bool, Param("1: only admins are allowed.", 1, shown=Bit)] = False
    changes: Annotated[
        bool,
        Param(
            "0: the original request changes nothing, so keys with the scope `read` are "
            "sufficient.",
            0,
            shown=Bit,
        ),
    ] = True


async def verify(context: OperationContext, command: Verify) -> Identity:
    """Identifies the user of a request for a reverse proxy, if access is allowed.

    The holder of any valid credential may. For nginx's `auth_request` and similar: the proxy sends
    the headers of the original request, lets that pass on 204, and forwards the `X-Gatehouse-…`
    headers of the response in place of any that the client sent. The purpose of the original
    request is not known, so a key with the scope `read` is refused unless the proxy says that the
    request changes nothing.
    """
    access = Access.ADMIN if command.admin else Access.HOLDER
    changes = command.changes
    return identity(await context.actor(lambda actor: access.require(actor, changes=changes)))
