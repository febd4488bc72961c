"""The panels Pterodactyl (1.x) and Pelican, through their application API.

Implemented after the sources of both: pterodactyl/panel and pelican-dev/panel,
`routes/api-application.php`, `app/Http/Controllers/Api/Application/` and
`app/Transformers/Api/Application/`. A response is an envelope of `object` and `attributes`; with
`?include=servers` the user's attributes have all their servers in `relationships`, unpaged.
Suspending a suspended server does nothing (`app/Services/Servers/SuspensionService.php`), and is a
409 while the server moves to another node.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.guilds_and_servers import SERVERS_MAX, PanelServer
from app.upstream.client import BadResponseError, ReplyLimits, Upstream, UpstreamResponse, bearer
from app.upstream.panel import LIMITS, SWITCH_LIMITS, ListedServer, send_switch
from app.upstream.parsing import parse_json, parse_list, require_flag, require_object, require_uuid

_API = "/api/application"


def application_key(token: str) -> Mapping[str, str]:
    """Return the headers for an application API key.

    The key needs to read users, and to read and write servers; nothing else.
    """
    return bearer(token, "application/vnd.pterodactyl.v1+json")


class PterodactylPanel:
    """`PanelDialect` of Pterodactyl and Pelican.

    An account is the panel user whose external id is the account's uuid. Only the panel's
    admins can set that; the name and email that users choose themselves prove nothing.
    """

    def __init__(
        self,
        upstream: Upstream,
        limits: ReplyLimits = LIMITS,
        switch_limits: ReplyLimits = SWITCH_LIMITS,
    ) -> None:
        self.upstream = upstream
        self._limits, self._switch_limits = limits, switch_limits

    async def servers(self, owner: str, *, subject: str | None) -> Sequence[ListedServer]:
        """See `PanelDialect`."""
        path = f"{_API}/users/external/{owner}?include=servers"
        return await self.upstream.request(
            path,
            self._limits,
            lambda reply: _servers(reply, owner),
            statuses={200, 404},
            subject=subject,
        )

    async def switch(self, handle: str, *, on: bool) -> None:
        """See `PanelDialect`: a stopped server is suspended."""
        path = f"{_API}/servers/{handle}/{'unsuspend' if on else 'suspend'}"
        await send_switch(self.upstream, path, self._switch_limits)


def _servers(reply: UpstreamResponse, owner: str) -> Sequence[ListedServer]:
    value = require_object(parse_json(reply.body))
    if reply.status == 404:
        _require_panel_404(value)
        return ()
    user = _attributes(value, "user")
    if str(user.get("external_id")).lower() != owner:
        raise BadResponseError("the response is about another user")
    servers = require_object(require_object(user.get("relationships")).get("servers"))
    if servers.get("object") != "list":
        # It is 'null_resource' for a key that may not read servers.
        raise BadResponseError("the response has no servers: may the key read them?")
    return parse_list(servers.get("data"), SERVERS_MAX, _listed)


def _require_panel_404(value: dict[str, Any]) -> None:
    """Raise BadResponseError unless a 404 is the panel's own, and not that of a proxy."""
    errors = value.get("errors")
    first = errors[0] if type(errors) is list and errors else None
    if type(first) is not dict or first.get("code") != "NotFoundHttpException":
        raise BadResponseError("the response has status 404, but not from the panel")


def _listed(value: dict[str, Any]) -> ListedServer:
    server = _attributes(value, "server")
    handle = server.get("id")
    if type(handle) is not int or handle < 1:
        raise BadResponseError("the response has a server without a number")
    active = not require_flag(server.get("suspended"), "suspended")
    return ListedServer(PanelServer(require_uuid(server.get("uuid"), "uuid"), active), str(handle))


def _attributes(value: dict[str, Any], kind: str) -> dict[str, Any]:
    if value.get("object") != kind:
        raise BadResponseError(f"the response has something else where a {kind} belongs")
    return require_object(value.get("attributes"))
