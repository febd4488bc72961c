"""Implementations of the domain's ports for hashes, tokens, ids, time, randomness and rate limits.

The only package that may use the clock, random numbers, `passlib` or `jose`.
"""
