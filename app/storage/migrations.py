"""Bringing a database to the present schema. Each engine makes it all or nothing, under a lock."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from app.storage.errors import StoreError

if TYPE_CHECKING:
    # A quarter of a second of imports, and 15 MB, that a start without a migration never uses.
    from alembic.config import Config

_ROOT = Path(__file__).resolve().parents[2]

# How long a second migration waits for the first.
MIGRATION_TIMEOUT = 600.0

# What to do with a configuration of Alembic whose commands use one open transaction.
Steps = Callable[["Config"], None]


class SchemaError(StoreError):
    """The database's schema is not one that this release can work with."""


def to_head(config: "Config") -> None:
    """The steps to the present schema."""
    from alembic import command

    command.upgrade(config, "head")


def perform(connection: Connection, steps: Steps) -> None:
    """Do `steps` in the transaction of `connection`. Raises SchemaError."""
    require_known(connection)
    if steps is to_head and _present(connection) == revisions()[-1]:
        return
    steps(_alembic_config(connection))


def require_known(connection: Connection) -> None:
    """Raise SchemaError where a newer release has written the database."""
    present = _present(connection)
    if present is not None:
        require_known_revision(present)


def require_known_revision(revision: str) -> None:
    """Raise SchemaError for the revision of a newer release."""
    if revision not in revisions():
        raise SchemaError(
            f"The database is at schema {revision}, which this release does not know: "
            "it was written by a newer one. Install that release, or restore a backup."
        )


def require_current(connection: Connection) -> None:
    """Raise SchemaError where the database is not at the newest schema this release knows."""
    require_known(connection)
    present = _present(connection)
    if present is None:
        raise SchemaError("The database is empty: run 'gatehouse migrate' first.")
    if present != revisions()[-1]:
        raise SchemaError("The database has an older schema: run 'gatehouse migrate' first.")


@cache
def revisions() -> list[str]:
    """The revisions from the first to the newest: their files are named after them, in order.

    Raises SchemaError where they are not there, since a wheel carries `app` alone.
    """
    folder = _ROOT / "alembic" / "versions"
    found = sorted(path.name.partition("_")[0] for path in folder.glob("[0-9]*.py"))
    if not found:
        raise SchemaError(
            f"There are no migrations in {folder}: Gatehouse runs from a checkout of its source, "
            "or from an image."
        )
    return found


def _present(connection: Connection) -> str | None:
    """The database's revision, as Alembic keeps it; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _alembic_config(connection: Connection) -> "Config":
    """Alembic's configuration, wherever the process was started; its commands use `connection`."""
    from alembic.config import Config

    config = Config(_ROOT / "alembic.ini")
    config.set_main_option("script_location", str(_ROOT / "alembic"))
    config.attributes["connection"] = connection
    return config
