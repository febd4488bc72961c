"""Errors that stop a start."""


class StoreError(RuntimeError):
    """The store cannot be used; the message says why."""
