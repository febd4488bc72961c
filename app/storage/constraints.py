"""Which unique constraint stands for which refusal, whichever engine reports it."""

import re

from sqlalchemy.exc import IntegrityError

# SQLite names the columns of a broken constraint, not the constraint.
_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (?P<columns>[\w., ]+)")


def broken_constraint(error: IntegrityError) -> str | None:
    """The name of the unique constraint that `error` reports, as `tables.py` names it."""
    found = _SQLITE_COLUMNS.search(str(error.orig))
    if found is None:
        return None
    columns = [column.split(".") for column in found["columns"].split(", ")]
    return "_".join(["uq", columns[0][0], *(column[1] for column in columns)])
