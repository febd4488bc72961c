"""The error catalogue: every refusal Gatehouse can answer with, once.

A class is one entry: its `slug` is the stable name clients match on and is never recycled, its
`kind` says what sort of refusal it is, its `title` is the same for every occurrence, and the
sentence of one occurrence is `detail`. How a kind or a slug looks on a door is the door's matter.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import ClassVar, Self


class Kind(Enum):
    """The sorts of refusal; a door gives each its own status or code."""

    INVALID = auto()
    UNAUTHENTICATED = auto()
    FORBIDDEN = auto()
    NOT_FOUND = auto()
    NOT_ALLOWED = auto()
    CONFLICT = auto()
    PRECONDITION = auto()
    TOO_LARGE = auto()
    UNSUPPORTED = auto()
    FAULT = auto()
    OVERLOADED = auto()


class DomainError(Exception):
    """A refusal from the catalogue. Raise a subclass; the text never repeats a secret."""

    slug: ClassVar[str]
    kind: ClassVar[Kind]
    title: ClassVar[str]

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


# What a refusal names at most, so that a hostile input is not answered with something larger.
FLAWS_MAX = 10
FLAW_NAME_MAX = 64


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with an input: the member and why; a door may say in which place it came."""

    name: str
    detail: str
    place: str = "body"

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" if self.name else self.detail


class InvalidInput(DomainError):
    """A body, query or header is not of the form the operation takes."""

    slug, kind, title = "invalid-input", Kind.INVALID, "The request is not well formed"

    def __init__(self, detail: str, flaws: Iterable[Flaw] = ()) -> None:
        super().__init__(detail)
        self.flaws = tuple(flaws)

    @classmethod
    def of(cls, *flaws: Flaw) -> Self:
        """The refusal that names the first few of `flaws`."""
        named = [replace(flaw, name=flaw.name[:FLAW_NAME_MAX]) for flaw in flaws[:FLAWS_MAX]]
        return cls("; ".join(map(str, named)), named)


class InvalidUsername(DomainError):
    """The username breaks a rule of names, or is reserved."""

    slug, kind, title = "invalid-username", Kind.INVALID, "The username is invalid"


class InvalidEmail(DomainError):
    """The e-mail address is not one."""

    slug, kind, title = "invalid-email", Kind.INVALID, "The e-mail address is invalid"


class InvalidPresence(DomainError):
    """The presence is none of the five."""

    slug, kind, title = "invalid-presence", Kind.INVALID, "The presence is invalid"


class WeakPassword(DomainError):
    """The password breaks the password policy."""

    slug, kind, title = "weak-password", Kind.INVALID, "The password is too weak"


class UsernameTaken(DomainError):
    """Another account has this name or one that looks like it, or the name is held back."""

    slug, kind, title = "username-taken", Kind.INVALID, "The username is already taken"

    def __init__(self, username: str) -> None:
        super().__init__(f"User with username {username} already exists")


class EmailTaken(DomainError):
    """Another account has this e-mail address."""

    slug, kind, title = "email-taken", Kind.INVALID, "The e-mail address is already taken"

    def __init__(self, email: str) -> None:
        super().__init__(f"User with email {email} already exists")


class InvalidCredentials(DomainError):
    """The name or the password is wrong; which of them is not said."""

    slug, kind = "invalid-credentials", Kind.UNAUTHENTICATED
    title = "The username or password is incorrect"

    def __init__(self) -> None:
        super().__init__("invalid password")


class Unauthenticated(DomainError):
    """No valid credential came along; expired, revoked, forged and absent look alike."""

    slug, kind, title = "unauthenticated", Kind.UNAUTHENTICATED, "A valid credential is required"

    def __init__(self) -> None:
        super().__init__("A valid token or access key is required.")


class AccountDisabled(DomainError):
    """The password was right, but the account is disabled."""

    slug, kind, title = "account-disabled", Kind.FORBIDDEN, "The account is disabled"

    def __init__(self) -> None:
        super().__init__("This account is disabled.")


class Forbidden(DomainError):
    """The credential is valid but does not reach this far."""

    slug, kind, title = "forbidden", Kind.FORBIDDEN, "Not allowed with this credential"


class RegistrationClosed(DomainError):
    """Only admins create accounts here."""

    slug, kind, title = "registration-closed", Kind.FORBIDDEN, "Registration is closed"

    def __init__(self) -> None:
        super().__init__("Registration is closed; ask an admin for an account.")


class UserNotFound(DomainError):
    """No account has this uuid or snowflake."""

    slug, kind, title = "user-not-found", Kind.NOT_FOUND, "No such user"

    def __init__(self) -> None:
        super().__init__("There is no such user.")


class NotFound(DomainError):
    """There is nothing here: no such route, session, key, guild or server."""

    slug, kind, title = "not-found", Kind.NOT_FOUND, "Not found"


class MethodNotAllowed(DomainError):
    """The route exists but does not take this HTTP method."""

    slug, kind, title = "method-not-allowed", Kind.NOT_ALLOWED, "Method not allowed"

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        super().__init__(f"This route takes {', '.join(self.allowed)}.")


class LastAdmin(DomainError):
    """The change would leave the directory without an active admin."""

    slug, kind, title = "last-admin", Kind.CONFLICT, "The last admin must stay"

    def __init__(self) -> None:
        super().__init__("The last active admin can be neither disabled nor demoted.")


class PreconditionFailed(DomainError):
    """The account is no longer in the state that If-Match names."""

    slug, kind, title = "precondition-failed", Kind.PRECONDITION, "The account has changed"

    def __init__(self) -> None:
        super().__init__("The account has changed since; read it again and retry.")


class PayloadTooLarge(DomainError):
    """The body is larger than any request needs."""

    slug, kind, title = "payload-too-large", Kind.TOO_LARGE, "The body is too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A body may have at most {limit} bytes.")


class UnsupportedMediaType(DomainError):
    """The body has a content type this route does not read."""

    slug, kind, title = "unsupported-media-type", Kind.UNSUPPORTED, "Unsupported content type"

    def __init__(self, accepted: Iterable[str]) -> None:
        super().__init__(f"Send the body as {' or '.join(accepted)}.")


class Internal(DomainError):
    """A fault of ours; `reference` finds it in the log."""

    slug, kind, title = "internal", Kind.FAULT, "Internal error"

    def __init__(self, reference: str) -> None:
        super().__init__(reference)


class Overloaded(DomainError):
    """The work cannot be taken on now; trying again after `retry_after` seconds may succeed."""

    slug, kind, title = "overloaded", Kind.OVERLOADED, "Temporarily overloaded"

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("The directory is busy; try again shortly.")
        self.retry_after = retry_after


CATALOGUE: tuple[type[DomainError], ...] = (
    InvalidInput,
    InvalidUsername,
    InvalidEmail,
    InvalidPresence,
    WeakPassword,
    UsernameTaken,
    EmailTaken,
    InvalidCredentials,
    Unauthenticated,
    AccountDisabled,
    Forbidden,
    RegistrationClosed,
    UserNotFound,
    NotFound,
    MethodNotAllowed,
    LastAdmin,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    Internal,
    Overloaded,
)
