"""Rows as JSON that the database itself writes: one text in the place of many values."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    String,
    Table,
    case,
    func,
    literal_column,
)

from app.domain.json_rows import RowShape
from app.storage.dialect import EngineDialect


def member(dialect: EngineDialect, table: Table, key: str, shape: RowShape) -> ColumnElement[str]:
    """`"key":{…}`, each row of `table` in its shape; a text without a line break."""
    template = ""
    values: list[ColumnElement[Any]] = [dialect.json_of(table.c[key])]
    for name, source in shape.members:
        column, label = table.c[source], f'{"," if template else ""}"{name}":'
        if name in shape.only_set:
            template += "%s"
            values.append(case((column, _text(f"{label}1")), else_=_text("")))
        else:
            template += f"{label}%s"
            values.append(_value(dialect, column))
    # Both engines have this function. It takes less time than to concatenate the parts.
    return func.format(_text(f"%s:{{{template}}}"), *values, type_=String())


def joined(
    dialect: EngineDialect, texts: ColumnElement[str], separator: str
) -> ColumnElement[str | None]:
    """All texts of a subquery as one, in its order; null where there is none."""
    return dialect.join(texts, _text(separator))


def _value(dialect: EngineDialect, column: Column[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, Boolean):
        return case((column, _text("1")), else_=_text("0"))
    # `format` writes a number as text.
    return column if column.type.python_type is int else dialect.json_of(column)


def _text(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'", String())
