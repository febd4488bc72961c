"""A public URL with a path: the same routes with and without it, and every link below it."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from app.http.public_url import OWN_SEGMENTS
from app.rest.openapi import openapi_document
from app.rest.router import mount
from app.settings import Settings
from tests.gateway import Gateway, open_gateway
from tests.rest.test_docs import BROWSER

pytestmark = pytest.mark.anyio

BASE = "/id"
ORIGIN = "https://example.com"
# Behind a proxy that keeps the path of the public URL, and behind one that strips it.
PROXIES = pytest.mark.parametrize("kept", [BASE, ""], ids=["kept", "stripped"])
METHOD = {"jsonrpc": "2.0", "method": "users.self", "id": 1}


@pytest.fixture(scope="module")
async def below(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    path = tmp_path_factory.mktemp("below") / "gatehouse.sqlite3"
    copyfile(migrated, path)
    async with open_gateway(path, Settings(public_url=f"{ORIGIN}{BASE}/")) as opened:
        yield opened


@PROXIES
@pytest.mark.parametrize("page", ["", "/", "/docs", "/rpc/docs", "/handbook/", "/handbook/a/b"])
async def test_every_link_of_a_page_is_below_it_and_leads_somewhere(
    below: Gateway, kept: str, page: str
) -> None:
    if page == "/handbook/a/b":
        page = "/handbook/decisions/0008-nothing-cached-by-hand.html"
    response = await below.rest("GET", f"{kept}{page}" or "/", headers=BROWSER)
    assert response.status_code == 200
    links = set(re.findall(r'(?:src|href)="(/[^"#]*)"', response.text))
    assert len(links) > 3
    assert all(link.startswith(f"{BASE}/") for link in links)
    # Rendering every page of the handbook takes seconds, and tests/rest/test_handbook.py does it.
    for link in links if "handbook" not in page else [it for it in links if "/handbook/" not in it]:
        answer = await below.rest("GET", kept + link.removeprefix(BASE))
        assert answer.status_code == 200, link


@PROXIES
async def test_the_front_page_the_handbook_and_its_search_lead_below_it(
    below: Gateway, kept: str
) -> None:
    links = (await below.rest("GET", f"{kept}/")).json()["links"].values()
    search = (await below.rest("GET", f"{kept}/handbook/search.json")).json()
    addresses = [entry["address"] for entry in search]
    assert all(link.startswith(f"{BASE}/") for link in [*links, *addresses])
    moved = await below.rest("GET", f"{kept}/handbook")
    assert (moved.status_code, moved.headers["location"]) == (308, f"{BASE}/handbook/")


@PROXIES
@pytest.mark.parametrize("alias", ["", "/api"])
async def test_location_and_link_are_below_it_with_the_alias_of_the_caller(
    below: Gateway, kept: str, alias: str
) -> None:
    name = f"n{len(kept)}{len(alias)}ame"
    body = {"username": name, "email": f"{name}@example.com"}
    made = await below.rest("POST", f"{kept}{alias}/users", below.admin_key, json=body)
    location = made.headers["location"]
    assert location.startswith(f"{BASE}{alias}/users/")
    found = await below.rest("GET", kept + location.removeprefix(BASE), below.admin_key)
    assert found.json()["username"] == name
    page = await below.rest("GET", f"{kept}{alias}/users?limit=1", below.admin_key)
    assert page.headers["link"].count(f"<{BASE}{alias}/users?limit=1") == 2


@PROXIES
@pytest.mark.parametrize(
    ("method", "path", "status", "nearest"),
    [
        ("GET", "/usrs", 404, f"The nearest is {BASE}/users."),
        ("GET", "/errors/forbiden", 404, f"The nearest is {BASE}/errors/forbidden."),
        ("GET", "/handbook/nothing.html", 404, f"listed at {BASE}/handbook/."),
        ("GET", "/giraffes", 404, f"{BASE}/docs lists the routes"),
        ("POST", "", 405, f"The nearest path is {BASE}/rpc."),
        ("GET", "/rpc", 405, f"The nearest path is {BASE}/rpc/docs."),
        ("POST", "/users/auth", 400, f"send it to {BASE}/rpc."),
        ("POST", "/users/login", 405, f"The nearest path is {BASE}/users/auth."),
        ("POST", "/api/users/login", 405, f"The nearest path is {BASE}/users/auth."),
    ],
)
async def test_an_error_leads_to_its_page_and_to_the_nearest_path_below_it(
    below: Gateway, kept: str, method: str, path: str, status: int, nearest: str
) -> None:
    refused = await below.rest(method, f"{kept}{path}" or "/", json=METHOD)
    problem = refused.json()
    assert (refused.status_code, nearest in problem["detail"]) == (status, True), problem
    assert problem["type"] == f"{BASE}/errors/{problem['code']}"
    page = await below.rest("GET", kept + problem["type"].removeprefix(BASE))
    assert page.status_code == 200


@PROXIES
async def test_a_problem_of_json_rpc_leads_to_its_page_below_it(below: Gateway, kept: str) -> None:
    reply = (await below.client.post(f"{kept}/rpc?errors=problem", json=METHOD)).json()
    assert reply["error"]["data"]["type"] == f"{BASE}/errors/unauthenticated"
    unknown = {**METHOD, "method": "users.me"}
    reply = (await below.client.post(f"{kept}/rpc?errors=problem", json=unknown)).json()
    assert reply["error"]["data"]["type"] == f"{BASE}/errors/not-found"


async def hits(gateway: Gateway) -> float:
    """The number of responses from the cache."""
    text = (await gateway.rest("GET", "/metrics", gateway.admin_key)).text
    (found,) = re.findall(r'^gatehouse_cache_hits_total\{cache="answers"\} (\S+)$', text, re.M)
    return float(found)


@PROXIES
async def test_both_apis_answer_from_the_cache_with_and_without_it(
    below: Gateway, kept: str
) -> None:
    before = await hits(below)
    for alias in ("", "/api"):
        for _ in range(2):
            mine = await below.rest("GET", f"{kept}{alias}/users/@self", below.admin_key)
            assert mine.json()["username"] == "admin"
    for _ in range(2):
        reply = await below.client.post(f"{kept}/rpc", json={**METHOD, "auth": below.admin_key})
        assert reply.json()["result"]["username"] == "admin"
    assert await hits(below) >= before + 3
    assert (await below.client.head(f"{kept}/users/admin")).status_code == 204
    for _ in range(2):
        verified = await below.rest("GET", f"{kept}/auth/verify", below.admin_key)
        assert verified.headers["x-gatehouse-username"] == "admin"
    options = await below.client.options(f"{kept}/users/@self")
    assert (options.status_code, options.headers["allow"]) == (
        204,
        "GET, HEAD, OPTIONS, PATCH, POST",
    )
    text = (await below.rest("GET", f"{kept}/metrics", below.admin_key)).text
    assert 'route="/users/@self"' in text
    assert 'route="/id' not in text


@PROXIES
async def test_the_documents_name_the_url_and_links_below_it(below: Gateway, kept: str) -> None:
    openapi = (await below.rest("GET", f"{kept}/openapi.json")).json()
    openrpc = (await below.rest("GET", f"{kept}/rpc/openrpc.json")).json()
    assert openapi["servers"] == [{"url": f"{ORIGIN}{BASE}"}]
    assert openapi["externalDocs"]["url"] == f"{ORIGIN}{BASE}/handbook/"
    assert openrpc["servers"][0]["url"] == f"{ORIGIN}{BASE}/rpc"
    schemes = openapi["components"]["securitySchemes"]
    # Relative to the document, which has the same origin.
    assert schemes["login"]["flows"]["password"]["tokenUrl"] == f"{BASE}/users/auth"
    assert "/users/{user}" in openapi["paths"]
    types = set(re.findall(r'"type": "(/[^"]*)"', json.dumps(openapi)))
    assert types
    assert all(found.startswith(f"{BASE}/errors/") for found in types)
    for document in (openapi, openrpc):
        links = re.findall(r"\]\((/[^)]*)\)", document["info"]["description"])
        assert len(links) >= 3
        assert all(link.startswith(f"{BASE}/") for link in links)


async def test_a_login_form_of_its_own_page_is_accepted_at_the_origin_alone(
    below: Gateway,
) -> None:
    form = {"username": "admin", "password": "not the password"}
    for origin, code in ((ORIGIN, "invalid-credentials"), ("https://evil.example", "forbidden")):
        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        answer = await below.client.post(f"{BASE}/users/auth", data=form, headers=headers)
        assert answer.json()["code"] == code


async def test_https_is_insisted_on(below: Gateway) -> None:
    answer = await below.rest("GET", f"{BASE}/health/live")
    assert "strict-transport-security" in answer.headers


async def test_a_path_that_only_begins_like_it_is_unknown(below: Gateway) -> None:
    for path in ("/idusers", "/i/users", "/ID/users", "/id//users", "/id%2fusers", "/id/id/users"):
        assert (await below.rest("GET", path)).status_code == 404, path


async def test_api_may_be_the_path(database: Path) -> None:
    async with open_gateway(database, Settings(public_url=f"{ORIGIN}/api")) as gateway:
        for prefix in ("", "/api", "/api/api"):
            found = await gateway.rest("GET", f"{prefix}/users?limit=1", gateway.admin_key)
            link = "/api/api" if prefix == "/api/api" else "/api"
            assert found.headers["link"].startswith(f"<{link}/users?"), prefix
        assert (await gateway.rest("GET", "/api/docs")).status_code == 200


def test_no_path_of_ours_can_be_meant_by_two() -> None:
    ours = {route.path.split("/")[1] for route in mount()} | {"rpc"}
    assert ours - {"", "api"} == OWN_SEGMENTS


def without(document: dict[str, Any], text: str) -> str:
    return json.dumps(document).replace(text, "")


def test_without_a_path_the_document_is_as_it_was() -> None:
    origin = "https://gate.example"
    plain, below = openapi_document(origin), openapi_document(f"{origin}{BASE}")
    assert without(plain, origin) == without(below, f"{origin}{BASE}").replace(f"{BASE}/", "/")
