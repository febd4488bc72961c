"""A deprecated operation is marked in the responses of both APIs and in both documents."""

from datetime import date
from typing import Any

import httpx
import pytest

from app.operations.catalog import OPERATIONS
from app.operations.framework.context import Deprecation
from app.rest.openapi import openapi_document
from app.rpc import openrpc
from tests.gateway import Gateway

pytestmark = pytest.mark.anyio

SELF = Deprecation(date(2027, 3, 1), "users.profile", date(2028, 3, 1))
GUILDS = Deprecation(date(2027, 1, 1), "guilds.list")
SENTENCE = "Deprecated since 2027-03-01: use `users.profile`. It will be removed on 2028-03-01."


@pytest.fixture(autouse=True)
def _deprecated(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, deprecation in (("users.self", SELF), ("users.guilds", GUILDS)):
        monkeypatch.setitem(OPERATIONS[name].__dict__, "deprecation", deprecation)


def marks(response: httpx.Response) -> tuple[str | None, str | None]:
    return response.headers.get("deprecation"), response.headers.get("sunset")


async def test_responses_say_since_when_and_until_when(gateway: Gateway) -> None:
    await gateway.sign_up("alice")
    token = await gateway.log_in("alice")
    marked = ("@1803859200", "Wed, 01 Mar 2028 00:00:00 GMT")
    # The second one comes from the cache.
    for _ in range(2):
        assert marks(await gateway.rest("GET", "/users/@self", token)) == marked
    call = {"jsonrpc": "2.0", "id": 1, "method": "users.self", "auth": token}
    assert marks(await gateway.client.post("/rpc", json=call)) == marked
    assert marks(await gateway.rest("GET", "/users/@self/guilds", token)) == ("@1798761600", None)
    assert marks(await gateway.rest("GET", "/users/@self/presence", token)) == (None, None)


async def test_a_refusal_of_a_deprecated_operation_is_marked(gateway: Gateway) -> None:
    refused = await gateway.rest("GET", "/users/@self")
    assert (refused.status_code, marks(refused)[0]) == (401, "@1803859200")


async def test_a_batch_has_the_earliest_days(gateway: Gateway) -> None:
    calls: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": n, "method": method, "auth": gateway.admin_key}
        for n, method in enumerate(["users.self", "users.guilds", "users.presence"])
    ]
    response = await gateway.client.post("/rpc", json=calls)
    assert marks(response) == ("@1798761600", "Wed, 01 Mar 2028 00:00:00 GMT")


def test_both_documents_mark_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without their caches, which other tests use.
    monkeypatch.setattr(openrpc, "_document", openrpc._document.__wrapped__)
    rest, rpc = openapi_document.__wrapped__(None), openrpc.openrpc_document("http://localhost")
    route = rest["paths"]["/users/@self"]
    method = next(one for one in rpc["methods"] if one["name"] == "users.self")
    for described in (route["get"], method):
        assert described["deprecated"] is True
        assert described["description"].endswith(SENTENCE)
    assert "deprecated" not in route["patch"]
