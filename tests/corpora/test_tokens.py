"""Forged and unusual tokens, held against the reader of tokens and against both APIs."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.domain.ports.store import Transaction
from app.domain.signing_keys import PublicKey
from app.security.key_files import KEY_FILE
from tests.corpora.report import none_of
from tests.fakes.ports import START
from tests.gateway import Gateway
from tools.corpora.mint import Mint
from tools.corpora.signatures import EdgeKey, edge_keys
from tools.corpora.tokens import forged_tokens, right_tokens

pytestmark = pytest.mark.anyio

IN, OUT = (200, True), (401, False)


@pytest.fixture(scope="module")
async def mint(standing: tuple[Gateway, Path]) -> Mint:
    """The key that the gateway signs with, and what it says of `alice`."""
    gateway, folder = standing
    key = load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Mint.of(await gateway.log_in("alice"), key)


@pytest.fixture(scope="module")
async def edges(standing: tuple[Gateway, Path], mint: Mint) -> list[EdgeKey]:
    """Keys that fit unusual signatures, published as if a replica had made them."""
    gateway, _ = standing
    made = [*edge_keys(mint)]
    keys = [PublicKey(key.kid, key.jwk, START, None, START, START) for key in made]

    def publish(tx: Transaction) -> None:
        for key in keys:
            tx.signing_keys.publish(key)

    await gateway.services.store.write(publish)
    return made


async def _answers(gateway: Gateway, token: str) -> set[tuple[int, bool]]:
    """The outcomes of a token, as a header holds it: of the reader, REST and JSON-RPC."""
    claims = await gateway.services.tokens.verify(token)
    if claims is not None and claims.expires_at <= gateway.clock.now():
        claims = None
    reply = await gateway.rpc("users.self", auth=token, query="?errors=problem")
    problem = reply.get("error", {}).get("data", {"status": 200})
    found = {
        (200 if claims else 401, claims is not None),
        (problem["status"], "result" in reply),
    }
    # White space around a field's value is no part of it, and a field has no NUL or newline.
    if token == token.strip() and not {"\0", "\n", "\r"} & {*token}:
        headers = {b"X-Access-Token": token.encode()}
        answer = await gateway.client.get("/users/@self", headers=headers)
        found.add((answer.status_code, "username" in answer.json()))
    return found


async def _wrong(gateway: Gateway, tokens: dict[str, str], right: tuple[int, bool]) -> list[str]:
    answers = {about: await _answers(gateway, token) for about, token in tokens.items()}
    return [f"{about}: {found}" for about, found in answers.items() if found != {right}]


async def test_right_tokens_are_let_in_however_they_are_written(
    standing: tuple[Gateway, Path], mint: Mint
) -> None:
    for tokens in right_tokens(mint).values():
        none_of(await _wrong(standing[0], tokens, IN))


FORGERIES = [
    *("alg none", "an HMAC with the public key", "another algorithm", "a broken signature"),
    *("another curve or kind of key", "a key that comes with the token", "header members"),
    *("kid", "duplicate members", "segments", "base64url", "changed after signing"),
    *("no JSON in the header", "no JSON in the payload", "size and depth"),
]


@pytest.fixture(scope="module")
def forged(mint: Mint) -> dict[str, dict[str, str]]:
    return forged_tokens(mint)


@pytest.mark.parametrize("group", FORGERIES)
async def test_forged_tokens_are_refused(
    standing: tuple[Gateway, Path], forged: dict[str, dict[str, str]], group: str
) -> None:
    none_of(await _wrong(standing[0], forged[group], OUT))


async def test_signatures_at_the_edges_are_let_in_where_they_are_right(
    standing: tuple[Gateway, Path], edges: list[EdgeKey]
) -> None:
    for key in edges:
        none_of(await _wrong(standing[0], key.right, IN))


async def test_signatures_beside_the_edges_are_refused(
    standing: tuple[Gateway, Path], edges: list[EdgeKey]
) -> None:
    for key in edges:
        none_of(await _wrong(standing[0], key.wrong, OUT))


async def test_a_signature_is_right_for_its_own_key_alone(
    standing: tuple[Gateway, Path], edges: list[EdgeKey]
) -> None:
    wrong = {}
    # The key next to some has the twin of their signature.
    for key, other in zip(edges, edges[2:], strict=False):
        header = next(iter(other.right.values())).partition(".")[0]
        for about, token in key.right.items():
            wrong[about] = f"{header}.{token.partition('.')[2]}"
    none_of(await _wrong(standing[0], wrong, OUT))


async def test_all_that_was_forged_changed_nothing(
    standing: tuple[Gateway, Path], mint: Mint, forged: dict[str, dict[str, str]]
) -> None:
    assert sorted(forged, key=FORGERIES.index) == FORGERIES
    assert sum(map(len, forged.values())) >= 401
    assert await _answers(standing[0], mint.token()) == {IN}
