"""Both APIs have the same outcomes, the same errors and the same state afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from app.domain.outbox import Delivery
from app.operations.catalog import OPERATIONS, REST_OPERATIONS
from app.operations.panel_sync import SERVERS
from app.rest.router import ROUTES
from app.rpc.methods import METHODS
from app.settings import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.parity.apis import Api, Outcome, RestApi, RpcApi
from tests.parity.scenarios import SCENARIOS, Scenario
from tests.rows import rows

pytestmark = pytest.mark.anyio

# What takes another configuration: below, and in test_elsewhere.py.
ELSEWHERE = [
    ("users.create", "registration-closed"),
    *(
        (operation, slug)
        for operation in ("users.guilds", "admin.users.get", "admin.users.update")
        for slug in ("upstream-failed", "upstream-timeout")
    ),
]


class Noting:
    """An API that writes down which operations were asked for, and what came of each."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.outcomes: list[tuple[str, str | None]] = []

    async def __call__(
        self, operation: str, credential: str | None = None, /, **members: Any
    ) -> Outcome:
        outcome = await self._api(operation, credential, **members)
        self.outcomes.append((operation, outcome.slug))
        return outcome


async def deliver_nothing(_: Delivery) -> None:
    """Here messages are only kept."""


@pytest.fixture
async def gateways(migrated: Path, tmp_path: Path) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two servers that are equal to the last identifier."""
    for name in ("rest", "rpc"):
        (tmp_path / name).mkdir()
        copyfile(migrated, tmp_path / name / "db")
    async with (
        open_gateway(tmp_path / "rest" / "db", handlers={SERVERS: deliver_nothing}) as a,
        open_gateway(tmp_path / "rpc" / "db", handlers={SERVERS: deliver_nothing}) as b,
    ):
        yield a, b


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_both_apis_lead_to_the_same_outcomes_and_the_same_state(
    scenario: Scenario, gateways: tuple[Gateway, Gateway], tmp_path: Path
) -> None:
    by_rest, by_rpc = gateways
    rest = [outcome async for outcome in scenario(RestApi(by_rest), by_rest.admin_key)]
    rpc = [outcome async for outcome in scenario(RpcApi(by_rpc), by_rpc.admin_key)]
    assert [outcome.slug for outcome in rest] == [outcome.slug for outcome in rpc]
    for ours, theirs in zip(rest, rpc, strict=True):
        assert_same_view(ours.value, theirs.value)
    assert stored(tmp_path / "rest" / "db") == stored(tmp_path / "rpc" / "db")


def assert_same_view(rest: Any, rpc: Any) -> None:
    """REST and JSON-RPC show the same; a 204 shows nothing."""
    if rest is None:
        return
    if isinstance(rpc, dict) and rpc.keys() == {"users", "next"}:
        rpc = rpc["users"]
    if isinstance(rpc, dict) and rpc.keys() == {"members", "next"}:
        rpc = rpc["members"]
    if isinstance(rpc, dict) and rpc.keys() == {"messages", "next"}:
        rpc = rpc["messages"]
    if isinstance(rpc, dict) and rpc.keys() == {"entries", "next"}:
        rpc = [_but_for_the_door(entry) for entry in rpc["entries"]]
        rest = [_but_for_the_door(entry) for entry in rest]
    if isinstance(rest, dict) and "token" in rest:
        rest, rpc = rest["user_id"], rpc["user_id"]
    assert rest == rpc


def _but_for_the_door(entry: Any) -> dict[str, Any]:
    """The audit entry of a call, without what differs between the APIs."""
    return {name: value for name, value in entry.items() if name not in {"door", "request_id"}}


def stored(database: Path) -> dict[str, list[Any]]:
    """The rows of a database that have to be equal behind both APIs."""
    return {
        name: [_but_for_the_door(row) for row in found] for name, found in rows(database).items()
    }


@pytest.mark.parametrize("api", [RestApi, RpcApi])
async def test_the_scenarios_see_each_operation_succeed_and_each_of_its_errors(
    api: type[RestApi | RpcApi], migrated: Path, tmp_path: Path
) -> None:
    seen: set[tuple[str, str | None]] = set()
    for scenario in SCENARIOS:
        folder = tmp_path / scenario.__name__
        folder.mkdir()
        copyfile(migrated, folder / "db")
        async with open_gateway(folder / "db") as gateway:
            noting = Noting(api(gateway))
            async for _ in scenario(noting, gateway.admin_key):
                pass
            seen |= set(noting.outcomes)
    assert {operation for operation, slug in seen if slug is None} == set(OPERATIONS)
    errors = {(o.name, error.slug) for o in OPERATIONS.values() for error in o.errors}
    assert sorted(errors - seen) == sorted(ELSEWHERE)


@pytest.mark.parametrize("api", [RestApi, RpcApi])
async def test_closed_registration_is_closed_at_both_apis(
    api: type[RestApi | RpcApi], database: Path
) -> None:
    async with open_gateway(database, Settings(registration="closed")) as gateway:
        refused = await api(gateway)("users.create", username="demo", password=PASSWORD)
        assert refused.slug == "registration-closed"


def test_every_operation_has_a_method_and_a_route() -> None:
    routed = {route.operation.name for route in ROUTES}
    assert set(METHODS) == routed - {"auth.verify"} == set(OPERATIONS)


def test_forward_auth_is_in_the_rest_api_only() -> None:
    assert REST_OPERATIONS.keys() - OPERATIONS.keys() == {"auth.verify"}
