"""How Alembic reaches the database: through the connection that `app.storage.migrations` opened.

Run by Alembic itself. The `alembic` command, which brings no connection, gets the one of the
configured database, so that an engineer can draft a migration against it.
"""

from alembic import context
from alembic.config import Config

from app.bootstrap import database_of
from app.config import Settings
from app.storage.tables import tables_on

# Not SQLModel's: the index over pieces of names, on SQLite a table with shadow tables.
TEXT_INDEX = "users_text"


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether autogenerate compares this object with the models."""
    return kind not in {"table", "index"} or not (name or "").startswith(TEXT_INDEX)


def run() -> None:
    """Run the command's steps in the transaction that the connection already has."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=tables_on(connection.dialect.name),
        include_name=is_ours,
        render_as_batch=True,
        transactional_ddl=True,
        compare_type=True,
    )
    context.run_migrations()


def run_by_itself(config: Config) -> None:
    """The same on the connection of the configured database."""
    context.config.attributes.update(config.attributes)
    run()


if context.config.attributes.get("connection") is None:
    database_of(Settings()).migrate(run_by_itself)
else:
    run()
