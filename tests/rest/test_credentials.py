"""Credentials in headers: any credential in any of them, but only one."""

from base64 import b64encode

import pytest

from tests.fakes.services import PASSWORD
from tests.gateway import Gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def token(shared_gateway: Gateway) -> str:
    return await shared_gateway.log_in("alice")


async def whose(gateway: Gateway, headers: list[tuple[str, str]]) -> str | None:
    """Return the account that the headers authenticate, or None."""
    response = await gateway.client.get("/users/@self", headers=headers)
    if response.status_code == 200:
        return str(response.json()["username"])
    problem_of(response, 401, "unauthenticated")
    return None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_bearer_is_read_in_any_case(
    shared_gateway: Gateway, token: str, scheme: str
) -> None:
    assert await whose(shared_gateway, [("Authorization", f"{scheme} {token}")]) == "alice"


@pytest.mark.parametrize("blanks", [" ", "  ", "     "])
async def test_blanks_around_a_bearer_credential_do_not_count(
    shared_gateway: Gateway, token: str, blanks: str
) -> None:
    assert (
        await whose(shared_gateway, [("Authorization", f"Bearer{blanks}{token}{blanks}")])
        == "alice"
    )


async def test_both_headers_take_both_credentials(shared_gateway: Gateway, token: str) -> None:
    for credential, name in ((token, "alice"), (shared_gateway.admin_key, "admin")):
        assert await whose(shared_gateway, [("X-Access-Token", credential)]) == name
        assert await whose(shared_gateway, [("Authorization", f"Bearer {credential}")]) == name


async def test_the_same_credential_in_both_headers_is_one(
    shared_gateway: Gateway, token: str
) -> None:
    headers = [("X-Access-Token", token), ("Authorization", f"Bearer {token}")]
    assert await whose(shared_gateway, headers) == "alice"


@pytest.mark.parametrize("headers", [["X-Access-Token"] * 2, ["Authorization"] * 2])
async def test_a_header_that_is_repeated_with_the_same_credential_is_one(
    shared_gateway: Gateway, token: str, headers: list[str]
) -> None:
    scheme = "Bearer " if headers[0] == "Authorization" else ""
    assert await whose(shared_gateway, [(name, scheme + token) for name in headers]) == "alice"


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
    shared_gateway: Gateway, token: str, verb: str, path: str, other: str
) -> None:
    headers = {"X-Access-Token": token, "Authorization": f"Bearer {other}"}
    problem = problem_of(
        await shared_gateway.client.request(verb, path, headers=headers), 400, "invalid-input"
    )
    assert token not in problem["detail"]
    assert {"header", "detail"} == set(problem["errors"][0])


@pytest.mark.parametrize("name", ["X-Access-Token", "Authorization"])
async def test_two_different_credentials_in_one_header_are_refused_too(
    shared_gateway: Gateway, token: str, name: str
) -> None:
    scheme = "Bearer " if name == "Authorization" else ""
    headers = [(name, scheme + token), (name, scheme + shared_gateway.admin_key)]
    problem_of(
        await shared_gateway.client.get("/users/@self", headers=headers), 400, "invalid-input"
    )


@pytest.mark.parametrize("scheme", ["Basic", "Digest", "Token", "Bearerx", "X-Bearer"])
async def test_other_schemes_do_not_count_as_a_credential(
    shared_gateway: Gateway, token: str, scheme: str
) -> None:
    other = ("Authorization", f"{scheme} {token}")
    assert await whose(shared_gateway, [other]) is None
    assert await whose(shared_gateway, [other, ("X-Access-Token", token)]) == "alice"


async def test_http_basic_opens_nothing_but_the_login(shared_gateway: Gateway) -> None:
    response = await shared_gateway.client.get(
        "/users/@self", auth=("alice", "correct horse battery")
    )
    problem_of(response, 401, "unauthenticated")


@pytest.mark.parametrize("value", ["Bearer", "bearer ", "Bearer   ", ""])
async def test_an_empty_credential_opens_nothing(shared_gateway: Gateway, value: str) -> None:
    assert await whose(shared_gateway, [("Authorization", value)]) is None
    assert await whose(shared_gateway, [("X-Access-Token", "")]) is None


@pytest.mark.parametrize(
    ("path", "status"), [("/users/alice", 204), ("/users/nobody", 404), ("/health/live", 200)]
)
@pytest.mark.parametrize("header", ["X-Access-Token", "Authorization"])
async def test_a_public_route_ignores_a_stale_credential(
    shared_gateway: Gateway, path: str, status: int, header: str
) -> None:
    response = await shared_gateway.client.get(path, headers={header: "Bearer stale"})
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
async def test_a_query_parameter_is_no_place_for_a_credential(
    shared_gateway: Gateway, path: str
) -> None:
    response = await shared_gateway.client.get(
        path, params={"access_token": shared_gateway.admin_key}
    )
    assert response.status_code in {400, 401}


# ------------------------------------------------------------------- white space around values

BLANKS = [" {}", "{} ", "{}\t", "\t{}", " \t{}\t \t"]


@pytest.mark.parametrize("around", BLANKS, ids=repr)
async def test_white_space_around_a_field_value_is_no_part_of_it(
    shared_gateway: Gateway, around: str
) -> None:
    """RFC 9110 section 5.5; for each field that is read."""
    as_sent = around.format
    for headers in (
        {"X-Access-Token": as_sent(shared_gateway.admin_key)},
        {"Authorization": as_sent(f"Bearer {shared_gateway.admin_key}")},
        {
            "X-Access-Token": shared_gateway.admin_key,
            "Authorization": as_sent(f"Bearer  {shared_gateway.admin_key}"),
        },
    ):
        answer = await shared_gateway.rest("GET", "/users/@self", headers=headers)
        assert answer.status_code == 200, headers
    headers = {
        "X-Access-Token": shared_gateway.admin_key,
        "Content-Type": as_sent("application/json"),
    }
    call = {"jsonrpc": "2.0", "method": "users.self", "id": 1}
    reply = await shared_gateway.client.post("/rpc", json=call, headers=headers)
    assert reply.json()["result"]["username"] == "admin"
    uuid = await shared_gateway.uuid_of("alice")
    etag = (await shared_gateway.rest("GET", f"/users/{uuid}", shared_gateway.admin_key)).headers[
        "etag"
    ]
    headers = {"If-None-Match": as_sent(etag)}
    again = await shared_gateway.rest(
        "GET", f"/users/{uuid}", shared_gateway.admin_key, headers=headers
    )
    assert again.status_code == 304
    headers = {"If-Match": as_sent(etag), "Content-Encoding": as_sent("identity")}
    put = await shared_gateway.rest(
        "PUT", f"/users/{uuid}", shared_gateway.admin_key, json={}, headers=headers
    )
    assert put.status_code == 204
    basic = as_sent("Basic " + b64encode(f"alice:{PASSWORD}".encode()).decode())
    assert (
        await shared_gateway.rest("POST", "/users/auth", headers={"Authorization": basic})
    ).is_success
