"""What stops a start; the sentence says why."""


class StoreError(RuntimeError):
    """The store cannot be worked with."""
