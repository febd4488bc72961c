"""The OpenRPC document: valid, complete, and the same wherever it is asked for."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT7

from app.operations.catalog import OPERATIONS
from app.rpc.envelope import DISCOVER
from app.rpc.methods import METHODS
from app.rpc.openrpc import openrpc_document
from tests.gateway import Gateway

META = Path(__file__).parent / "meta"
EXAMPLES = list(OPERATIONS)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(openrpc_document()))
    return found


def meta(name: str) -> Any:
    return json.loads((META / name).read_text("utf-8"))


def methods(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {method["name"]: method for method in document["methods"]}


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def test_the_document_is_valid_against_the_meta_schema(document: dict[str, Any]) -> None:
    schemas = DRAFT7.create_resource(meta("json-schema.json"))
    names = ("https://meta.json-schema.tools", "https://meta.json-schema.tools/")
    registry: Registry[Any] = Registry().with_resources([(name, schemas) for name in names])
    jsonschema.Draft7Validator(meta("openrpc.json"), registry=registry).validate(document)


def test_every_method_is_described_and_no_other(document: dict[str, Any]) -> None:
    assert set(methods(document)) == {*METHODS, DISCOVER}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_methods_example_is_of_the_form_that_is_described(
    document: dict[str, Any], name: str
) -> None:
    method = methods(document)[name]
    (example,) = method["examples"]
    values = {param["name"]: param["value"] for param in example["params"]}
    for param in method["params"]:
        assert param["name"] in values or not param["required"]
        if param["name"] in values:
            check(document, param["schema"], values[param["name"]])
    check(document, method["result"]["schema"], example["result"]["value"])
    METHODS[name].read(values)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_method_names_its_errors_and_the_credential_that_it_needs(
    document: dict[str, Any], name: str
) -> None:
    method, operation = methods(document)[name], OPERATIONS[name]
    codes = {error["code"] for error in method["errors"]}
    assert {error.rpc_code for error in operation.errors} <= codes
    assert (method["x-credential"] == "none") == (operation.access.allows is None)
    assert method["summary"]
    assert method["tags"]


@pytest.mark.anyio
async def test_it_is_the_same_by_method_and_by_address(shared_gateway: Gateway) -> None:
    told = (await shared_gateway.rpc(DISCOVER))["result"]
    assert told == (await shared_gateway.rest("GET", "/rpc/openrpc.json")).json()
    assert told["openrpc"] == "1.3.2"


@pytest.mark.anyio
async def test_discovery_takes_no_parameters(shared_gateway: Gateway) -> None:
    assert "result" in await shared_gateway.rpc(DISCOVER, [])
    assert (await shared_gateway.rpc(DISCOVER, ["all"]))["error"]["code"] == -32602
