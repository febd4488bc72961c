"""Alembic's environment, on the connection that `app.storage.migrations` opened.

Alembic runs this file. The `alembic` command, which has no connection, gets one to the
configured database, so that a migration can be drafted from it.
"""

from alembic import context
from alembic.config import Config

from app.container import database_of
from app.settings import load_settings
from app.storage.tables import tables_on

# Not part of the models: the trigram index, on SQLite a table with shadow tables.
TEXT_INDEX = "users_text"


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Return whether autogenerate compares this object with the models."""
    return kind not in {"table", "index"} or not (name or "").startswith(TEXT_INDEX)


def run() -> None:
    """Run the migrations in the connection's open transaction."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=tables_on(connection.dialect.name),
        include_name=is_ours,
        render_as_batch=True,
        transactional_ddl=True,
        compare_type=True,
        on_version_apply=context.config.attributes.get("on_version_apply"),
    )
    context.run_migrations()


def run_by_itself(config: Config) -> None:
    """Run the migrations on a connection to the configured database."""
    context.config.attributes.update(config.attributes)
    run()


if context.config.attributes.get("connection") is None:
    database_of(load_settings()).migrate(run_by_itself)
else:
    run()
