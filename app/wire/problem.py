"""Errors of the catalogue as RFC 9457 problem objects: the one that both doors send."""

from typing import Any

from app.domain.errors import DomainError, Flaw, InvalidInput, Kind, Overloaded

STATUS: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION: 412,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.TOO_MANY: 429,
    Kind.FAULT: 500,
    Kind.OVERLOADED: 503,
    Kind.UPSTREAM: 502,
    Kind.UPSTREAM_SLOW: 504,
}


def problem_object(error: DomainError, request_id: str) -> dict[str, Any]:
    """`type` is relative: the page of the error in our documentation."""
    problem = {
        "type": f"/errors/{error.slug}",
        "title": error.title,
        "status": STATUS[error.kind],
        "detail": error.detail,
        "code": error.slug,
        "request_id": request_id,
    }
    if isinstance(error, InvalidInput) and error.flaws:
        problem["errors"] = [_flaw(flaw) for flaw in error.flaws]
    if isinstance(error, Overloaded) and error.failing:
        problem["failing"] = list(error.failing)
    return problem


def _flaw(flaw: Flaw) -> dict[str, str]:
    """A member of a body by JSON pointer (RFC 6901), anything else by its place and name."""
    if flaw.place == "body":
        name = flaw.name.replace("~", "~0").replace("/", "~1")
        return {"pointer": f"#/{name}", "detail": flaw.detail}
    return {flaw.place: flaw.name, "detail": flaw.detail}
