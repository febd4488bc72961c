"""The nearest path: by name, by similar segments, within bounds."""

import pytest

from app.http.nearest_path import named_elsewhere, nothing_at
from app.rest.router import mount

PATHS = [route.path for route in mount()]


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/users/", "/users"),
        ("/api/v1/users", "/users"),
        ("/v2.1/user/@self", "/users/@self"),
        ("/Guild/1/Member/2", "/guilds/{id}/members/{user}"),
        ("/health/redy", "/health/ready"),
        ("/rpc/users.create", "/rpc"),
        ("/swagger.json", "/openapi.json"),
    ],
)
def test_a_similar_path_is_named(path: str, nearest: str) -> None:
    assert nothing_at(path, PATHS).detail.endswith(f"The nearest is {nearest}.")


@pytest.mark.parametrize(
    "path", ["/nothing", "/a/b/c/d/e/f", "/users/" + "x/" * 200, "/" + "users" * 100, "/" * 5000]
)
def test_any_other_path_leads_to_the_documentation(path: str) -> None:
    assert "/docs lists the routes" in nothing_at(path, PATHS).detail


def test_a_path_that_exists_is_not_called_otherwise_elsewhere() -> None:
    named = {path: named_elsewhere(path) for path in PATHS if not path.startswith("/api")}
    # The front page takes no POST, by which one may have meant a call.
    assert {path: name for path, name in named.items() if name not in {None, path}} == {"/": "/rpc"}
