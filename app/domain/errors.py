"""The error catalogue: every refusal Gatehouse can answer with, once.

A class is one entry: its `slug` is the stable name clients match on and is never recycled, its
`kind` says what sort of refusal it is, its `title` is the same for every occurrence, and the
sentence of one occurrence is `detail`. The docstring says when it comes and, in a second paragraph,
what to do then; it is what the error's page shows. How a kind or a slug looks on a door is the
door's matter.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from inspect import getdoc
from math import ceil
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
    TOO_MANY = auto()
    FAULT = auto()
    OVERLOADED = auto()
    UPSTREAM = auto()
    UPSTREAM_SLOW = auto()


class DomainError(Exception):
    """A refusal from the catalogue. Raise a subclass; the text never repeats a secret."""

    slug: ClassVar[str]
    kind: ClassVar[Kind]
    title: ClassVar[str]

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @classmethod
    def explanation(cls) -> tuple[str, str]:
        """When it comes, and what to do then."""
        when, what_to_do = (" ".join(part.split()) for part in (getdoc(cls) or "").split("\n\n"))
        return when, what_to_do


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
    """A body, query or header is not of the form the operation takes.

    Mend what the detail names, member by member; the same request sent again fails again.
    """

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
    """The username breaks a rule of names, or is reserved.

    Choose another name; the detail says which rule this one breaks.
    """

    slug, kind, title = "invalid-username", Kind.INVALID, "The username is invalid"


class InvalidEmail(DomainError):
    """The e-mail address is not one.

    Mend the address; the detail says what is wrong with it.
    """

    slug, kind, title = "invalid-email", Kind.INVALID, "The e-mail address is invalid"


class InvalidPresence(DomainError):
    """The presence is none of the five.

    Send ONLINE, IDLE, DND, INVISIBLE or OFFLINE, in capitals.
    """

    slug, kind, title = "invalid-presence", Kind.INVALID, "The presence is invalid"


class WeakPassword(DomainError):
    """The password breaks the password policy.

    Choose another password; the detail says which rule this one breaks.
    """

    slug, kind, title = "weak-password", Kind.INVALID, "The password is too weak"


class UsernameTaken(DomainError):
    """Another account has this name or one that looks like it, or the name is held back.

    Choose another name; whether one is free can be asked beforehand, with users.check.
    """

    slug, kind, title = "username-taken", Kind.INVALID, "The username is already taken"

    def __init__(self, username: str) -> None:
        super().__init__(f"User with username {username} already exists")


class EmailTaken(DomainError):
    """Another account has this e-mail address.

    Use another address, or remove it from the account that has it.
    """

    slug, kind, title = "email-taken", Kind.INVALID, "The e-mail address is already taken"

    def __init__(self, email: str) -> None:
        super().__init__(f"User with email {email} already exists")


class InvalidCredentials(DomainError):
    """The name or the password is wrong; which of them is not said.

    Ask for both again. Who has forgotten the password gets a new one from an admin.
    """

    slug, kind = "invalid-credentials", Kind.UNAUTHENTICATED
    title = "The username or password is incorrect"

    def __init__(self) -> None:
        super().__init__("invalid password")


class Unauthenticated(DomainError):
    """No valid credential came along; expired, revoked, forged and absent look alike.

    Log in again, or send another access key; what was refused once stays refused.
    """

    slug, kind, title = "unauthenticated", Kind.UNAUTHENTICATED, "A valid credential is required"

    def __init__(self) -> None:
        super().__init__("A valid token or access key is required.")


class AccountDisabled(DomainError):
    """The password was right, but the account is disabled.

    Ask an admin to enable it again; until then no credential of it works.
    """

    slug, kind, title = "account-disabled", Kind.FORBIDDEN, "The account is disabled"

    def __init__(self) -> None:
        super().__init__("This account is disabled.")


class Forbidden(DomainError):
    """The credential is valid but does not reach this far.

    The detail says what it takes: an admin, a token where an access key was sent, or a key with
    a wider scope.
    """

    slug, kind, title = "forbidden", Kind.FORBIDDEN, "Not allowed with this credential"


class RegistrationClosed(DomainError):
    """Only admins create accounts here.

    Ask an admin for an account.
    """

    slug, kind, title = "registration-closed", Kind.FORBIDDEN, "Registration is closed"

    def __init__(self) -> None:
        super().__init__("Registration is closed; ask an admin for an account.")


class UserNotFound(DomainError):
    """No account has this uuid, snowflake or username.

    Find it in the list of users; to the existence check of a username, this is the answer 'no'.
    """

    slug, kind, title = "user-not-found", Kind.NOT_FOUND, "No such user"

    def __init__(self) -> None:
        super().__init__("There is no such user.")


class NotFound(DomainError):
    """There is nothing here: no such route, session, key, guild or server.

    Compare the address with the documentation: no slash at its end, and ids written in full.
    """

    slug, kind, title = "not-found", Kind.NOT_FOUND, "Not found"


class MethodNotAllowed(DomainError):
    """The route exists but does not take this HTTP method.

    Use one of the methods that the detail and the header Allow name.
    """

    slug, kind, title = "method-not-allowed", Kind.NOT_ALLOWED, "Method not allowed"

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        super().__init__(f"This route takes {', '.join(self.allowed)}.")


class LastAdmin(DomainError):
    """The change would leave the directory without an active admin.

    Make another account an admin first.
    """

    slug, kind, title = "last-admin", Kind.CONFLICT, "The last admin must stay"

    def __init__(self) -> None:
        super().__init__("The last active admin can be neither disabled nor demoted.")


class PreconditionFailed(DomainError):
    """The account is no longer in the state that If-Match names.

    Read the account again, decide again, and send the change with its new entity tag.
    """

    slug, kind, title = "precondition-failed", Kind.PRECONDITION, "The account has changed"

    def __init__(self) -> None:
        super().__init__("The account has changed since; read it again and retry.")


class PayloadTooLarge(DomainError):
    """The body is larger than any request needs.

    Send less at once: a batch can be cut in pieces.
    """

    slug, kind, title = "payload-too-large", Kind.TOO_LARGE, "The body is too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A body may have at most {limit} bytes.")


class UnsupportedMediaType(DomainError):
    """The body has a content type this route does not read.

    Say what the body is in the header Content-Type; the detail names what is read.
    """

    slug, kind, title = "unsupported-media-type", Kind.UNSUPPORTED, "Unsupported content type"

    def __init__(self, accepted: Iterable[str]) -> None:
        super().__init__(f"Send the body as {' or '.join(accepted)}.")


class RateLimited(DomainError):
    """Too much came from this address lately, or too many wrong passwords for this account.

    Wait for as many seconds as the detail and the header Retry-After say. Whoever has a valid token
    goes on as ever, and an admin can lift the lock of an account.
    """

    slug, kind, title = "rate-limited", Kind.TOO_MANY, "Too many attempts"

    def __init__(self, seconds: float) -> None:
        self.retry_after = max(1, ceil(seconds))
        super().__init__(f"Too many attempts; try again in {self.retry_after} seconds.")


class Internal(DomainError):
    """A fault of ours; nothing is told of it but a reference.

    Give the reference to whoever runs the gateway: it stands in the log beside the cause.
    """

    slug, kind, title = "internal", Kind.FAULT, "Internal error"

    def __init__(self, reference: str) -> None:
        super().__init__(reference)


class Overloaded(DomainError):
    """The work cannot be taken on now.

    Wait for as many seconds as the header Retry-After says, then send it again.
    """

    slug, kind, title = "overloaded", Kind.OVERLOADED, "Temporarily overloaded"

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("The directory is busy; try again shortly.")
        self.retry_after = retry_after


class UpstreamFailed(DomainError):
    """Another service that keeps the guilds or servers is down, or answers nothing of use.

    Try again later; everything else goes on. Whoever runs the gateway finds the reason in its log.
    """

    slug, kind, title = "upstream-failed", Kind.UPSTREAM, "Another service failed"

    def __init__(self, who: str) -> None:
        super().__init__(f"The {who} gives no answer that can be used; try again later.")


class UpstreamTimeout(DomainError):
    """Another service that keeps the guilds or servers did not answer in time.

    Try again later; everything else goes on. Whoever runs the gateway finds the reason in its log.
    """

    slug, kind, title = "upstream-timeout", Kind.UPSTREAM_SLOW, "Another service is too slow"

    def __init__(self, who: str) -> None:
        super().__init__(f"The {who} did not answer in time; try again later.")


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
    RateLimited,
    Internal,
    Overloaded,
    UpstreamFailed,
    UpstreamTimeout,
)
