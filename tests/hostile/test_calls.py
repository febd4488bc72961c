"""Calls that are made from the OpenRPC document, to every method, with every kind of credential.

The counterpart of schemathesis for JSON-RPC: each reply is either a result of the described
schema or an error that is described. FUZZ_EXAMPLES says how many calls of each method.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.http import json
from app.rpc.openrpc import openrpc_document
from tests.gateway import Gateway, open_gateway
from tests.hostile import corpus

pytestmark = pytest.mark.anyio

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
DOCUMENT: dict[str, Any] = json.parse(json.dump(openrpc_document("http://localhost")))
METHODS = {method["name"]: method for method in DOCUMENT["methods"]}
# `internal` is never documented, so that it never passes.
GENERAL = {-32602}
ODD: st.SearchStrategy[Any] = (
    st.sampled_from(list(corpus.TEXTS.values()))
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.lists(st.integers(), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.integers(), max_size=3)
)


def fitting(param: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the parameter's schema allows, its examples among them."""
    schema = param["schema"]
    kinds = [_of(schema), *map(st.just, schema.get("examples", []))]
    return st.one_of(kinds)


def _of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _of(DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([_of(one) for one in schema["anyOf"]])
    match schema.get("type"):
        case "string":
            return st.text(max_size=40) | st.from_regex(r"[a-z]{4,16}", fullmatch=True)
        case "integer":
            return st.integers(schema.get("minimum", -(2**70)), schema.get("maximum", 2**70))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return ODD


def calls(method: dict[str, Any]) -> st.SearchStrategy[dict[str, Any] | list[Any]]:
    """Parameters by name or by position, now and then of a wrong type, missing or surplus."""
    values = {
        param["name"]: st.one_of(fitting(param), fitting(param), ODD) for param in method["params"]
    }
    required = {name for name in values if _is_required(method, name)}
    named = st.fixed_dictionaries(
        {name: value for name, value in values.items() if name in required},
        optional={
            **{name: value for name, value in values.items() if name not in required},
            "surplus": ODD,
        },
    )
    return named | st.dictionaries(st.sampled_from([*values, "x"]), ODD) | st.lists(ODD, max_size=8)


def _is_required(method: dict[str, Any], name: str) -> bool:
    return any(param["name"] == name and param["required"] for param in method["params"])


def check_reply(method: dict[str, Any], reply: dict[str, Any]) -> None:
    """It is a result as described, or an error that is described."""
    if "result" in reply:
        schema = {**method["result"]["schema"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(reply["result"])
        return
    error = reply["error"]
    assert error["code"] in {described["code"] for described in method["errors"]} | GENERAL, error
    if error["code"] not in GENERAL:
        assert error["data"]["detail"]


@pytest.fixture
async def gateway_with_users(migrated: Path, tmp_path: Path) -> AsyncIterator[Gateway]:
    copyfile(migrated, tmp_path / "gatehouse.sqlite3")
    async with open_gateway(tmp_path / "gatehouse.sqlite3") as opened:
        await opened.sign_up("alice")
        yield opened


@pytest.mark.parametrize("name", METHODS)
async def test_every_reply_is_described(gateway_with_users: Gateway, name: str) -> None:
    method = METHODS[name]
    drawn: list[Any] = []

    # hypothesis calls no coroutine: it only makes the calls up, and they are sent afterwards.
    @given(calls(method))
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def make_up(params: Any) -> None:
        drawn.append(params)

    make_up()
    for params in drawn:
        user = (
            await gateway_with_users.log_in("alice")
            if name in {"users.logout", "users.self"}
            else None
        )
        for credential in (gateway_with_users.admin_key, user, None):
            check_reply(
                method,
                await gateway_with_users.rpc(name, params, credential, query="?errors=problem"),
            )
