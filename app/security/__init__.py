"""Implementations of the domain's ports for hashes, tokens, ids, time, randomness and rate limits.

The only package that may use the clock, random numbers, `passlib` or `jose`.
"""

from app.startup import replaced

# python-jose and cryptography import them for keys in forms that we never use; they take 20 ms.
with (
    replaced("cryptography.x509"),
    replaced("cryptography.hazmat.primitives.serialization.ssh"),
):
    import jose.jwk  # noqa: F401
