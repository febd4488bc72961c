"""The OpenRPC document: valid, complete, and the same wherever it is asked for."""

import json
import keyword
from collections.abc import Iterator
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
from app.settings import Settings
from tests.gateway import Gateway, open_gateway

META = Path(__file__).parent / "meta"
EXAMPLES = list(OPERATIONS)
# Keywords of JavaScript, TypeScript, Java, C#, Go, PHP, Rust, Swift and Kotlin that cannot name a
# parameter. Python has its own list.
RESERVED = """
abstract base bool boolean break byte callable case catch chan char checked class clone const
constructor continue crate debugger decimal declare default defer delegate delete die do double echo
else elseif empty enddeclare endfor enum eval event exit explicit export extends extern fallthrough
final finally fixed float fn for foreach func function global go goto if implements implicit import
in include init inout instanceof insteadof int interface internal is let lock long loop map match
mod move mut namespace native new null object operator out override package params print private
protected protocol public range readonly ref require return sbyte sealed select self short sizeof
stackalloc static string struct subscript super switch synchronized this throw throws trait
transient try type typealias typeof uint ulong unchecked undefined unsafe unset use using val var
virtual void volatile when where while with xor yield
"""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(openrpc_document("http://gateway")))
    return found


def meta(name: str) -> Any:
    return json.loads((META / name).read_text("utf-8"))


def methods(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {method["name"]: method for method in document["methods"]}


def parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and those inside it, without those it refers to."""
    yield schema
    inner = [*schema.get("anyOf", []), *schema.get("properties", {}).values()]
    inner += [schema[name] for name in ("items", "additionalProperties") if name in schema]
    for part in inner:
        if isinstance(part, dict):
            yield from parts(part)


def schemas(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every schema of the document, however deep."""
    for definition in document["components"]["schemas"].values():
        yield from parts(definition)
    for method in document["methods"]:
        for descriptor in (*method["params"], method["result"]):
            yield from parts(descriptor["schema"])


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


def test_every_schema_has_a_title_for_generated_types(document: dict[str, Any]) -> None:
    assert not [schema for schema in schemas(document) if not {"title", "$ref"} & set(schema)]


def test_schemas_with_one_title_have_one_form(document: dict[str, Any]) -> None:
    forms: dict[str, str] = {}
    for schema in schemas(document):
        if "$ref" not in schema:
            form = {n: it for n, it in schema.items() if n not in {"examples", "default"}}
            text = json.dumps(form, sort_keys=True)
            assert forms.setdefault(schema["title"], text) == text


def test_every_string_and_number_has_its_bounds(document: dict[str, Any]) -> None:
    for schema in schemas(document):
        if schema.get("type") == "string":
            assert {"maxLength", "enum"} & set(schema) or schema["format"] == "date-time"
        elif schema.get("type") == "integer":
            assert "minimum" in schema


def test_no_parameter_has_a_name_that_a_language_reserves(document: dict[str, Any]) -> None:
    names = {param["name"] for method in document["methods"] for param in method["params"]}
    assert "password" in names
    assert not names & {*RESERVED.split(), *keyword.kwlist}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("public_url", "host", "url"),
    [
        (None, "gate.example:8080", "http://gate.example:8080/rpc"),
        (None, "[::1]:8000", "http://[::1]:8000/rpc"),
        (None, 'gate"example', "http://gateway/rpc"),
        ("https://id.example", "gate.example", "https://id.example/rpc"),
    ],
)
async def test_the_server_has_an_absolute_address(
    database: Path, public_url: str | None, host: str, url: str
) -> None:
    async with open_gateway(database, Settings(public_url=public_url)) as gateway:
        gateway.client.headers["Host"] = host
        by_method = await gateway.rpc(DISCOVER)
        by_address = await gateway.rest("GET", "/rpc/openrpc.json")
    assert by_method["result"] == by_address.json()
    assert [server["url"] for server in by_address.json()["servers"]] == [url]


@pytest.mark.anyio
async def test_it_is_the_same_by_method_and_by_address(shared_gateway: Gateway) -> None:
    told = (await shared_gateway.rpc(DISCOVER))["result"]
    assert told == (await shared_gateway.rest("GET", "/rpc/openrpc.json")).json()
    assert told["openrpc"] == "1.3.2"


@pytest.mark.anyio
async def test_discovery_takes_no_parameters(shared_gateway: Gateway) -> None:
    assert "result" in await shared_gateway.rpc(DISCOVER, [])
    assert (await shared_gateway.rpc(DISCOVER, ["all"]))["error"]["code"] == -32602
