"""The log line of a request: account and outcome, through both APIs, cached or not."""

import json
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from app.logs.setup import Form, Level
from app.main import create_app
from app.rpc.call_log import LISTED_MAX
from app.settings import Settings
from tests.captured_logs import captured
from tests.fakes.services import PASSWORD
from tests.gateway import CLIENT, Gateway, client_of
from tests.parity.apis import RestApi, RpcApi

pytestmark = pytest.mark.anyio

WRONG = "wrong horse battery"
Lines = list[MutableMapping[str, Any]]


def requests(log: Lines) -> Lines:
    return [line for line in log if line["event"] == "request"]


@pytest.mark.parametrize("api_type", [RestApi, RpcApi])
async def test_a_line_has_the_account_and_the_outcome(
    gateway: Gateway, api_type: type[RestApi | RpcApi]
) -> None:
    api = api_type(gateway)
    with capture_logs() as log:
        await api("users.create", username="alice", password=PASSWORD)
        await api("users.create", username="alice", password=PASSWORD)
        await api("users.auth", username="alice", password=WRONG)
        await api("users.auth", username="nobody", password=PASSWORD)
        token = (await api("users.auth", username="alice", password=PASSWORD)).value["token"]
        await api("users.check", username="alice")
        # The last one comes from the cache.
        for _ in range(3):
            await api("users.self", token)
        await api("users.self", token + "x")
        await api("users.password", token, current=WRONG, password=PASSWORD)
        await api("admin.users.get", token, uuid="ffffffff-ffff-4fff-8fff-ffffffffffff")
    alice = await gateway.uuid_of("alice")
    assert [(line.get("account"), line["outcome"]) for line in requests(log)] == [
        (alice, "ok"),
        (None, "username-taken"),
        (alice, "invalid-credentials"),
        (None, "invalid-credentials"),
        (alice, "ok"),
        (None, "ok"),
        *[(alice, "ok")] * 3,
        (None, "unauthenticated"),
        (alice, "wrong-password"),
        (alice, "forbidden"),
    ]


async def test_a_call_has_its_method_and_a_batch_the_number_of_each_kind(gateway: Gateway) -> None:
    await gateway.sign_up("alice")
    alice, token = await gateway.uuid_of("alice"), await gateway.log_in("alice")
    admin = await gateway.uuid_of("admin")

    def call(method: str, auth: str | None = None, **params: object) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "auth": auth}

    async def members_of(body: object) -> Mapping[str, Any]:
        with capture_logs() as log:
            await gateway.client.post("/rpc", json=body)
        (line,) = requests(log)
        shown = ("outcome", "account", "rpc_method", "rpc_calls", "rpc_calls_left_out")
        return {name: line[name] for name in shown if name in line}

    check = call("users.check", username="alice")
    ok = {"outcome": "ok"}
    assert await members_of(check) == ok | {"rpc_method": "users.check"}
    assert await members_of(call("users.nothing")) == {"outcome": "method-not-found"}
    assert await members_of([]) == {"outcome": "invalid-request"}
    assert await members_of([call("users.self", token)] * 2) == ok | {
        "account": alice,
        "rpc_calls": [{"method": "users.self", "outcome": "ok", "count": 2}],
    }
    mixed = [check, call("users.self", gateway.admin_key), call("users.self", token), check, 1]
    assert await members_of([*mixed, call("users.self")]) == {
        "outcome": "mixed",
        "rpc_calls": [
            {"method": "none", "outcome": "invalid-request", "count": 1},
            {"method": "users.self", "outcome": "unauthenticated", "count": 1},
            {"method": "users.check", "outcome": "ok", "count": 2},
            {"method": "users.self", "outcome": "ok", "count": 1, "account": admin},
            {"method": "users.self", "outcome": "ok", "count": 1, "account": alice},
        ],
    }


async def test_the_line_of_a_batch_is_bounded(gateway: Gateway) -> None:
    methods = (await gateway.rpc("rpc.discover"))["result"]["methods"]
    calls = [
        {"jsonrpc": "2.0", "id": 1, "method": method["name"], "params": {}}
        for method in methods
        if not method["name"].startswith("rpc.")
    ]
    with captured("json") as log:
        await gateway.client.post("/rpc", json=calls)
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert len(line["rpc_calls"]) == LISTED_MAX
    assert line["rpc_calls_left_out"] == len(calls) - LISTED_MAX
    assert "cut" not in line


LEVELS: list[tuple[Literal["on", "off"], Level, list[str]]] = [
    ("on", "debug", ["/health/live", "/users/@self"]),
    ("on", "info", ["/users/@self"]),
    ("on", "warning", []),
    ("off", "debug", []),
]


@pytest.mark.parametrize("form", ["json", "console"])
async def test_requests_are_logged_by_level_and_only_if_switched_on(
    gateway: Gateway, form: Form
) -> None:
    for access_log, level, expected in LEVELS:
        app = create_app(Settings(access_log=access_log), gateway.services)
        with captured(form, level) as log:
            async with client_of(app, CLIENT[0]) as client:
                for path in ("/health/live", "/users/@self"):
                    await client.get(path)
        lines = log.getvalue().splitlines()
        assert len(lines) == len(expected), (access_log, level)
        assert all(path in line for path, line in zip(expected, lines, strict=True))
