"""Hashes, tokens, identifiers, time and randomness: what the domain asks for through its ports.

The only room that may use the clock, random numbers, `passlib` or `jose`.
"""
