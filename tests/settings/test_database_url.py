"""PostgreSQL's URLs, by libpq's rules."""

from pathlib import Path
from urllib.parse import quote

import pytest

from app.database_url import PostgresUrl

SECRET = "geheim4711"


def parse(url: str) -> PostgresUrl:
    return PostgresUrl.parse(url)


@pytest.mark.parametrize(
    ("url", "parameters"),
    [
        (
            "postgresql://me:secret@db.example.com:5433/accounts",
            {
                "user": "me",
                "password": "secret",
                "host": "db.example.com",
                "port": "5433",
                "dbname": "accounts",
            },
        ),
        ("postgres:///accounts", {"dbname": "accounts"}),
        ("postgresql://?dbname=a&host=/run/postgresql", {"dbname": "a", "host": "/run/postgresql"}),
        ("postgresql://%2Frun%2Fpostgresql/a", {"dbname": "a", "host": "/run/postgresql"}),
        ("postgresql://h/a?user=me%40realm&ssl=true", {"user": "me@realm", "sslmode": "require"}),
        # The parameters come last, so they count.
        ("postgresql://u@h/a?host=other&user=me", {"host": "other", "user": "me", "dbname": "a"}),
        ("postgresql://h/a?sslmode=&password=", {"host": "h", "dbname": "a"}),
    ],
)
def test_a_url_is_read_as_libpq_reads_it(url: str, parameters: dict[str, str]) -> None:
    found = parse(url).parameters
    assert {name: found[name] for name in parameters} == parameters
    assert "" not in found.values()


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("postgresql://a,b:5433,[fd00::1]:5434/x", [("a", 5432), ("b", 5433), ("fd00::1", 5434)]),
        ("postgresql:///x?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql:///x?host=a,::1&port=1", [("a", 1), ("::1", 1)]),
        ("postgresql://:5433/x?host=/srv", [("/srv", 5433)]),
        ("postgresql:///x", [(None, 5432)]),
    ],
)
def test_several_hosts_have_ports_of_their_own(
    url: str, addresses: list[tuple[str | None, int]]
) -> None:
    assert parse(url).addresses == addresses


@pytest.mark.parametrize(
    "password", ["a b+c", "p@ss:w/o?r#d&d=%20", "100%", "grün", "'\"\\", "$x;`y`", "@", "a@b@c"]
)
def test_a_password_has_any_characters(password: str) -> None:
    encoded = quote(password, safe="")
    for url in (f"postgresql://me:{encoded}@h/a", f"postgresql://h/a?password={encoded}"):
        assert parse(url).parameters["password"] == password


@pytest.mark.parametrize("password", ["a@b", "a?b", "a#b", "a:b", "100%", "a&b=c", "a+b"])
def test_a_password_that_is_not_encoded_is_read_where_libpq_reads_it(password: str) -> None:
    assert parse(f"postgresql://me:{password}@h/a").parameters["password"] == password


def test_options_are_settings_of_the_server() -> None:
    url = r"postgresql:///a?options=-c%20geqo%3Doff%20--search-path%3Da,b%20-cx.y%3D1\%202"
    assert parse(url).options == {"geqo": "off", "search_path": "a,b", "x.y": "1 2"}


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql:a", "postgresql://USER:PASSWORD@HOST/NAME"),
        ("postgresql+asyncpg://h/a", "postgresql://USER:PASSWORD@HOST/NAME"),
        ("postgresql://h", "postgresql://USER:PASSWORD@HOST/NAME"),
        ("postgresql://h/", "postgresql://USER:PASSWORD@HOST/NAME"),
        ("postgresql://h/a?pgbouncer=true", "'pgbouncer' is not a supported parameter"),
        ("postgresql://h/a?sslmode=on", "sslmode must be one of disable, allow, prefer, require"),
        ("postgresql://h/a?sslmode=verify_full", "sslmode must be one of"),
        ("postgresql://h/a?sslmode=require&sslrootcert=system", "requires sslmode=verify-full"),
        ("postgresql://h/a?channel_binding=require", "channel_binding must be one of"),
        ("postgresql://h/a?target_session_attrs=standby", "target_session_attrs must be one of"),
        ("postgresql://h/a?client_encoding=latin1", "client_encoding must be one of"),
        ("postgresql://h/a?connect_timeout=soon", "connect_timeout must be a number"),
        ("postgresql://h/a?options=-B%2010", "as -c NAME=VALUE"),
        ("postgresql://h/a?options=-c", "as -c NAME=VALUE"),
        ("postgresql://h:0/a", "from 1 to 65535"),
        ("postgresql://h:65536/a", "from 1 to 65535"),
        ("postgresql://h:99999999999999999999/a", "a port must be a number"),
        ("postgresql://h/a?host=a,b&port=1,2,3", "one for each host"),
        ("postgresql://a,,b/a", "each of several hosts must have a name"),
        ("postgresql://h/a%00", "without control characters"),
        ("postgresql://h/%ff", "UTF-8"),
        ("postgresql://h/a\n", "postgresql://USER:PASSWORD@HOST/NAME"),
        ("postgresql://h/a?service=nowhere", "no service 'nowhere' in"),
    ],
)
def test_an_unusable_url_is_refused_with_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        parse(url)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}/x@h/a",
        f"postgresql://me:{SECRET}?x/y@h/a",
        f"postgresql://me:1?{SECRET}=x/@h/a",
        f"postgresql://me:x/y?{SECRET}@h/a",
        f"postgresql://me:{SECRET}@h",
        f"postgresql://me:{SECRET}@h:port/a",
        f"postgresql://h/a?password={SECRET}&sslmode={SECRET}",
        f"postgresql://h/a?sslpassword={SECRET}&colour=blue",
    ],
)
def test_no_refusal_has_a_part_of_a_password(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        parse(url)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgres://me:{SECRET}@h:5433/a", "postgresql://me:***@h:5433/a"),
        (f"postgresql://h/a?password={SECRET}&sslpassword={SECRET}", "postgresql://:***@h/a"),
        ("postgresql://me@[fd00::1],b/a%20b", "postgresql://me@[fd00::1],b/a%20b"),
        ("postgresql:///a?host=/run/postgresql", "postgresql:///a?host=/run/postgresql"),
    ],
)
def test_it_is_shown_without_secrets(url: str, shown: str) -> None:
    found = parse(url)
    assert str(found) == shown
    assert SECRET not in repr(found)


def test_a_service_file_has_what_the_url_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "services"
    file.write_text("[other]\nhost=x\n[gate]\nhost=db\ndbname=a\nuser=me\npassword=100%#\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    found = parse("postgresql://?service=gate&user=you").parameters
    assert found["user"] == "you"
    assert (found["host"], found["dbname"], found["password"]) == ("db", "a", "100%#")
