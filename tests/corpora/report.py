"""One test for each class of vectors, with a failure that names every vector."""

from collections.abc import Iterable


def none_of(wrong: Iterable[str]) -> None:
    """Fail with the vectors that went wrong."""
    found = [*wrong]
    assert not found, f"{len(found)} vectors went wrong:\n" + "\n".join(found[:40])
