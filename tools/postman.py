"""Generate the Postman collection of `docs/` from the documents of both APIs.

    python -m tools.postman           write it
    python -m tools.postman --check   fail if it is out of date

Format: https://schema.postman.com, version 2.1.0.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from app.rest.openapi import openapi_document
from app.rpc.openrpc import openrpc_document

FILE = Path(__file__).parents[1] / "docs/gatehouse.postman_collection.json"
SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
BASE_URL = "http://127.0.0.1:8000"
_JSON = "application/json"
# The request that logs in; a script keeps the token for the others.
_LOGIN = {"users_auth", "users.auth"}
_TEXT = """\
Set `token` to an access key, or send 'Authenticates a user', which sets it to a token. `baseUrl` is
the gateway. Optional parameters are there, switched off.
"""
Item = dict[str, Any]


def collection() -> Item:
    """Return the collection: a folder for each group of routes, and of methods."""
    return {
        "info": {"name": "Gatehouse", "description": _TEXT, "schema": SCHEMA},
        "variable": [{"key": "baseUrl", "value": BASE_URL}, {"key": "token", "value": ""}],
        "auth": {
            "type": "apikey",
            "apikey": [
                {"key": "key", "value": "X-Access-Token", "type": "string"},
                {"key": "value", "value": "{{token}}", "type": "string"},
                {"key": "in", "value": "header", "type": "string"},
            ],
        },
        "item": [
            {"name": "REST", "item": _folders(_routes(openapi_document()))},
            {"name": "JSON-RPC", "item": _folders(_methods(openrpc_document(BASE_URL)))},
        ],
    }


def _folders(items: Iterable[tuple[str, Item]]) -> list[Item]:
    by_name: dict[str, list[Item]] = {}
    for name, item in items:
        by_name.setdefault(name, []).append(item)
    return [{"name": name, "item": inner} for name, inner in by_name.items()]


def _routes(document: Mapping[str, Any]) -> Iterator[tuple[str, Item]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            # Calls are in folders of their own.
            if path != "/rpc":
                yield operation["tags"][0], _route(path, method.upper(), operation)


def _route(path: str, method: str, operation: Mapping[str, Any]) -> Item:
    sent: dict[str, list[Item]] = {"path": [], "query": [], "header": []}
    for parameter in operation.get("parameters", ()):
        sent[parameter["in"]].append(_parameter(parameter))
    parts = [f":{part[1:-1]}" if part.startswith("{") else part for part in path[1:].split("/")]
    query = [{**parameter, "disabled": True} for parameter in sent["query"]]
    request: Item = {
        "method": method,
        "header": [{**parameter, "disabled": True} for parameter in sent["header"]],
        "url": {
            "raw": f"{{{{baseUrl}}}}/{'/'.join(parts)}",
            "host": ["{{baseUrl}}"],
            "path": parts,
            "query": query,
            "variable": sent["path"],
        },
        "description": operation["description"],
    }
    if {"basic": []} in operation["security"] or not operation["security"]:
        request["auth"] = {"type": "noauth"}
    if "requestBody" in operation:
        request |= _body(request, operation["requestBody"]["content"][_JSON]["example"])
    return _item(operation["summary"], operation["operationId"], request)


def _parameter(parameter: Mapping[str, Any]) -> Item:
    examples = parameter["schema"].get("examples", [""])
    value = parameter.get("example", examples[0])
    text = value if isinstance(value, str) else json.dumps(value)
    return {"key": parameter["name"], "value": text, "description": parameter["description"]}


def _methods(document: Mapping[str, Any]) -> Iterator[tuple[str, Item]]:
    for method in document["methods"]:
        yield method["tags"][0]["name"], _method(method)


def _method(method: Mapping[str, Any]) -> Item:
    call: Item = {"jsonrpc": "2.0", "id": 1, "method": method["name"]}
    if method["x-credential"] != "none":
        call["auth"] = "{{token}}"
    for example in method.get("examples", ()):
        call["params"] = {param["name"]: param["value"] for param in example["params"]}
    request: Item = {
        "method": "POST",
        "header": [],
        "auth": {"type": "noauth"},
        "url": {"raw": "{{baseUrl}}/rpc", "host": ["{{baseUrl}}"], "path": ["rpc"]},
        "description": f"{method['summary']}.\n\n{method['description']}",
    }
    return _item(method["name"], method["name"], {**request, **_body(request, call)})


def _body(request: Mapping[str, Any], value: Any) -> Item:
    raw = {"language": "json"}
    return {
        "header": [{"key": "Content-Type", "value": _JSON}, *request["header"]],
        "body": {
            "mode": "raw",
            "raw": json.dumps(value, indent=2, ensure_ascii=False),
            "options": {"raw": raw},
        },
    }


def _item(name: str, operation_id: str, request: Item) -> Item:
    item: Item = {"name": name, "request": request, "response": []}
    if operation_id in _LOGIN:
        keep = [
            "const reply = pm.response.json();",
            "const { token } = reply.result ?? reply;",
            'if (token) pm.collectionVariables.set("token", token);',
        ]
        item["event"] = [{"listen": "test", "script": {"type": "text/javascript", "exec": keep}}]
    return item


def main(*, is_check: bool) -> int:
    """Write the file, or compare it."""
    text = json.dumps(collection(), indent=2, ensure_ascii=False) + "\n"
    if not is_check:
        FILE.write_text(text, "utf-8")
    elif not FILE.exists() or FILE.read_text("utf-8") != text:
        print(f"Out of date: docs/{FILE.name}. Run 'make generate'.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(is_check=sys.argv[1:] == ["--check"]))
