"""The same call through either API, and what came of it in a form that both can be held to."""

from dataclasses import dataclass
from typing import Any, Protocol

from app.rest.operation_route import OperationRoute
from app.rest.router import ROUTES
from tests.gateway import Gate


@dataclass(frozen=True, slots=True)
class Outcome:
    """The error's slug, or what was shown; None where an API shows nothing."""

    slug: str | None
    value: Any = None


class Api(Protocol):
    """One of the two APIs."""

    async def __call__(
        self, operation: str, credential: str | None = None, /, **members: Any
    ) -> Outcome:
        """Ask for an operation by its name and its input's members."""


class RpcApi:
    """JSON-RPC; the problem dialect tells the slug."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(
        self, operation: str, credential: str | None = None, /, **members: Any
    ) -> Outcome:
        response = await self._gate.post_call(
            operation, members, credential, query="?errors=problem"
        )
        reply = response.json()
        if response.status_code == 503:
            # The server stops, and no longer waits for the request.
            return Outcome(str(reply["code"]))
        assert response.status_code == 200, response.text
        if "error" in reply:
            return Outcome(_slug(reply["error"]))
        return Outcome(None, reply["result"])


def _slug(error: dict[str, Any]) -> str:
    # What one API finds wrong with the form of `params`, the other finds wrong with a body.
    return "invalid-input" if error["code"] == -32602 else str(error["data"]["code"])


class RestApi:
    """REST; the row of the operation tells how its members travel."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(
        self, operation: str, credential: str | None = None, /, **members: Any
    ) -> Outcome:
        route = _route(operation, members)
        sent = dict(members)
        path = route.path
        for name in route.path_names:
            # The one path for two operations calls its parameter `uuid`, whichever is meant.
            value = sent.pop(name) if name in sent else sent.pop("username")
            path = path.replace(f"{{{name}}}", str(value))
        headers = {"Prefer": "return=representation"}
        for name, header in route.member_headers.items():
            if name in sent:
                headers[header] = sent.pop(name)
        query = {route.query_names.get(name, name): value for name, value in sent.items()}
        request = {"json": sent} if route.has_body else {"params": query}
        response = await self._gate.rest(route.method, path, credential, headers=headers, **request)
        if response.status_code < 400:
            return Outcome(None, response.json() if response.content else None)
        # HEAD shows no body; a 404 of the existence check says 'false' at the other API.
        if route.method == "HEAD":
            is_refused = response.status_code == 429
            return Outcome("rate-limited") if is_refused else Outcome(None, False)
        slug = response.json()["code"]
        if operation.endswith("sessions.revoke") and slug == "not-found":
            # The contract: another user's id is a 404 here, and 0 sessions ended there.
            return Outcome(None, 0)
        return Outcome(slug)


def _route(operation: str, members: dict[str, Any]) -> OperationRoute:
    """The operation's route that takes just these members."""
    routes = [route for route in ROUTES if route.operation.name == operation]
    fitting = [route for route in routes if not route.left_out & members.keys()]
    return max(
        (route for route in fitting if set(route.path_names) <= {*members, "uuid"}),
        key=lambda route: (len(route.path_names), not route.has_body or "presence" in members),
    )
