"""Migrations of the schema. On each engine a migration is all or nothing, under a lock."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from sqlalchemy import Connection, String, column, inspect, select, table, update

from app.storage.errors import StoreError

if TYPE_CHECKING:
    # A quarter of a second of imports, and 15 MB, that a start without a migration never uses.
    from alembic.config import Config
    from alembic.runtime.migration import MigrationInfo

_LOG = logging.getLogger("gatehouse.store")

_PACKAGE = Path(__file__).resolve().parents[1]
# The wheel has alembic/ inside the package (pyproject.toml); a checkout has it beside the package.
_PACKAGED = _PACKAGE / "migrations"
_MIGRATIONS = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent / "alembic"

# How long a second migration waits for the first.
MIGRATION_TIMEOUT = 600.0

# Alembic's table, with one row.
REVISION_TABLE = table("alembic_version", column("version_num", String))
# Precedes the revision of a database into which rows are being copied.
_UNFINISHED = "unfinished-copy-"

# A function that runs Alembic's commands with a configuration bound to one open transaction.
Steps = Callable[["Config"], None]


class SchemaError(StoreError):
    """This release cannot use the database's schema."""


def to_head(config: "Config") -> None:
    """Migrate to the newest schema."""
    from alembic import command

    command.upgrade(config, "head")


def upgrade_to(revision: str) -> Steps:
    """Return the steps to the schema of an earlier release."""

    def steps(config: "Config") -> None:
        from alembic import command

        command.upgrade(config, revision)

    return steps


@dataclass(slots=True)
class Migration:
    """The log lines of a migration of an existing database: from, to, each step, the times."""

    source: str
    target: str
    _began: float = field(default_factory=monotonic)
    _step_began: float = field(default_factory=monotonic)

    def log_begin(self) -> None:
        _LOG.info("Migrating the database from schema %s to %s.", self.source, self.target)

    def log_step(self, *, step: "MigrationInfo", **_: object) -> None:
        """Log a step that has run; Alembic calls this with its own arguments."""
        now = monotonic()
        took = now - self._step_began
        _LOG.info("The step to schema %s took %.3f s.", step.up_revision_id, took)
        self._step_began = now

    def log_end(self) -> None:
        """Call this after the commit."""
        took = monotonic() - self._began
        _LOG.info(
            "Migrated the database from schema %s to %s in %.3f s.", self.source, self.target, took
        )


def perform(connection: Connection, steps: Steps) -> Migration | None:
    """Run `steps` in the transaction of `connection`. Raises SchemaError.

    Return the migration of an existing database to the newest schema.
    """
    require_known(connection)
    present = _present(connection)
    if steps is to_head and present == revisions()[-1]:
        return None
    if steps is not to_head or present is None:
        steps(_alembic_config(connection))
        return None
    migration = Migration(present, revisions()[-1])
    migration.log_begin()
    config = _alembic_config(connection)
    config.attributes["on_version_apply"] = migration.log_step
    steps(config)
    return migration


def require_known(connection: Connection) -> None:
    """Raise SchemaError if this release has no migration to or from the database's schema."""
    present = _present(connection)
    if present is not None:
        require_known_revision(present)


def require_known_revision(revision: str) -> None:
    """Raise SchemaError for a revision of another version, and for an unfinished copy."""
    if revision.startswith(_UNFINISHED):
        raise SchemaError(
            "The database is an unfinished copy of another one. Run 'gatehouse copy' again, or "
            "set GATEHOUSE_DATABASE_URL to the database that was to be copied."
        )
    known = revisions()
    if revision in known:
        return
    if revision.isdecimal() and revision > known[-1]:
        origin = (
            "it was written by a newer one. Install that release, or restore a backup of "
            f"schema {known[-1]} or older."
        )
    else:
        origin = (
            "it was written by a version between two releases. Install that version again, or "
            "restore a backup that a release wrote."
        )
    raise SchemaError(
        f"The database is at schema {revision}, which this release does not know: {origin}"
    )


def begin_copy(connection: Connection) -> None:
    """Create the schema of a database without rows, and mark it as an unfinished copy.

    A database with an older schema is migrated. Raises SchemaError for a newer one.
    """
    present = _present(connection)
    if present is not None and present.startswith(_UNFINISHED):
        _set_revision(connection, present.removeprefix(_UNFINISHED))
    perform(connection, to_head)
    _set_revision(connection, f"{_UNFINISHED}{revisions()[-1]}")


def end_copy(connection: Connection) -> None:
    """Remove the mark of `begin_copy`."""
    _set_revision(connection, revisions()[-1])


def _set_revision(connection: Connection, revision: str) -> None:
    connection.execute(update(REVISION_TABLE).values(version_num=revision))


def require_current(connection: Connection) -> None:
    """Raise SchemaError unless the database has the newest schema of this release."""
    require_known(connection)
    present = _present(connection)
    if present is None:
        raise SchemaError("The database is empty: run 'gatehouse migrate' first.")
    if present != revisions()[-1]:
        raise SchemaError("The database has an older schema: run 'gatehouse migrate' first.")


@cache
def revisions() -> list[str]:
    """Return the revisions from the first to the newest; the names of the files begin with them.

    Raises SchemaError if there are none.
    """
    folder = _MIGRATIONS / "versions"
    found = sorted(path.name.partition("_")[0] for path in folder.glob("[0-9]*.py"))
    if not found:
        raise SchemaError(f"There are no migrations in {folder}. Install Gatehouse again.")
    return found


def _present(connection: Connection) -> str | None:
    """Return the database's revision, or None for an empty database."""
    if not inspect(connection).has_table(REVISION_TABLE.name):
        return None
    revision: str | None = connection.scalar(select(REVISION_TABLE.c.version_num))
    return revision


def _alembic_config(connection: Connection) -> "Config":
    """Return Alembic's configuration, independent of the working directory, for `connection`."""
    from alembic.config import Config

    config = Config()
    # ConfigParser interpolates a single '%'.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
