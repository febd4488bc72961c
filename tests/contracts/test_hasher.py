"""Every password hasher."""

import pytest

from app.domain.ports.services import PasswordCheck, PasswordHasher

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
WRONG = PasswordCheck(is_correct=False)


@pytest.mark.parametrize(
    "password", [PASSWORD, " ", "密码" * 64, "a:b$c\\d", "😀" * 128], ids=ascii
)
async def test_the_password_that_was_hashed_is_right(hasher: PasswordHasher, password: str) -> None:
    hashed = await hasher.hash(password)
    assert await hasher.verify(password, hashed) == PasswordCheck(is_correct=True)


@pytest.mark.parametrize(
    "other", [PASSWORD + " ", PASSWORD[:-1], PASSWORD.upper(), "", PASSWORD.replace("o", "0")]
)
async def test_any_other_password_is_wrong(hasher: PasswordHasher, other: str) -> None:
    assert await hasher.verify(other, await hasher.hash(PASSWORD)) == WRONG


async def test_a_long_password_counts_to_its_last_character(hasher: PasswordHasher) -> None:
    hashed = await hasher.hash("字" * 127 + "a")
    assert await hasher.verify("字" * 127 + "b", hashed) == WRONG


@pytest.mark.parametrize("password", [None, "", PASSWORD])
@pytest.mark.parametrize(
    "hashed", [None, "", "!", "garbage", "$argon2id$v=19$m=19456,t=2,p=1$", "plain" * 1000]
)
async def test_without_a_usable_hash_every_password_is_wrong(
    hasher: PasswordHasher, password: str | None, hashed: str | None
) -> None:
    assert await hasher.verify(password, hashed) == WRONG


async def test_no_password_is_wrong_for_every_hash(hasher: PasswordHasher) -> None:
    assert await hasher.verify(None, await hasher.hash(PASSWORD)) == WRONG


async def test_the_hashes_of_one_password_differ(hasher: PasswordHasher) -> None:
    assert await hasher.hash(PASSWORD) != await hasher.hash(PASSWORD)
