"""Values of a database that have another type than their column.

SQLite stores any value in any column (sqlite.org/flexible.html), and Gatehouse would fail at each
request that reads such a row.
"""

from typing import Any

from app.storage.errors import StoreError

# The storage class of each declared type in the schema.
_STORED = {
    "BIGINT": "integer",
    "BLOB": "blob",
    "BOOLEAN": "integer",
    "INTEGER": "integer",
    "VARCHAR": "text",
}
_TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_COLUMNS = "SELECT name, type FROM pragma_table_info(?)"


def require_declared_types(connection: Any, name: str) -> None:
    """Raise StoreError if a value has another type than its column.

    `connection` is the driver's; its schema is that of Gatehouse. `name` is that of the database.
    """
    for (table,) in connection.execute(_TABLES).fetchall():
        columns = connection.execute(_COLUMNS, [table]).fetchall()
        # The full-text index has columns of no type.
        wrong = [
            f"typeof(\"{column}\") NOT IN ('{_STORED[declared.partition('(')[0]]}', 'null')"
            for column, declared in columns
            if declared
        ]
        if wrong:
            query = f'SELECT 1 FROM "{table}" WHERE {" OR ".join(wrong)} LIMIT 1'  # noqa: S608
            if connection.execute(query).fetchone() is not None:
                raise StoreError(
                    f"{name}: the table {table} has a value that Gatehouse did not write: it has "
                    "another type than its column."
                )
