"""Errors of the catalogue as problem objects (RFC 9457), for both APIs."""

from typing import Any

from app.domain.errors import DomainError, FieldError, InvalidInput, Overloaded, RateLimited


def problem_object(error: DomainError, request_id: str, base_path: str = "") -> dict[str, Any]:
    """Return the problem object of an error; its `type` is the path of our page about the error.

    `base_path` is the path of the public URL.
    """
    problem = {
        "type": f"{base_path}/errors/{error.slug}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.slug,
        "request_id": request_id,
    }
    if isinstance(error, InvalidInput) and error.field_errors:
        problem["errors"] = [_flaw(field_error) for field_error in error.field_errors]
    if isinstance(error, Overloaded) and error.failing:
        problem["failing"] = list(error.failing)
    if isinstance(error, RateLimited):
        problem["retry_after"] = error.retry_after
    return problem


def _flaw(field_error: FieldError) -> dict[str, str]:
    """Name a body member by JSON pointer (RFC 6901), anything else by location and name."""
    if field_error.location == "body":
        name = field_error.name.replace("~", "~0").replace("/", "~1")
        return {"pointer": f"#/{name}", "detail": field_error.detail}
    return {field_error.location: field_error.name, "detail": field_error.detail}
