"""Implementations of the domain's ports for hashes, tokens, ids, time, randomness and rate limits.

The only package that may use the clock, random numbers, `passlib` or `jose`.
"""

from app.startup import hidden

# python-jose imports it for the keys of certificates, which we never use; it takes 15 ms.
with hidden("cryptography.x509", load_pem_x509_certificate=None):
    import jose.jwk  # noqa: F401
