"""Lazy loading of modules."""

import gc
import sys
from importlib import import_module

import pytest
from pydantic import BaseModel

from app.startup import fast_imports, hidden, replaced


def test_no_garbage_is_looked_for_while_modules_are_loaded_and_afterwards_it_is() -> None:
    kept = gc.get_freeze_count()
    with fast_imports():
        assert not gc.isenabled()
        made: list[list[int]] = [[] for _ in range(10)]
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() > kept + len(made)
    finally:
        gc.unfreeze()


def test_garbage_is_looked_for_again_where_a_module_cannot_be_loaded() -> None:
    with pytest.raises(ImportError), fast_imports():
        import_module("app.nothing")
    gc.unfreeze()
    assert gc.isenabled()


def test_models_declared_during_imports_are_built_when_they_are_used() -> None:
    with fast_imports():

        class Tree(BaseModel):
            children: list["Tree"] = []

        Tree.model_rebuild()

    assert not Tree.__pydantic_complete__
    assert Tree.model_validate({"children": [{}]}).children == [Tree()]


def test_other_models_are_built_where_they_are_declared() -> None:
    with fast_imports():
        pass

    class Leaf(BaseModel):
        number: int

    assert Leaf.__pydantic_complete__
    assert Leaf.model_rebuild(force=True)


def test_a_hidden_module_is_not_found_until_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with hidden("this"), pytest.raises(ImportError):
        import_module("this")
    assert "this" not in sys.modules


def test_each_name_of_a_replaced_module_is_none_until_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with replaced("this"):
        assert import_module("this").zen is None
    assert "this" not in sys.modules


def test_a_loaded_module_is_not_hidden() -> None:
    with hidden("sys"):
        assert import_module("sys") is sys
