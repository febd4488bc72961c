"""Differences of a database's schema, triggers included, from the one that the migrations create.

A foreign trigger runs with the privileges of the writer, and a dropped or disabled guard protects
nothing; neither is visible in the rows.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from app.storage.tables import tables_on

# The guard on PostgreSQL, as `alembic/versions/0005_audit.py` creates it.
_GUARD = "audit_refuse"
_GUARD_SOURCE = (
    "BEGIN RAISE EXCEPTION 'the audit trail is only added to' "
    "USING ERRCODE = 'integrity_constraint_violation'; END"
)
# The trigram index is not part of the models.
_TEXT_INDEX = "users_text"


def postgres_differences(connection: Connection) -> list[str]:
    """Return the differences from the schema of this release, as phrases."""
    return [*_other_tables(connection), *_other_guards(connection)]


def _other_tables(connection: Connection) -> Iterator[str]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    options = {"compare_type": True, "include_name": _is_modelled}
    context = MigrationContext.configure(connection, opts=options)
    changes = compare_metadata(context, tables_on("postgresql"))
    for change in changes:
        # Changes of one column come as a list.
        step, *about = change[0] if isinstance(change, list) else change
        named = [getattr(part, "name", part) for part in about]
        yield f"{step.replace('_', ' ')} {'.'.join(str(n) for n in named if isinstance(n, str))}"


def _is_modelled(name: str | None, kind: str, _parents: object) -> bool:
    if kind == "table":
        return name in tables_on("postgresql").tables
    return kind != "index" or not (name or "").startswith(_TEXT_INDEX)


def _other_guards(connection: Connection) -> Iterator[str]:
    triggers = list(connection.execute(_TRIGGERS))
    for trigger in triggers:
        if trigger.enabled not in {"O", "A"}:
            what = "a foreign key" if trigger.is_internal else f"the trigger {trigger.name}"
            yield f"{what} of {trigger.table} is disabled"
        elif not (trigger.is_internal or trigger.is_guard):
            yield f"the trigger {trigger.name} of {trigger.table} is not as Gatehouse makes it"
    if not any(trigger.is_guard for trigger in triggers):
        yield f"the trigger {_GUARD} is missing"
    source = connection.scalar(_SOURCE, {"guard": _GUARD})
    if " ".join((source or "").split()) != _GUARD_SOURCE:
        yield f"the function {_GUARD} is not as Gatehouse makes it"
    for table, name in connection.execute(_RULES):
        yield f"the rule {name} of {table} is not Gatehouse's"
    for (table,) in connection.execute(_POLICIES):
        yield f"the table {table} has row security"
    if connection.scalar(text("SHOW session_replication_role")) == "replica":
        yield "session_replication_role is 'replica', so no trigger fires"


# 58: a statement trigger BEFORE UPDATE, DELETE or TRUNCATE (pg_trigger.h: 2 + 16 + 8 + 32).
_TRIGGERS = text(
    """
    SELECT c.relname AS table, t.tgname AS name, t.tgenabled::text AS enabled,
           t.tgisinternal AS is_internal,
           c.relname = 'audit' AND p.proname = 'audit_refuse' AND p.pronamespace = c.relnamespace
               AND t.tgtype = 58 AND t.tgqual IS NULL AND t.tgattr::text = '' AS is_guard
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = current_schema()::regnamespace
    """
)
_SOURCE = text(
    "SELECT prosrc FROM pg_proc WHERE proname = :guard "
    "AND pronamespace = current_schema()::regnamespace"
)
_RULES = text("SELECT tablename, rulename FROM pg_rules WHERE schemaname = current_schema()")
_POLICIES = text(
    "SELECT relname FROM pg_class WHERE relrowsecurity "
    "AND relnamespace = current_schema()::regnamespace"
)
