"""The error catalogue: complete, without doubles, and saying what the wire contract says."""

from collections.abc import Iterator

import pytest

from app.domain import errors
from app.domain.errors import CATALOGUE, DomainError
from app.domain.policy import Access

# HTTP status and JSON-RPC code by slug, independently of the code: none of them may change, and
# those of an error that goes may not be given to another.
NUMBERS = {
    "invalid-input": (400, -32001),
    "invalid-username": (400, -32002),
    "invalid-email": (400, -32003),
    "invalid-presence": (400, -32004),
    "weak-password": (400, -32005),
    "username-taken": (400, -32006),
    "email-taken": (400, -32007),
    "invalid-credentials": (401, -32008),
    "unauthenticated": (401, -32009),
    "wrong-password": (403, -32025),
    "account-disabled": (403, -32010),
    "forbidden": (403, -32011),
    "registration-closed": (403, -32012),
    "user-not-found": (404, -32013),
    "not-found": (404, -32014),
    "method-not-allowed": (405, -32015),
    "last-admin": (409, -32016),
    "request-in-flight": (409, -32022),
    "precondition-failed": (412, -32017),
    "payload-too-large": (413, -32018),
    "unsupported-media-type": (415, -32019),
    "rate-limited": (429, -32021),
    "internal": (500, -32603),
    "upstream-failed": (502, -32023),
    "overloaded": (503, -32020),
    "upstream-timeout": (504, -32024),
}


def descendants(error: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in error.__subclasses__():
        yield child
        yield from descendants(child)


def test_every_error_is_in_the_catalogue() -> None:
    assert set(descendants(DomainError)) == set(CATALOGUE)


def test_every_error_has_the_status_and_the_code_that_it_was_given() -> None:
    numbers = {error.slug: (error.status, error.rpc_code) for error in CATALOGUE}
    assert numbers == NUMBERS


def test_no_slug_stands_for_two_errors() -> None:
    slugs = [error.slug for error in CATALOGUE]
    assert len(slugs) == len(set(slugs))


@pytest.mark.parametrize("error", CATALOGUE)
def test_every_error_has_a_title_and_an_example(error: type[DomainError]) -> None:
    assert error.title
    assert error.example().detail


def test_no_json_rpc_code_stands_for_two_errors() -> None:
    codes = [error.rpc_code for error in CATALOGUE]
    assert len(codes) == len(set(codes))


def test_every_code_but_that_of_an_internal_error_is_in_the_range_for_servers() -> None:
    codes = {error.rpc_code for error in CATALOGUE if error is not errors.Internal}
    assert max(codes) == -32001
    assert min(codes) >= -32099


def test_the_example_of_forbidden_is_the_sentence_for_admins() -> None:
    assert errors.Forbidden.example().detail == Access.ADMIN.refusal


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
        (
            errors.UsernameTaken("demol", is_similar=True),
            "The username demol is too similar to an existing one",
        ),
        (errors.EmailTaken("a@example.com"), "User with email a@example.com already exists"),
        (errors.InvalidCredentials(), "invalid password"),
        (errors.Internal("ref-1"), "ref-1"),
    ],
)
def test_the_sentences_of_the_contract_are_literal(error: DomainError, detail: str) -> None:
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
    field_error = errors.FieldError("name", "is missing")
    assert errors.InvalidInput("name: is missing", iter([field_error])).field_errors == (
        field_error,
    )
