"""Results: a view with an entity tag or a status for the API, or JSON that is already rendered."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """A view, with data that only some APIs can return."""

    view: T


@dataclass(frozen=True, slots=True)
class WithETag(Result[T]):
    """A view with the entity tag of its version."""

    etag: str


@dataclass(frozen=True, slots=True)
class Put(Result[T]):
    """A view, and if the object is new."""

    created: bool


@dataclass(frozen=True, slots=True)
class Created(Result[T]):
    """A view, and if it is the response to an earlier request with the same key."""

    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class IssuedLogin(Result[T]):
    """A view with the expiry of the token, and the seconds until then."""

    expires_at: datetime
    expires_in: int


@dataclass(frozen=True, slots=True)
class RawJson(Generic[T]):
    """A view that is already JSON."""

    json: bytes


@dataclass(frozen=True, slots=True)
class RawJsonPage(RawJson[T]):
    """A page that is already JSON, with its list and the next cursor separately."""

    listed: bytes
    next: str | None
