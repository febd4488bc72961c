"""The envelope parser on inputs generated from the corpus; `make fuzz` tries more of them."""

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import corpus
from tests.hostile.envelope import check, seeds

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
_ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | _VALUES,
        "method": st.text(max_size=8) | _VALUES,
        "params": _VALUES,
        "id": _VALUES,
        "auth": _VALUES,
        "more": _VALUES,
    },
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A seed with a few pieces cut out, doubled, or put in from elsewhere."""
    body = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 8)))
        piece = draw(
            st.binary(max_size=4) | st.sampled_from(_TOKENS) | st.just(body[start:end] * 2)
        )
        body[start:end] = piece
    return bytes(body)


_TOKENS = [b'"', b"\\", b"\\u", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"-", b".", b"e9"]
_TOKENS += [b"NaN", b"null", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b'"id":']


@pytest.mark.parametrize("body", seeds() + list(corpus.BODIES.values()))
def test_the_corpus_holds(body: bytes) -> None:
    check(body)


@given(mutated())
@settings(max_examples=6 * EXAMPLES)
def test_whatever_is_done_to_the_bytes_holds(body: bytes) -> None:
    check(body)


@given(_ENVELOPES | st.lists(_ENVELOPES, max_size=3))
@settings(max_examples=3 * EXAMPLES)
def test_whatever_the_members_are_holds(value: Any) -> None:
    check(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=64))
@settings(max_examples=2 * EXAMPLES)
def test_any_bytes_hold(body: bytes) -> None:
    check(body)
