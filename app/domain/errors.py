"""The error catalogue: each error of Gatehouse, once.

A class is a complete entry: routes, API documents and error pages are derived from it. The
docstring says when the error occurs and, in a second paragraph, what to do; both appear on its
page. Domain rules raise errors and never read their status or code, which are for the APIs.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from inspect import getdoc
from math import ceil
from typing import Any, ClassVar, Self

from app.domain.quoting import QUOTED_MAX, clip, quote
from app.domain.text import closest_match


class DomainError(Exception):
    """Base class of the catalogue. Raise a subclass; the text never contains a secret.

    `slug` is the stable name that clients match on, `title` is the same for every occurrence, and
    `detail` describes one occurrence. `status` is the HTTP status, `rpc_code` the JSON-RPC code
    with `?errors=problem`. Slugs and codes are never reused: a removed error leaves a gap.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    rpc_code: ClassVar[int]
    example_args: ClassVar[tuple[Any, ...]] = ()

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @classmethod
    def example(cls) -> Self:
        """Return an instance as the documents show it."""
        return cls(*cls.example_args)

    @classmethod
    def explanation(cls) -> tuple[str, str]:
        """Return when the error occurs, and what to do then."""
        when, what_to_do = (" ".join(part.split()) for part in (getdoc(cls) or "").split("\n\n"))
        return when, what_to_do


# Limits on what an error repeats, so that the response to a hostile input stays small.
FIELD_ERRORS_MAX = 10


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid member of an input, and the reason; an API may set the location it came in."""

    name: str
    detail: str
    location: str = "body"

    @classmethod
    def unknown(cls, name: str, known: Collection[str], location: str = "body") -> Self:
        """Return the error for a member that is not read, with the nearest of those that are."""
        nearest = closest_match(name, known, QUOTED_MAX)
        if nearest is not None:
            reason = f"the nearest is {nearest!r}"
        else:
            reason = f"known: {', '.join(known)}" if known else "nothing is read here"
        return cls(name, f"is not known here ({reason})", location)

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" if self.name else self.detail


class InvalidInput(DomainError):
    """A body, query or header does not have the form that the operation takes.

    Correct the members that the detail names; the same request fails again.
    """

    slug, title = "invalid-input", "The request is not well formed"
    status, rpc_code = 400, -32001
    example_args = ("username: is required", (FieldError("username", "is required"),))

    def __init__(self, detail: str, field_errors: Iterable[FieldError] = ()) -> None:
        super().__init__(detail)
        self.field_errors = tuple(field_errors)

    @classmethod
    def for_fields(cls, *field_errors: FieldError) -> Self:
        """Return an error that names the first few of `field_errors`."""
        named = [
            replace(field_error, name=clip(field_error.name))
            for field_error in field_errors[:FIELD_ERRORS_MAX]
        ]
        return cls("; ".join(map(str, named)), named)


class InvalidUsername(DomainError):
    """The username breaks a rule for names, or is reserved.

    Choose another name; the detail says which rule was broken.
    """

    slug, title = "invalid-username", "The username is invalid"
    status, rpc_code = 400, -32002
    example_args = ("The username admin is reserved; choose another one",)


class InvalidEmail(DomainError):
    """The e-mail address is invalid.

    Correct the address; the detail says what is wrong.
    """

    slug, title = "invalid-email", "The e-mail address is invalid"
    status, rpc_code = 400, -32003
    example_args = ("The e-mail address is invalid: it must have an @-sign.",)


class InvalidPresence(DomainError):
    """The presence is not one of the five values.

    Send ONLINE, IDLE, DND, INVISIBLE or OFFLINE, in capitals.
    """

    slug, title = "invalid-presence", "The presence is invalid"
    status, rpc_code = 400, -32004
    example_args = ("A presence must be one of ONLINE, IDLE, DND, INVISIBLE, OFFLINE, in capitals",)


class WeakPassword(DomainError):
    """The password breaks the password policy.

    Choose another password; the detail says which rule was broken.
    """

    slug, title = "weak-password", "The password is too weak"
    status, rpc_code = 400, -32005
    example_args = ("This password is too common; choose another one",)


class UsernameTaken(DomainError):
    """Another account has this name or one that looks like it, or the name is held back.

    Choose another name; users.check tells in advance if a name is available.
    """

    slug, title = "username-taken", "The username is already taken"
    status, rpc_code = 400, -32006
    example_args = ("user",)

    def __init__(
        self, username: str, *, is_similar: bool = False, similar_to: str | None = None
    ) -> None:
        """`is_similar`: no account has this name, but one has a name that looks like it;
        `similar_to` is that name, where it may be shown."""
        detail = f"User with username {username} already exists"
        if is_similar:
            detail = f"The username {username} is too similar to an existing one"
        super().__init__(detail if similar_to is None else f"{detail}: {similar_to}")


class EmailTaken(DomainError):
    """Another account has this e-mail address.

    Use another address, or remove it from the account that has it.
    """

    slug, title = "email-taken", "The e-mail address is already taken"
    status, rpc_code = 400, -32007
    example_args = ("new@example.com",)

    def __init__(self, email: str) -> None:
        super().__init__(f"User with email {email} already exists")


class InvalidCredentials(DomainError):
    """The username or the password is wrong; the error does not tell which.

    Ask the user for both again. An admin can set a new password for a user who forgot theirs.
    """

    slug = "invalid-credentials"
    title = "The username or password is incorrect"
    status, rpc_code = 401, -32008

    def __init__(self) -> None:
        super().__init__("invalid password")


_HOW = (
    "Send the token or access key as 'Authorization: Bearer TOKEN', as 'X-Access-Token: TOKEN', or "
    "at /rpc as the member 'auth'."
)


class CredentialFault(StrEnum):
    """Reasons for a request not to be authenticated, as sentences for its client.

    Revoked, forged and unknown credentials share one, so it does not reveal which of them it was.
    The others follow from the form of the request alone.
    """

    MISSING = (
        "No token or access key was sent. Send it as 'Authorization: Bearer TOKEN', as "
        "'X-Access-Token: TOKEN', or at /rpc as the member 'auth'."
    )
    MISPLACED = f"{{place}} is not read. {_HOW}"
    NO_BEARER = (
        "The header Authorization must begin with the word Bearer and one blank. Send "
        "'Authorization: Bearer TOKEN', where TOKEN is the token or access key."
    )
    BASIC = (
        "HTTP Basic is accepted only by POST /users/auth, which returns a token. Send "
        "'Authorization: Bearer TOKEN', where TOKEN is that token or an access key."
    )
    BEARER_IN_VALUE = (
        "The word Bearer is not part of a token or access key. Write it only once and only in the "
        "header Authorization; send X-Access-Token and the member 'auth' without it."
    )
    PLACEHOLDER = (
        "A placeholder was sent instead of a token or access key: a variable was not replaced or "
        "has no value. Send the token that users.auth returned, or an access key."
    )
    EXAMPLE = (
        "This access key is an example of the documentation. Send your own; keys.create and "
        "'gatehouse keys create' make one."
    )
    WHOLE_RESPONSE = (
        "The whole response to the login was sent. Send only the value of its member 'token'."
    )
    WRAPPED = (
        "Quotation marks, brackets, braces, commas and names such as 'token=' or 'JWT' are not "
        "part of a token or access key. Send it without them."
    )
    BLANKS = (
        "A blank or line break is not part of a token or access key. Remove it; text that is read "
        "from a file often ends with a line break."
    )
    NEITHER = (
        "This is neither a token, three parts separated by dots, nor an access key, groups of 8, "
        "4, 4, 4 and 8 characters separated by hyphens. Send the whole text that users.auth or "
        "keys.create returned."
    )
    EXPIRED = "The token has expired. Sign in again."
    INVALID = "The token or access key is not valid. Sign in again, or send another access key."


@dataclass(frozen=True, slots=True)
class MisplacedCredential:
    """A place where a request without a credential seems to have one; by default nowhere."""

    fault: CredentialFault = CredentialFault.MISSING
    place: str = ""


class Unauthenticated(DomainError):
    """No valid credential was sent: it is missing, written incorrectly, expired or invalid.

    Send the credential as the detail says, or sign in again. Revoked, forged and unknown
    credentials get the same detail; repeating the request does not help.
    """

    slug, title = "unauthenticated", "A valid credential is required"
    status, rpc_code = 401, -32009

    def __init__(self, fault: CredentialFault = CredentialFault.MISSING, place: str = "") -> None:
        """`place`: where a misplaced credential was found."""
        self.fault = fault
        super().__init__(fault.value.format(place=place) if place else fault.value)

    @property
    def has_credential(self) -> bool:
        """Return whether a credential was sent where one is read."""
        return self.fault not in _NOT_READ


_NOT_READ = {
    CredentialFault.MISSING,
    CredentialFault.MISPLACED,
    CredentialFault.NO_BEARER,
    CredentialFault.BASIC,
}


class WrongPassword(DomainError):
    """The current password of a signed-in user is wrong; their credential stays valid.

    Ask the user for the current password again; nothing was changed. Each wrong one counts like a
    failed login.
    """

    slug, title = "wrong-password", "The current password is wrong"
    status, rpc_code = 403, -32025

    def __init__(self) -> None:
        super().__init__("The current password is wrong; nothing was changed.")


class AccountDisabled(DomainError):
    """The password was right, but the account is disabled.

    Ask an admin to enable the account; until then none of its credentials work.
    """

    slug, title = "account-disabled", "The account is disabled"
    status, rpc_code = 403, -32010

    def __init__(self) -> None:
        super().__init__("This account is disabled; ask an admin to enable it.")


class Forbidden(DomainError):
    """The credential is valid but does not permit this request.

    The detail says what is required: admin privileges, a token instead of an access key, a key with
    a wider scope, or a page of a configured origin.
    """

    slug, title = "forbidden", "Not allowed with this credential"
    status, rpc_code = 403, -32011
    example_args = (
        "Admin privileges are required; access keys with the scope 'self' do not carry them.",
    )


class RegistrationClosed(DomainError):
    """Only admins can create accounts on this server.

    Ask an admin for an account.
    """

    slug, title = "registration-closed", "Registration is closed"
    status, rpc_code = 403, -32012

    def __init__(self) -> None:
        super().__init__("Registration is closed; ask an admin for an account.")


class UserNotFound(DomainError):
    """No account has this uuid, snowflake or username.

    Look the account up in the list of users. For the existence check of a username, this is the
    answer 'no'.
    """

    slug, title = "user-not-found", "No such user"
    status, rpc_code = 404, -32013

    def __init__(self, hint: str = "") -> None:
        """`hint`: how accounts are named, if the text names none."""
        super().__init__(f"There is no such user.{hint and ' '}{hint}")


class NotFound(DomainError):
    """There is no such route, session, key, guild or server.

    Compare the URL with the documentation: no trailing slash, and complete ids.
    """

    slug, title = "not-found", "Not found"
    status, rpc_code = 404, -32014
    example_args = ("There is no such access key.",)


class MethodNotAllowed(DomainError):
    """The route exists but does not support this HTTP method.

    Use one of the methods that the detail and the header Allow list.
    """

    slug, title = "method-not-allowed", "Method not allowed"
    status, rpc_code = 405, -32015
    example_args = (("GET", "PUT"),)

    def __init__(
        self, allowed: Iterable[str], *, sent: str = "", nearest: str | None = None
    ) -> None:
        """`sent`: the method; `nearest`: another path that may be meant."""
        self.allowed = tuple(sorted(allowed))
        sentence = f"This route supports {', '.join(self.allowed)}."
        if sent not in self.allowed and sent.upper() in self.allowed:
            sentence += f" Write {sent.upper()} in capitals."
        if nearest is not None:
            sentence += f" The nearest path is {nearest}."
        super().__init__(sentence)


class LastAdmin(DomainError):
    """The change would leave the directory without an active admin.

    Make another account an admin first.
    """

    slug, title = "last-admin", "The last admin must stay"
    status, rpc_code = 409, -32016

    def __init__(self) -> None:
        super().__init__(
            "The last active admin can be neither disabled nor demoted. Make another account an "
            "admin first."
        )


class RequestInFlight(DomainError):
    """Another request with the same Idempotency-Key is in progress.

    Repeat the request unchanged; it returns the response of the other one when that is complete.
    """

    slug = "request-in-flight"
    title = "A request with this Idempotency-Key is in flight"
    status, rpc_code = 409, -32022

    def __init__(self) -> None:
        super().__init__("Another request with this Idempotency-Key is in progress; try again.")


class PreconditionFailed(DomainError):
    """The account does not match If-Match or If-None-Match.

    Read the account again, decide again, and send the change with the new entity tag.
    """

    slug, title = "precondition-failed", "The account has changed"
    status, rpc_code = 412, -32017

    def __init__(self, detail: str = "The account has changed; read it again and retry.") -> None:
        super().__init__(detail)


class PayloadTooLarge(DomainError):
    """The body is larger than any request needs.

    Send less at once; for example, split a batch.
    """

    slug, title = "payload-too-large", "The body is too large"
    status, rpc_code = 413, -32018
    example_args = (1024 * 1024,)

    def __init__(self, limit: int) -> None:
        super().__init__(f"A body may have at most {limit} bytes. Send less at once.")


class UnsupportedMediaType(DomainError):
    """The body has a content type that this route does not accept, or a content coding such as
    gzip.

    Set the header Content-Type to a type that the detail names, and send no content coding.
    """

    slug, title = "unsupported-media-type", "Unsupported content type"
    status, rpc_code = 415, -32019
    example_args = (("application/json",),)

    def __init__(
        self, accepted: Sequence[str] = (), *, sent: str = "", is_coded: bool = False
    ) -> None:
        """`sent`: the content type of the body, if it has one."""
        self.is_coded = is_coded
        if is_coded:
            super().__init__("Send the body uncompressed, without the header Content-Encoding.")
            return
        first, *others = accepted
        also = f" (or {', '.join(others)})" if others else ""
        reason = (
            f"The content type {quote(sent)} is not accepted here."
            if sent
            else ("The request has no content type.")
        )
        super().__init__(
            f"{reason} Send the body as JSON with the header 'Content-Type: {first}'{also}."
        )


class RateLimited(DomainError):
    """Too many requests or failed logins came from this address, too many wrong passwords for this
    account, or too many changes by it.

    Wait for the number of seconds in the detail and in the header Retry-After. Valid tokens keep
    working, and an admin can unlock an account. If many users share one address, the operator can
    exempt it in GATEHOUSE_RATE_LIMIT_EXEMPT.
    """

    slug, title = "rate-limited", "Too many attempts"
    status, rpc_code = 429, -32021
    example_args = (30,)

    def __init__(self, seconds: float) -> None:
        self.retry_after = max(1, ceil(seconds))
        super().__init__(f"Too many attempts; try again in {self.retry_after} seconds.")


class Internal(DomainError):
    """An internal error; the response contains only a reference id.

    Give the reference to the operator of the gateway, who finds the cause under it in the log.
    """

    slug, title = "internal", "Internal error"
    status, rpc_code = 500, -32603
    example_args = ("9f0c2b8e6d3a4c51",)

    def __init__(self, reference: str) -> None:
        super().__init__(reference)


class Overloaded(DomainError):
    """The request cannot be processed now, or its outcome is unknown.

    Wait for the number of seconds in the header Retry-After, then repeat the request; if the detail
    says that the outcome is unknown, check the current state first.
    """

    slug, title = "overloaded", "Temporarily overloaded"
    status, rpc_code = 503, -32020

    def __init__(
        self,
        detail: str = "The directory is busy; try again shortly.",
        *,
        retry_after: int = 1,
        failing: Iterable[str] = (),
    ) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.failing = tuple(failing)


class UpstreamFailed(DomainError):
    """A service that manages the guilds or servers is down, or its response is unusable.

    Try again later; everything else keeps working. The operator of the gateway finds the reason in
    its log.
    """

    slug, title = "upstream-failed", "Another service failed"
    status, rpc_code = 502, -32023
    example_args = ("chat service",)

    def __init__(self, service: str) -> None:
        super().__init__(f"The {service} returned no usable response; try again later.")


class UpstreamTimeout(DomainError):
    """A service that manages the guilds or servers did not answer in time.

    Try again later; everything else keeps working. The operator of the gateway finds the reason in
    its log.
    """

    slug, title = "upstream-timeout", "Another service is too slow"
    status, rpc_code = 504, -32024
    example_args = ("panel",)

    def __init__(self, service: str) -> None:
        super().__init__(f"The {service} did not answer in time; try again later.")


CATALOGUE: tuple[type[DomainError], ...] = tuple(DomainError.__subclasses__())
