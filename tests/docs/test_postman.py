"""The Postman collection: it has every route and method, and each request is one that is read."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.operations.catalog import OPERATIONS
from app.rest.openapi import openapi_document
from app.rpc.envelope import DISCOVER
from tests.gateway import Gateway
from tools.postman import FILE, collection

pytestmark = pytest.mark.anyio

COLLECTION: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
# Not read, of a wrong type, or at a wrong address.
MISTAKES = {400, 405, 413, 415}
PROTOCOL_ERRORS = {-32700, -32600, -32601, -32602}


def requests(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every request below an item, by its name."""
    if "request" in item:
        yield item["name"], item["request"]
    for inner in item.get("item", ()):
        yield from requests(inner)


def test_the_file_is_up_to_date() -> None:
    assert collection() == COLLECTION


def test_it_has_every_route_and_every_method() -> None:
    rest, rpc = COLLECTION["item"]
    paths = openapi_document()["paths"]
    summaries = [o["summary"] for path, it in paths.items() if path != "/rpc" for o in it.values()]
    assert sorted(name for name, _ in requests(rest)) == sorted(summaries)
    assert {name for name, _ in requests(rpc)} == {*OPERATIONS, DISCOVER}


async def test_each_request_is_one_that_is_read(gateway: Gateway) -> None:
    for name, request in requests(COLLECTION):
        url = request["url"]
        path = "/".join(url["path"])
        for variable in url.get("variable", ()):
            path = path.replace(f":{variable['key']}", variable["value"])
        headers = {it["key"]: it["value"] for it in request["header"] if not it.get("disabled")}
        if "auth" not in request:
            headers["X-Access-Token"] = gateway.admin_key
        body = request.get("body", {}).get("raw", "").replace("{{token}}", gateway.admin_key)
        response = await gateway.client.request(
            request["method"], f"/{path}", headers=headers, content=body.encode()
        )
        assert response.status_code < 500, name
        assert response.status_code not in MISTAKES, (name, response.text)
        if path == "rpc":
            assert response.json().get("error", {}).get("code") not in PROTOCOL_ERRORS, name
