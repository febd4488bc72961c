"""A migration rebuilds name claims and address keys, and no user loses anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection

from app.storage.sqlite.store import SqliteFile
from tests.databases import ENGINES, Database, ask, new_store, tables, within

FAR = 4_000_000_000_000
DOT, ACUTE = "\u0307", "\u0301"


@pytest.fixture(params=ENGINES)
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of the release before."""
    with new_store(request.param, tmp_path) as database:
        database.migrate(lambda config: command.upgrade(config, "0009"))
        yield database


def add(
    database: Database, *users: dict[str, Any], claims: list[tuple[str, int, int | None]]
) -> None:
    def insert(connection: Connection) -> None:
        there = tables(connection)
        for number, user in enumerate(users, 1):
            row = {
                "number": number,
                "id": number,
                "uuid": f"uuid {number}",
                "display_name": "name",
                "email_key": "",
                "admin": False,
                "disabled": False,
                "version": 1,
            }
            connection.execute(there.tables["users"].insert().values(row | user))
        for skeleton, user_id, held_until in claims:
            row = {"skeleton": skeleton, "user_id": user_id, "held_until": held_until}
            connection.execute(there.tables["name_claims"].insert().values(row))

    within(database, insert)


def claims_of(database: Database) -> set[tuple[str, int, int | None]]:
    return set(ask(database, "SELECT skeleton, user_id, held_until FROM name_claims"))


def test_a_claim_moves_to_what_its_name_looks_like_today(before: Database) -> None:
    add(
        before,
        {"username": f"di{DOT}na"},
        {"username": f"jos\u00e9{ACUTE}"},
        {"username": "plain"},
        {"username": "erd\u0151s"},
        claims=[
            (f"di{DOT}na", 1, None),
            (f"jose{ACUTE}{ACUTE}", 2, None),
            ("plain", 3, None),
            (f"erdo{ACUTE}{ACUTE}s", 4, None),
            (f"li{DOT}nda", 3, FAR),
        ],
    )
    before.migrate()
    assert claims_of(before) == {
        ("dina", 1, None),
        (f"jose{ACUTE}", 2, None),
        ("plain", 3, None),
        (f"erdo{ACUTE}{ACUTE}s", 4, None),
        ("linda", 3, FAR),
    }


def test_of_two_accounts_that_look_alike_each_keeps_its_name(before: Database) -> None:
    add(
        before,
        {"username": f"di{DOT}na"},
        {"username": "dina"},
        {"username": f"d\u0131{DOT}na"},
        {"username": f"ni{DOT}la"},
        {"username": f"n\u0131{DOT}la"},
        claims=[
            (f"di{DOT}na", 1, None),
            ("dina", 2, None),
            ("nila", 2, FAR),
            (f"old {DOT}", 3, None),
            (f"ni{DOT}la", 4, None),
            (f"older {DOT}", 5, None),
        ],
    )
    users = ask(before, "SELECT id, username FROM users ORDER BY id")
    before.migrate()
    assert ask(before, "SELECT id, username FROM users ORDER BY id") == users
    # Its user keeps it, and a name held for another user stays held.
    assert claims_of(before) == {
        (f"di{DOT}na", 1, None),
        ("dina", 2, None),
        ("nila", 2, FAR),
        (f"old {DOT}", 3, None),
        (f"ni{DOT}la", 4, None),
        (f"older {DOT}", 5, None),
    }


def test_expired_claims_and_own_claims_block_no_user(
    before: Database,
) -> None:
    add(
        before,
        {"username": f"di{DOT}na"},
        {"username": f"ni{DOT}la"},
        {"username": "other"},
        claims=[
            (f"di{DOT}na", 1, None),
            ("dina", 3, 1),
            (f"ni{DOT}la", 2, None),
            ("nila", 2, FAR),
            ("other", 3, None),
        ],
    )
    before.migrate()
    assert claims_of(before) == {("dina", 1, None), ("nila", 2, None), ("other", 3, None)}


def test_the_domain_of_an_address_is_no_longer_folded(before: Database) -> None:
    add(
        before,
        {
            "username": "one",
            "email": "\u00d1a@stra\u00dfe.example",
            "email_key": "\u00f1a@strasse.example",
        },
        {"username": "two", "email": "Me@example.com", "email_key": "me@example.com"},
        {"username": "three"},
        claims=[],
    )
    before.migrate()
    assert ask(before, "SELECT email_key FROM users ORDER BY id") == [
        ("\u00f1a@stra\u00dfe.example",),
        ("me@example.com",),
        ("",),
    ]
    if isinstance(before, SqliteFile):
        found = "SELECT rowid FROM users_text WHERE users_text MATCH 'email_key : \"stra\u00dfe\"'"
        assert ask(before, found) == [(1,)]
