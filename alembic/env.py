"""How Alembic reaches the database: through the connection that `app.storage.migrations` opened.

Run by Alembic itself. The `alembic` command, which brings no connection, gets the one of the
configured database, so that an engineer can draft a migration against it.
"""

from alembic import context

from app.config import Settings
from app.storage.migrations import migration
from app.storage.tables import metadata

# Kept by triggers, not by SQLModel: the full-text index over users and its shadow tables.
TEXT_INDEX = "users_text"


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether autogenerate compares this object with the models."""
    return kind != "table" or not (name or "").startswith(TEXT_INDEX)


def run() -> None:
    """Run the command's steps in the transaction that the connection already has."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        include_name=is_ours,
        render_as_batch=True,
        transactional_ddl=True,
        compare_type=True,
    )
    context.run_migrations()


if context.config.attributes.get("connection") is None:
    with migration(Settings().sqlite_path) as opened:
        context.config.attributes.update(opened.attributes)
        run()
else:
    run()
