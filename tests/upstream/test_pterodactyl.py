"""Pterodactyl's and Pelican's application API, with payloads as their transformers make them.

`app/Transformers/Api/Application/{User,Server}Transformer.php` of pterodactyl/panel and
pelican-dev/panel; refusals as `tests/Traits/Http/IntegrationJsonRequestAssertions.php` has them.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import respx

from app.domain.errors import UpstreamFailed
from tests.upstream import services as s

pytestmark = pytest.mark.anyio

API = f"{s.PANEL_URL}/api/application"
FIRST, SECOND = "1a7ce997-259b-452e-8b4e-cecc464142ca", "8d7b3d2e-6f0c-4c3c-9a53-0c1f6d0d9a11"
NOT_FOUND = {
    "errors": [
        {
            "code": "NotFoundHttpException",
            "status": "404",
            "detail": "The requested resource could not be found on the server.",
        }
    ]
}


def server(number: int, uuid: str, **members: Any) -> dict[str, Any]:
    attributes = {
        "id": number,
        "external_id": None,
        "uuid": uuid,
        "identifier": uuid[:8],
        "name": "Gaming",
        "description": "Matt from Wii Sports",
        "status": None,
        "suspended": False,
        "limits": {"memory": 512, "swap": 0, "disk": 200, "io": 500, "cpu": 0, "threads": None},
        "feature_limits": {"databases": 5, "allocations": 5, "backups": 2},
        "user": 4,
        "node": 1,
        "allocation": 1,
        "egg": 5,
        "container": {"startup_command": "java", "installed": 1, "environment": {}},
        **members,
    }
    return {"object": "server", "attributes": attributes}


def user(*servers: dict[str, Any], **members: Any) -> dict[str, Any]:
    attributes = {
        "id": 4,
        "external_id": s.UUID,
        "uuid": "f253663c-5a45-43a8-b280-3ea3c752b931",
        "username": "wardledeboss",
        "email": "someone@example.com",
        "language": "en",
        "root_admin": False,
        "2fa": False,
        "relationships": {"servers": {"object": "list", "data": list(servers)}},
        **members,
    }
    return {"object": "user", "attributes": attributes}


BOTH = user(server(2, FIRST), server(11, SECOND, status="suspended", suspended=True))


@pytest.fixture
async def upstreams() -> AsyncIterator[s.Upstreams]:
    async with s.upstreams() as opened:
        yield opened


@pytest.fixture
def found() -> Iterator[respx.Route]:
    """The panel's route for a user."""
    with respx.mock:
        yield respx.get(s.EXTERNAL_URL, params={"include": "servers"}).respond(json=BOTH)


async def test_the_user_is_found_by_the_external_id_that_an_admin_set(
    upstreams: s.Upstreams, found: respx.Route
) -> None:
    told = await upstreams.pterodactyl.list_servers(s.UUID)
    assert [(one.uuid, one.active) for one in told.value] == [(FIRST, True), (SECOND, False)]
    headers = found.calls.last.request.headers
    assert headers["Authorization"] == f"Bearer {s.TOKEN}"
    assert headers["Accept"] == "application/vnd.pterodactyl.v1+json"


async def test_a_user_unknown_to_the_panel_has_no_servers(
    upstreams: s.Upstreams, found: respx.Route
) -> None:
    found.respond(404, json=NOT_FOUND)
    assert (await upstreams.pterodactyl.list_servers(s.UUID)).value == []


ANSWERS = {
    "another user": user(server(2, FIRST), external_id=SECOND),
    "without an external id": user(server(2, FIRST), external_id=None),
    "a key that may not read servers": user(
        relationships={"servers": {"object": "null_resource", "attributes": None}}
    ),
    "without relationships": user(relationships={}),
    "another object": {**BOTH, "object": "server"},
    "a list of other things": user({"object": "allocation", "attributes": {"id": 1}}),
    "a short uuid": user(server(2, FIRST[:8])),
    "no flag": user(server(2, FIRST, suspended="no")),
    "an id that leads elsewhere": user(server("2/../../users/1", FIRST)),  # type: ignore[arg-type]
    "more than anybody has": user(*[server(2, FIRST)] * 501),
    "a list": [BOTH],
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_anything_else_is_a_failure(
    upstreams: s.Upstreams, found: respx.Route, answer: Any
) -> None:
    found.respond(json=answer)
    with pytest.raises(UpstreamFailed):
        await upstreams.pterodactyl.list_servers(s.UUID)


async def test_a_404_that_is_not_the_panels_takes_nobodys_servers(
    upstreams: s.Upstreams, found: respx.Route
) -> None:
    answers: list[Any] = [
        {"errors": []},
        {"errors": [{"code": "Other"}]},
        {"code": "user-not-found"},
    ]
    for answer in answers:
        found.respond(404, json=answer)
        with pytest.raises(UpstreamFailed):
            await upstreams.pterodactyl.list_servers(s.UUID)


# ------------------------------------------------------------------ stopping and starting


@pytest.fixture
def suspend(found: respx.Route) -> respx.Route:
    return respx.post(url__regex=rf"{API}/servers/\d+/suspend").respond(204)


@pytest.fixture
def unsuspend(found: respx.Route) -> respx.Route:
    return respx.post(url__regex=rf"{API}/servers/\d+/unsuspend").respond(204)


def asked(route: respx.Route) -> list[str]:
    return [call.request.url.path for call in route.calls]


async def test_stopping_suspends_what_runs_of_what_is_named(
    upstreams: s.Upstreams, suspend: respx.Route
) -> None:
    await upstreams.pterodactyl.stop_servers(s.UUID, [FIRST, SECOND, s.UUID])
    assert asked(suspend) == ["/api/application/servers/2/suspend"]


async def test_starting_unsuspends_what_is_suspended_of_what_is_named(
    upstreams: s.Upstreams, unsuspend: respx.Route
) -> None:
    await upstreams.pterodactyl.start_servers(s.UUID, [FIRST])
    assert asked(unsuspend) == []
    await upstreams.pterodactyl.start_servers(s.UUID, [FIRST, SECOND])
    assert asked(unsuspend) == ["/api/application/servers/11/unsuspend"]


async def test_a_server_deleted_meanwhile_is_no_failure_and_a_moved_one_is(
    upstreams: s.Upstreams, suspend: respx.Route
) -> None:
    suspend.respond(404, json=NOT_FOUND)
    await upstreams.pterodactyl.stop_servers(s.UUID, [FIRST])
    suspend.respond(409, json={"errors": [{"code": "ConflictHttpException", "status": "409"}]})
    with pytest.raises(UpstreamFailed):
        await upstreams.pterodactyl.stop_servers(s.UUID, [FIRST])


async def test_one_that_cannot_be_stopped_keeps_no_other_running(
    upstreams: s.Upstreams, found: respx.Route
) -> None:
    found.respond(json=user(server(2, FIRST), server(11, SECOND)))
    respx.post(f"{API}/servers/2/suspend").respond(500, json={"errors": []})
    stopped = respx.post(f"{API}/servers/11/suspend").respond(204)
    with pytest.raises(UpstreamFailed):
        await upstreams.pterodactyl.stop_servers(s.UUID, [FIRST, SECOND])
    assert stopped.called


async def test_servers_are_stopped_in_the_order_given_and_each_once(
    upstreams: s.Upstreams, found: respx.Route, suspend: respx.Route
) -> None:
    found.respond(json=user(server(2, FIRST), server(11, SECOND), server(2, FIRST)))
    await upstreams.pterodactyl.stop_servers(s.UUID, [SECOND, FIRST])
    assert asked(suspend) == [f"/api/application/servers/{number}/suspend" for number in (11, 2)]


async def test_a_stopped_server_shows_at_once(
    upstreams: s.Upstreams, found: respx.Route, suspend: respx.Route
) -> None:
    await upstreams.pterodactyl.list_servers(s.UUID)
    await upstreams.pterodactyl.stop_servers(s.UUID, [FIRST])
    found.respond(json=user())
    assert (await upstreams.pterodactyl.list_servers(s.UUID)).value == []


async def test_the_generic_panel_stops_and_starts_by_uuid(upstreams: s.Upstreams) -> None:
    with respx.mock:
        respx.get(s.SERVERS_URL).respond(json=[s.SERVER, s.OTHER])
        stop = respx.post(f"{s.PANEL_URL}/servers/{s.SERVER['uuid']}/stop").respond(204)
        start = respx.post(f"{s.PANEL_URL}/servers/{s.OTHER['uuid']}/start").respond(204)
        both = [str(s.SERVER["uuid"]), str(s.OTHER["uuid"])]
        await upstreams.panel.stop_servers(s.UUID, both)
        await upstreams.panel.start_servers(s.UUID, both)
        assert (stop.call_count, start.call_count) == (1, 1)
