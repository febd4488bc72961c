"""The life of a signing key: published, signing, retired, trusted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.credentials import SESSION_MAX
from app.domain.signing_keys import (
    KEY_LEASE,
    LEASE_RENEWED_AFTER,
    PUBLISHED_AHEAD,
    PublicKey,
)
from app.rest.system import JWKS_MAX_AGE
from tests.fakes.ports import START

TICK = timedelta(milliseconds=1)
FIRST = PublicKey.publish("first", "{}", [], START)
OTHER = replace(FIRST, kid="other", renewed_at=START + SESSION_MAX)
# npm's jose, createRemoteJWKSet: how long an unknown `kid` does not make it fetch again.
COOLDOWN = timedelta(seconds=30)


def test_the_first_key_of_a_store_signs_at_once() -> None:
    assert FIRST.can_sign(START)


@pytest.mark.parametrize("age", [timedelta(), timedelta(hours=1), KEY_LEASE + SESSION_MAX - TICK])
def test_a_key_signs_five_minutes_after_it_was_published_beside_one_that_is_trusted(
    age: timedelta,
) -> None:
    now = START + age
    key = PublicKey.publish("second", "{}", [FIRST], now, replaces="first")
    assert not key.can_sign(now + PUBLISHED_AHEAD - TICK)
    assert key.can_sign(now + PUBLISHED_AHEAD)
    assert key.is_trusted(now)


def test_keys_that_are_no_longer_trusted_delay_no_new_key() -> None:
    now = START + KEY_LEASE + SESSION_MAX
    assert PublicKey.publish("second", "{}", [FIRST], now).can_sign(now)


def test_a_key_is_published_for_longer_than_caches_and_cooldowns_last() -> None:
    assert timedelta(seconds=JWKS_MAX_AGE) + COOLDOWN < PUBLISHED_AHEAD


def test_a_key_whose_lease_ended_has_retired_and_is_trusted_while_its_tokens_live() -> None:
    ends = START + KEY_LEASE
    assert FIRST.ends_at == ends
    assert FIRST.is_trusted(ends + SESSION_MAX - TICK)
    assert not FIRST.is_trusted(ends + SESSION_MAX)
    assert not FIRST.can_sign(ends + SESSION_MAX)


def test_a_retired_key_does_not_sign() -> None:
    retired = replace(FIRST, retired_at=START + TICK)
    assert not retired.can_sign(START + TICK)
    assert retired.ends_at == START + TICK
    assert not retired.needs_renewal(START + KEY_LEASE)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_lease_is_renewed_every_hour_wherever_the_clock_goes(sign: int) -> None:
    key = replace(FIRST, signs_from=START - KEY_LEASE)
    assert not key.needs_renewal(START + sign * (LEASE_RENEWED_AFTER - TICK))
    now = START + sign * LEASE_RENEWED_AFTER
    assert key.needs_renewal(now)
    assert key.renewed([], now).ends_at == now + KEY_LEASE


def test_a_key_that_was_gone_for_too_long_is_published_as_if_it_were_new() -> None:
    now = START + KEY_LEASE + SESSION_MAX
    assert FIRST.renewed([FIRST], now).signs_from == now
    renewed = FIRST.renewed([OTHER], now)
    assert renewed.is_trusted(now)
    assert renewed.signs_from == now + PUBLISHED_AHEAD


def test_a_clock_that_was_set_back_makes_no_key_wait_longer_than_a_new_one() -> None:
    now = START - timedelta(days=3650)
    assert FIRST.needs_renewal(now)
    assert FIRST.renewed([FIRST, OTHER], now).signs_from == now + PUBLISHED_AHEAD
    assert FIRST.renewed([FIRST], now).signs_from == now


def test_a_key_that_is_to_sign_later_than_a_new_one_would_is_renewed_at_once() -> None:
    """The time comes from a clock that was ahead; the lease itself is fresh."""
    at_most = replace(FIRST, renewed_at=START, signs_from=START + PUBLISHED_AHEAD)
    assert not at_most.needs_renewal(START)
    assert replace(at_most, signs_from=at_most.signs_from + TICK).needs_renewal(START)
