"""Bringing a database to the present schema. Each engine makes it all or nothing, under a lock."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.storage.errors import StoreError

_ROOT = Path(__file__).resolve().parents[2]

# How long a second migration waits for the first.
MIGRATION_TIMEOUT = 600.0

# What to do with a configuration of Alembic whose commands use one open transaction.
Steps = Callable[[Config], None]


class SchemaError(StoreError):
    """The database's schema is not one that this release can work with."""


def to_head(config: Config) -> None:
    """The steps to the present schema."""
    command.upgrade(config, "head")


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, wherever the process was started; its commands use `connection`."""
    config = Config(_ROOT / "alembic.ini")
    config.set_main_option("script_location", str(_ROOT / "alembic"))
    config.attributes["connection"] = connection
    return config


def require_known(connection: Connection) -> None:
    """Raise SchemaError where a newer release has written the database."""
    script = ScriptDirectory.from_config(alembic_config())
    present = MigrationContext.configure(connection).get_current_revision()
    known = {step.revision for step in script.walk_revisions()}
    if present is not None and present not in known:
        raise SchemaError(
            f"The database is at schema {present}, which this release does not know: "
            "it was written by a newer one. Install that release, or restore a backup."
        )


def require_current(connection: Connection) -> None:
    """Raise SchemaError where the database is not at the newest schema this release knows."""
    require_known(connection)
    script = ScriptDirectory.from_config(alembic_config())
    present = MigrationContext.configure(connection).get_current_revision()
    if present is None:
        raise SchemaError("The database is empty: run 'gatehouse migrate' first.")
    if present != script.get_current_head():
        raise SchemaError("The database has an older schema: run 'gatehouse migrate' first.")
