"""Credentials in headers: any credential in any of them, but only one."""

import pytest

from tests.gateway import Gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def token(door: Gateway) -> str:
    return await door.log_in("alice")


async def whose(door: Gateway, headers: list[tuple[str, str]]) -> str | None:
    """Whose account the headers open; None where they open none."""
    response = await door.client.get("/users/@self", headers=headers)
    if response.status_code == 200:
        return str(response.json()["username"])
    problem_of(response, 401, "unauthenticated")
    return None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_bearer_is_read_in_any_case(
    door: Gateway, token: str, scheme: str
) -> None:
    assert await whose(door, [("Authorization", f"{scheme} {token}")]) == "alice"


@pytest.mark.parametrize("blanks", [" ", "  ", "     "])
async def test_blanks_around_a_bearer_credential_do_not_count(
    door: Gateway, token: str, blanks: str
) -> None:
    assert await whose(door, [("Authorization", f"Bearer{blanks}{token}{blanks}")]) == "alice"


async def test_both_headers_take_both_credentials(door: Gateway, token: str) -> None:
    for credential, name in ((token, "alice"), (door.admin_key, "admin")):
        assert await whose(door, [("X-Access-Token", credential)]) == name
        assert await whose(door, [("Authorization", f"Bearer {credential}")]) == name


async def test_the_same_credential_in_both_headers_is_one(door: Gateway, token: str) -> None:
    headers = [("X-Access-Token", token), ("Authorization", f"Bearer {token}")]
    assert await whose(door, headers) == "alice"


@pytest.mark.parametrize("headers", [["X-Access-Token"] * 2, ["Authorization"] * 2])
async def test_a_header_that_is_repeated_with_the_same_credential_is_one(
    door: Gateway, token: str, headers: list[str]
) -> None:
    scheme = "Bearer " if headers[0] == "Authorization" else ""
    assert await whose(door, [(name, scheme + token) for name in headers]) == "alice"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        *(("GET", "/users/@self"), ("GET", "/users"), ("GET", "/users/alice")),
        *(("POST", "/users/auth"), ("POST", "/users/@self"), ("GET", "/health/live")),
        *(("GET", "/openapi.json"), ("GET", "/metrics"), ("GET", "/nothing"), ("PUT", "/users")),
        *(("POST", "/rpc"), ("GET", "/errors/not-found"), ("GET", "/.well-known/jwks.json")),
    ],
)
@pytest.mark.parametrize("other", ["another", ""])
async def test_two_different_credentials_are_refused_everywhere(
    door: Gateway, token: str, verb: str, path: str, other: str
) -> None:
    headers = {"X-Access-Token": token, "Authorization": f"Bearer {other}"}
    problem = problem_of(
        await door.client.request(verb, path, headers=headers), 400, "invalid-input"
    )
    assert token not in problem["detail"]
    assert {"header", "detail"} == set(problem["errors"][0])


@pytest.mark.parametrize("name", ["X-Access-Token", "Authorization"])
async def test_two_different_credentials_in_one_header_are_refused_too(
    door: Gateway, token: str, name: str
) -> None:
    scheme = "Bearer " if name == "Authorization" else ""
    headers = [(name, scheme + token), (name, scheme + door.admin_key)]
    problem_of(await door.client.get("/users/@self", headers=headers), 400, "invalid-input")


@pytest.mark.parametrize("scheme", ["Basic", "Digest", "Token", "Bearerx", "X-Bearer"])
async def test_other_schemes_do_not_count_as_a_credential(
    door: Gateway, token: str, scheme: str
) -> None:
    other = ("Authorization", f"{scheme} {token}")
    assert await whose(door, [other]) is None
    assert await whose(door, [other, ("X-Access-Token", token)]) == "alice"


async def test_http_basic_opens_nothing_but_the_login(door: Gateway) -> None:
    response = await door.client.get("/users/@self", auth=("alice", "correct horse battery"))
    problem_of(response, 401, "unauthenticated")


@pytest.mark.parametrize("value", ["Bearer", "bearer ", "Bearer   ", ""])
async def test_an_empty_credential_opens_nothing(door: Gateway, value: str) -> None:
    assert await whose(door, [("Authorization", value)]) is None
    assert await whose(door, [("X-Access-Token", "")]) is None


@pytest.mark.parametrize(
    ("path", "status"), [("/users/alice", 204), ("/users/nobody", 404), ("/health/live", 200)]
)
@pytest.mark.parametrize("header", ["X-Access-Token", "Authorization"])
async def test_a_public_route_ignores_a_stale_credential(
    door: Gateway, path: str, status: int, header: str
) -> None:
    response = await door.client.get(path, headers={header: "Bearer stale"})
    assert response.status_code == status


async def test_a_client_with_a_stale_token_can_still_log_in(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    await gateway.rest("DELETE", "/users/@self/sessions/@current", token)
    login = {"username": "alice", "password": "correct horse battery"}
    response = await gateway.rest("POST", "/users/auth", token, json=login)
    assert response.status_code == 200


async def test_a_client_with_a_stale_token_can_still_register(gateway: Gateway) -> None:
    body = {"username": "alice", "password": "correct horse battery"}
    assert (await gateway.rest("POST", "/users/@self", "stale", json=body)).status_code == 201


@pytest.mark.parametrize("path", ["/users", "/api/users", "/servers", "/guilds"])
async def test_a_query_parameter_is_no_place_for_a_credential(door: Gateway, path: str) -> None:
    response = await door.client.get(path, params={"access_token": door.admin_key})
    assert response.status_code in {400, 401}
