"""Rows as JSON that the database itself writes: one text in the place of many values."""

from functools import reduce
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    String,
    Table,
    case,
    cast,
    func,
    literal_column,
)

from app.domain.shapes import Shape


def member(engine: str, table: Table, key: str, shape: Shape) -> ColumnElement[str]:
    """`"key":{…}`, each row of `table` in its shape; a text without a line break."""
    parts = [_QUOTED[engine](table.c[key]), _text(":{")]
    comma = ""
    for name, source in shape.members:
        column = table.c[source]
        label = f'{comma}"{name}":'
        if name in shape.only_set:
            parts.append(case((column, _text(f"{label}1")), else_=_text("")))
        else:
            parts += [_text(label), _value(engine, column)]
        comma = ","
    return reduce(lambda whole, part: whole.concat(part), [*parts, _text("}")])


def joined(engine: str, texts: ColumnElement[str], separator: str) -> ColumnElement[str | None]:
    """All texts of a subquery as one, in its order; null where there is none."""
    return _JOINED[engine](texts, _text(separator), type_=String())


def _value(engine: str, column: Column[Any]) -> ColumnElement[str]:
    if isinstance(column.type, Boolean):
        return case((column, _text("1")), else_=_text("0"))
    if column.type.python_type is int:
        return cast(column, String)
    return _QUOTED[engine](column)


def _quoted_by_sqlite(column: Column[Any]) -> ColumnElement[str]:
    return func.json_quote(column, type_=String())


def _quoted_by_postgresql(column: Column[Any]) -> ColumnElement[str]:
    return func.coalesce(cast(func.to_json(column), String), _text("null"))


_JOINED = {"sqlite": func.group_concat, "postgresql": func.string_agg}
_QUOTED = {"sqlite": _quoted_by_sqlite, "postgresql": _quoted_by_postgresql}


def _text(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'", String())
