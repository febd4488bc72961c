"""Every implementation of tokens."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jose.backends.cryptography_backend import CryptographyECKey as ECKey

from app.domain.credentials import RawAccessKey, TokenClaims
from app.domain.ports.services import Tokens
from app.security.key_files import KEY_FILE
from app.security.signing_keys import SigningKeyFile
from app.security.tokens import REREAD_KEYS_EVERY, JoseTokens
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import START, FakeClock
from tools.corpora.mint import Mint

pytestmark = pytest.mark.anyio

NOW = int(START.timestamp())
CLAIMS = TokenClaims(
    user_id=2**63 - 1,
    session_id="5b1c0f4e-6a1f-4d7e-9c55-2f9d2f6f0a11",
    issued_at=START,
    expires_at=START + timedelta(days=7),
    token_id="0f8fad5b-d9cb-469f-a165-70867728950e",
)


async def test_a_token_says_what_was_issued(tokens: Tokens) -> None:
    assert await tokens.verify(tokens.issue(CLAIMS)) == CLAIMS


async def test_each_token_says_its_own(tokens: Tokens) -> None:
    others = [replace(CLAIMS, user_id=n, token_id=CLAIMS.token_id[:-1] + str(n)) for n in (1, 2, 3)]
    issued = [tokens.issue(claims) for claims in others]
    assert [await tokens.verify(token) for token in issued] == others


async def test_a_token_that_has_expired_still_says_so(
    tokens: Tokens, turned_clock: FakeClock
) -> None:
    token = tokens.issue(CLAIMS)
    turned_clock.turn(timedelta(days=8))
    assert await tokens.verify(token) == CLAIMS


async def test_a_token_contains_dots_and_is_no_access_key(tokens: Tokens) -> None:
    token = tokens.issue(CLAIMS)
    assert token.count(".") == 2
    assert RawAccessKey.parse(token) is None


@pytest.mark.parametrize(
    "change", [str.upper, lambda t: t[:-1], lambda t: t + "x", lambda t: " " + t]
)
async def test_a_changed_token_says_nothing(tokens: Tokens, change: object) -> None:
    assert callable(change)
    assert await tokens.verify(change(tokens.issue(CLAIMS))) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "null",
        "ABCDEFGH-1234-5678-0000-abcdefgh",
        "é.é.é",
        "\ud800",
        "x" * 9999,
    ],
    ids=lambda text: ascii(text)[:20],
)
async def test_any_other_text_says_nothing(tokens: Tokens, text: str) -> None:
    assert await tokens.verify(text) is None


# ------------------------------------------------------------------------- our own keys


@pytest.fixture
async def keys(tmp_path: Path, turned_clock: FakeClock) -> tuple[JoseTokens, MemoryStore, str]:
    """Tokens of a key that is published, where that is, and the key's name."""
    store, signing = MemoryStore(), SigningKeyFile(tmp_path, turned_clock)
    kid = await signing.ensure(store)
    return JoseTokens(signing, store, turned_clock), store, kid


async def _retire_long_ago(store: MemoryStore, kid: str, clock: FakeClock) -> None:
    before = clock.now() - timedelta(days=1000)
    await store.write(lambda tx: tx.signing_keys.retire(kid, before))


@pytest.mark.parametrize("turned", [REREAD_KEYS_EVERY, -REREAD_KEYS_EVERY])
async def test_a_key_that_is_no_longer_trusted_is_noticed_within_a_minute(
    keys: tuple[JoseTokens, MemoryStore, str], turned_clock: FakeClock, turned: timedelta
) -> None:
    """Also where the clock was set back."""
    tokens, store, kid = keys
    token = tokens.issue(CLAIMS)
    assert await tokens.verify(token) == CLAIMS
    await _retire_long_ago(store, kid, turned_clock)
    turned_clock.turn(turned * 0.99)
    assert await tokens.verify(token) == CLAIMS
    turned_clock.turn(turned * 0.01)
    assert await tokens.verify(token) is None


@pytest.fixture
def two_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.security.tokens.VERIFIED_MAX", 2)


async def test_only_so_many_verified_tokens_are_kept(
    two_verified: None,
    keys: tuple[JoseTokens, MemoryStore, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest one is verified again when it comes back."""
    tokens, _, _ = keys
    verified: list[bytes] = []
    verify: Callable[[ECKey, bytes, bytes], bool] = ECKey.verify

    def counting(key: ECKey, message: bytes, signature: bytes) -> bool:
        verified.append(message)
        return verify(key, message, signature)

    monkeypatch.setattr(ECKey, "verify", counting)
    a, b, c = (tokens.issue(replace(CLAIMS, token_id=CLAIMS.token_id[:-1] + end)) for end in "123")
    for token, count in ((a, 1), (b, 2), (a, 2), (b, 2), (c, 3), (b, 3), (c, 3), (a, 4), (b, 5)):
        assert await tokens.verify(token) is not None
        assert len(verified) == count


@pytest.mark.parametrize(
    "claims",
    [
        *({"sub": sub} for sub in ("", "0", "-1", "x", str(2**63), "1.0")),
        *({name: text} for name in ("sid", "jti") for text in ("", "1", "x" * 36)),
        *({name: time} for name in ("iat", "exp") for time in (-1, 2**40, 1.5, "1", None)),
        *({name: 1} for name in ("iss", "aud", "sub", "sid", "jti")),
        {"iat": NOW + 60, "exp": NOW + 60},
        {"iat": NOW + 61, "exp": NOW + 60},
    ],
    ids=str,
)
async def test_a_claim_that_is_not_one_of_ours_makes_the_token_say_nothing(
    keys: tuple[JoseTokens, MemoryStore, str], tmp_path: Path, claims: dict[str, object]
) -> None:
    """By its reader already, and not only since no session has such a name."""
    tokens, _, _ = keys
    key = load_pem_private_key((tmp_path / KEY_FILE).read_bytes(), password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    mint = Mint.of(tokens.issue(CLAIMS), key)
    assert await tokens.verify(mint.token()) == CLAIMS
    assert await tokens.verify(mint.token(claims=claims)) is None


@pytest.mark.parametrize("kid", ["", "\0" * 43, "x", "é" * 43, "A" * 44, "../" * 20])
async def test_a_key_by_a_name_that_none_can_have_is_not_looked_up(
    keys: tuple[JoseTokens, MemoryStore, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kid: str,
) -> None:
    tokens, store, _ = keys
    key = load_pem_private_key((tmp_path / KEY_FILE).read_bytes(), password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    mint = Mint.of(tokens.issue(CLAIMS), key)

    async def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(store, "read", fail)
    assert await tokens.verify(mint.token({"kid": kid})) is None
