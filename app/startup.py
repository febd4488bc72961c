"""Faster imports."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def fast_imports() -> Iterator[None]:
    """Import modules without garbage collection, and exclude them from it afterwards.

    They stay for the life of the process, and collection takes a seventh of a start. Pydantic's
    models are built at their first use; most processes never use those of FastAPI and SQLModel.
    """
    gc.disable()
    try:
        with _deferred_models():
            yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _deferred_models() -> Iterator[None]:
    """Have pydantic build the models of this block, and models derived from them, when used."""
    from pydantic import BaseModel

    config, rebuild = BaseModel.model_config, BaseModel.__dict__["model_rebuild"]

    def rebuild_when_used(cls: type[BaseModel], /, **options: Any) -> bool | None:
        # FastAPI completes recursive models without options, pydantic used ones with some.
        return rebuild.__func__(cls, **options) if options else None

    BaseModel.model_config = {**config, "defer_build": True}
    BaseModel.model_rebuild = classmethod(rebuild_when_used)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        BaseModel.model_config = config
        BaseModel.model_rebuild = rebuild  # type: ignore[method-assign]


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Hide a module from imports that use it only if it is installed."""
    # Python raises ModuleNotFoundError for a module that is None here.
    with _in_place_of(name, None):
        yield


@contextmanager
def replaced(name: str) -> Iterator[None]:
    """Replace a module for imports that take names from it and never use them."""
    with _in_place_of(name, _Placeholder(name)):
        yield


class _Placeholder(ModuleType):
    """A module in which each name is None."""

    def __getattr__(self, name: str) -> None:
        return None


@contextmanager
def _in_place_of(name: str, replacement: ModuleType | None) -> Iterator[None]:
    if name in sys.modules:
        yield
        return
    sys.modules[name] = replacement  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
