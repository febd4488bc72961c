"""Helpers of the REST tests: problems and callers."""

from typing import Any

import httpx

from tests.gateway import Gateway

PROBLEM_JSON = "application/problem+json"
UNKNOWN = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
MEMBERS = ["type", "title", "status", "detail", "code", "request_id"]


def problem_of(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem object of a refusal, complete and in agreement with its headers."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM_JSON
    problem: dict[str, Any] = response.json()
    more = {"errors", "failing", "retry_after"}
    assert [name for name in problem if name not in more] == MEMBERS
    assert (problem["code"], problem["type"]) == (slug, f"/errors/{slug}")
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return problem


def flaws_of(response: httpx.Response, place: str = "pointer") -> list[str]:
    """The members that an invalid-input problem names."""
    problem = problem_of(response, 400, "invalid-input")
    return [field_error[place] for field_error in problem["errors"]]


async def create(gateway: Gateway, username: str, **members: Any) -> dict[str, Any]:
    """An account that an admin creates: its created view."""
    body = {"username": username, "email": f"{username}@example.com", **members}
    response = await gateway.rest(
        "POST",
        "/users",
        gateway.admin_key,
        json=body,
        headers={"Prefer": "return=representation"},
    )
    assert response.status_code == 201, response.text
    view: dict[str, Any] = response.json()
    return view
