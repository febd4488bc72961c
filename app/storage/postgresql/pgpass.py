"""Passwords from libpq's password file (postgresql.org/docs/current/libpq-pgpass.html).

The driver reads them too, but keeps the backslashes before colons.
"""

import os
from contextlib import suppress
from pathlib import Path

from app.domain.text import Pattern

_FIELD = r"((?:\\.|[^:\\])*)"
_LINE_MAX = 64 * 1024
_LINE = Pattern(f"{_FIELD}:{_FIELD}:{_FIELD}:{_FIELD}:(.*)", _LINE_MAX)
_ESCAPED = Pattern(r"\\(.)", _LINE_MAX)


def find_password(
    named: str | None, *, host: str | None, port: int, database: str, user: str
) -> str | None:
    """Return the password from the file `named`, PGPASSFILE or `~/.pgpass`. Raises OSError.

    Like libpq, ignore a default file that others may read.
    """
    file = Path(named or os.environ.get("PGPASSFILE") or "~/.pgpass")
    with suppress(RuntimeError):
        # Without a home directory there is no such file.
        file = file.expanduser()
    if named is None and not os.access(file, os.R_OK):
        return None
    if file.stat().st_mode & 0o077:
        if named is None:
            return None
        raise PermissionError(f"passfile: others may read {file}: chmod 600")
    wanted = (host or "localhost", str(port), database, user)
    for line in file.read_text("utf-8").splitlines():
        found = None if line.startswith("#") else _LINE.fullmatch(line)
        if found is None:
            continue
        *fields, password = (_ESCAPED.sub(r"\1", field) for field in found.groups())
        if all(field in {"*", value} for field, value in zip(fields, wanted, strict=True)):
            return password
    return None
