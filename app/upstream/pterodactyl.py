"""The panels Pterodactyl (1.x) and Pelican, by their application API.

The sources of both are what is gone by: pterodactyl/panel and pelican-dev/panel,
`routes/api-application.php`, `app/Http/Controllers/Api/Application/` and
`app/Transformers/Api/Application/`. An answer is an envelope of `object` and `attributes`; with
`?include=servers` the user's attributes have all his servers in `relationships`, in one piece.
Suspending what is suspended does nothing (`app/Services/Servers/SuspensionService.php`), and is a
409 while the server moves to another node.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.registry import SERVERS_MAX, PanelServer
from app.upstream.client import BadAnswerError, Bounds, Reply, Upstream, bearer
from app.upstream.panel import BOUNDS, SWITCH_BOUNDS, Listed, switch
from app.upstream.reading import flag_of, json_of, list_of, object_of, uuid_of

_API = "/api/application"


def application_key(token: str) -> Mapping[str, str]:
    """The headers of whoever has an application API key.

    It needs to read users, and to read and write servers; nothing else.
    """
    return bearer(token, "application/vnd.pterodactyl.v1+json")


class PterodactylPanel:
    """`Dialect` of such a panel.

    An account is the panel user whose external id is the account's uuid. Only the panel's own
    admins set that; what users choose themselves, name and e-mail, proves nothing.
    """

    def __init__(
        self, upstream: Upstream, bounds: Bounds = BOUNDS, switch_bounds: Bounds = SWITCH_BOUNDS
    ) -> None:
        self.upstream = upstream
        self._bounds, self._switch_bounds = bounds, switch_bounds

    async def servers(self, owner: str) -> Sequence[Listed]:
        """See `Dialect`."""
        path = f"{_API}/users/external/{owner}?include=servers"
        return await self.upstream.ask(
            path, self._bounds, lambda reply: _servers(reply, owner), statuses={200, 404}
        )

    async def switch(self, handle: str, *, on: bool) -> None:
        """See `Dialect`: what is stopped is suspended."""
        path = f"{_API}/servers/{handle}/{'unsuspend' if on else 'suspend'}"
        await switch(self.upstream, path, self._switch_bounds)


def _servers(reply: Reply, owner: str) -> Sequence[Listed]:
    value = object_of(json_of(reply.body))
    if reply.status == 404:
        _require_its_404(value)
        return ()
    user = _attributes(value, "user")
    if str(user.get("external_id")).lower() != owner:
        raise BadAnswerError("its answer is of another user than was asked for")
    servers = object_of(object_of(user.get("relationships")).get("servers"))
    if servers.get("object") != "list":
        # It says 'null_resource' to a key that may not read servers.
        raise BadAnswerError("its answer has no servers: may the key read them?")
    return list_of(servers.get("data"), SERVERS_MAX, _listed)


def _require_its_404(value: dict[str, Any]) -> None:
    """Raise BadAnswerError unless a 404 is the panel's own, and not that of what is before it."""
    errors = value.get("errors")
    first = errors[0] if type(errors) is list and errors else None
    if type(first) is not dict or first.get("code") != "NotFoundHttpException":
        raise BadAnswerError("it answered with status 404, and not as the panel does")


def _listed(value: dict[str, Any]) -> Listed:
    server = _attributes(value, "server")
    handle = server.get("id")
    if type(handle) is not int or handle < 1:
        raise BadAnswerError("its answer has a server without a number")
    active = not flag_of(server.get("suspended"), "suspended")
    return Listed(PanelServer(uuid_of(server.get("uuid"), "uuid"), active), str(handle))


def _attributes(value: dict[str, Any], kind: str) -> dict[str, Any]:
    if value.get("object") != kind:
        raise BadAnswerError(f"its answer has something else where a {kind} belongs")
    return object_of(value.get("attributes"))
