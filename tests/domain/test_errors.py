"""The error catalogue: complete, without doubles, and saying what the wire contract says."""

from collections.abc import Iterator

import pytest

from app.domain import errors
from app.domain.errors import CATALOGUE, DomainError

# The first column of the contract's last table of section 4, so far as the release has it.
SLUGS = {
    "invalid-input",
    "invalid-username",
    "invalid-email",
    "invalid-presence",
    "weak-password",
    "username-taken",
    "email-taken",
    "invalid-credentials",
    "unauthenticated",
    "account-disabled",
    "forbidden",
    "registration-closed",
    "user-not-found",
    "not-found",
    "method-not-allowed",
    "last-admin",
    "precondition-failed",
    "payload-too-large",
    "unsupported-media-type",
    "internal",
    "overloaded",
}
LATER = {"rate-limited", "request-in-flight", "upstream-failed", "upstream-timeout"}


def descendants(error: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in error.__subclasses__():
        yield child
        yield from descendants(child)


def test_every_error_is_in_the_catalogue() -> None:
    assert set(descendants(DomainError)) == set(CATALOGUE)


def test_every_slug_is_one_of_the_contract() -> None:
    slugs = {error.slug for error in CATALOGUE}
    assert slugs >= SLUGS
    assert slugs <= SLUGS | LATER


def test_no_slug_stands_for_two_errors() -> None:
    slugs = [error.slug for error in CATALOGUE]
    assert len(slugs) == len(set(slugs))


@pytest.mark.parametrize("error", CATALOGUE)
def test_every_error_has_a_title_and_a_kind(error: type[DomainError]) -> None:
    assert error.title
    assert isinstance(error.kind, errors.Kind)


@pytest.mark.parametrize("error", CATALOGUE)
def test_every_error_says_when_it_comes_and_what_to_do_then(error: type[DomainError]) -> None:
    for sentence in error.explanation():
        assert sentence.endswith(".")


def test_no_title_stands_for_two_errors() -> None:
    titles = [error.title for error in CATALOGUE]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (errors.UsernameTaken("demo1"), "User with username demo1 already exists"),
        (errors.EmailTaken("a@example.com"), "User with email a@example.com already exists"),
        (errors.InvalidCredentials(), "invalid password"),
        (errors.Internal("ref-1"), "ref-1"),
    ],
)
def test_the_sentences_of_the_contract_are_said_literally(error: DomainError, detail: str) -> None:
    assert error.detail == str(error) == detail


@pytest.mark.parametrize(
    "error", [errors.Unauthenticated, errors.AccountDisabled, errors.RegistrationClosed]
)
def test_an_error_that_must_not_tell_more_has_one_sentence(
    error: type[errors.Unauthenticated],
) -> None:
    assert error().detail == error().detail != ""


def test_a_method_that_is_not_allowed_names_those_that_are() -> None:
    error = errors.MethodNotAllowed(["PUT", "GET"])
    assert error.allowed == ("GET", "PUT")
    assert "GET, PUT" in error.detail


def test_invalid_input_carries_its_flaws() -> None:
    flaw = errors.Flaw("name", "is missing")
    assert errors.InvalidInput("name: is missing", iter([flaw])).flaws == (flaw,)
