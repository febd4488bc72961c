"""How modules are loaded quickly."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_to_collect() -> Iterator[None]:
    """Load modules without looking for garbage among them, now or later.

    They stay for as long as the process, and looking takes a seventh of a start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Load modules that would load this one if it were there, and can do without."""
    if name in sys.modules:
        yield
        return
    # Python's own way to say that there is no such module.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
