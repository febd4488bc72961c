"""Everything that is wrong with the settings is named at once."""

from pathlib import Path

import pytest

from app.environment import SettingsError
from app.settings import FAULTS_MAX, load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def faults() -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return str(refused.value).splitlines()


def test_lines_names_files_and_values_are_named_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "GATEHOUSE_PORT=eight\n"
        "GATEHOUSE_HOST: ::1\n"
        "GATEHOUSE_REGISTRATOIN=closed\n"
        'GATEHOUSE_METRICS="off\n'
        "GATEHOUSE_PORT=9000\n"
        "GATEHOUSE_PANEL_TOKEN_FILE=token\n"
        "GATEHOUSE_PANEL_URL=https://panel.example.com\n"
    )
    monkeypatch.setenv("GATEHOUSE_WORKERS", "0")
    monkeypatch.setenv("GATEHOUSE_WORKER", "2")
    monkeypatch.setenv("GATEHOUSE_CHAT_URL", "ftp://chat.example.com")
    monkeypatch.setenv("GATEHOUSE_PORT_FILE", "port")
    assert faults() == [
        ".env, line 2: the line cannot be parsed; write NAME=VALUE.",
        ".env, line 4: the line cannot be parsed; write NAME=VALUE.",
        ".env, line 5: GATEHOUSE_PORT is already set in line 1.",
        "There is no setting GATEHOUSE_PORT_FILE. Only secrets can be in a file; "
        "set GATEHOUSE_PORT.",
        "There is no setting GATEHOUSE_REGISTRATOIN (.env, line 3). "
        "The nearest is GATEHOUSE_REGISTRATION.",
        "There is no setting GATEHOUSE_WORKER. The nearest is GATEHOUSE_WORKERS.",
        "GATEHOUSE_PANEL_TOKEN_FILE: the file cannot be read: No such file or directory. "
        "Write the path of a file, not the secret.",
        "GATEHOUSE_PORT: must be a whole number.",
        "GATEHOUSE_WORKERS: must be at least 1.",
        "GATEHOUSE_CHAT_URL: the URL must have the form https://chat.example.com/internal, "
        "without credentials, query and fragment.",
    ]


def test_a_name_that_resembles_none_has_no_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_COLOUR", "blue")
    assert faults() == ["There is no setting GATEHOUSE_COLOUR."]


def test_a_file_of_another_kind_is_not_listed_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("a: b\n" * 1000)
    found = faults()
    assert len(found) == FAULTS_MAX + 1
    assert found[-1] == f"There are {1000 - FAULTS_MAX} more faults."


def test_a_long_name_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_" + "X" * 100_000, "1")
    assert len("".join(faults())) < 200


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("#" * (1024 * 1024))
    load_settings()
    (tmp_path / ".env").write_text("#" * (1024 * 1024 + 1))
    assert faults() == ["The file .env has more than 1024 KiB."]


# ------------------------------------------------------------------------- secrets in files

SECRETS = {
    "DATABASE_URL": "postgresql://me:s3cr#t@db.example.com/accounts",
    "REDIS_URL": "redis://:s3cret@redis.example.com/1",
    "CHAT_TOKEN": "s3cret",
    "PANEL_TOKEN": "$(s3cret)'\"\\",
    "BOOTSTRAP_ADMIN_KEY": "QXWCEKRT-a1b2-c3d4-e5f6-g7h8j9km",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put each secret into a file, with the line break that most editors write."""
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(f"{value}\n")
        monkeypatch.setenv(f"GATEHOUSE_{name}_FILE", name)
    monkeypatch.setenv("GATEHOUSE_CHAT_URL", "https://chat.example.com")
    monkeypatch.setenv("GATEHOUSE_PANEL_URL", "https://panel.example.com")
    return tmp_path


def test_every_secret_is_read_from_its_file(files: Path) -> None:
    def read() -> dict[str, str]:
        settings = load_settings()
        return {name: getattr(settings, name.lower()) for name in SECRETS}

    assert read() == SECRETS
    (files / "CHAT_TOKEN").write_bytes(b"\xef\xbb\xbfs3cret\r\n\n")
    assert read() == SECRETS
    (files / "absolute").symlink_to(files / "CHAT_TOKEN")
    (files / ".env").write_text(f"GATEHOUSE_CHAT_TOKEN_FILE={files / 'absolute'}\n")
    assert read() == SECRETS


def test_no_error_shows_what_is_in_a_file(files: Path) -> None:
    for name, value in SECRETS.items():
        (files / name).write_text(f"mysql: {value} {value}")
    shown = faults()
    assert len(shown) == len(SECRETS)
    assert "s3cr" not in "".join(shown)
    assert SECRETS["BOOTSTRAP_ADMIN_KEY"] not in "".join(shown)


def test_a_secret_is_set_in_one_way(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_CHAT_TOKEN", "another")
    (files / ".env").write_text("GATEHOUSE_REDIS_URL=redis://elsewhere\n")
    assert faults() == [
        f"GATEHOUSE_{name} and GATEHOUSE_{name}_FILE are both set; remove one of them."
        for name in ("REDIS_URL", "CHAT_TOKEN")
    ]


def test_a_file_that_cannot_be_read_is_named_once(files: Path) -> None:
    (files / "REDIS_URL").unlink()
    (files / "REDIS_URL").mkdir()
    (files / "CHAT_TOKEN").write_bytes(b"\xff")
    (files / "PANEL_TOKEN").write_text("\n")
    (files / "BOOTSTRAP_ADMIN_KEY").write_text("x" * (256 * 1024 + 1))
    names = ("REDIS_URL", "CHAT_TOKEN", "PANEL_TOKEN", "BOOTSTRAP_ADMIN_KEY")
    reasons = ("is a directory", "is not in UTF-8", "is empty", "has more than 256 KiB")
    assert faults() == [
        f"GATEHOUSE_{name}_FILE: the file {name} {reason}."
        for name, reason in zip(names, reasons, strict=True)
    ]


def test_a_secret_in_place_of_its_path_is_not_repeated(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Text of an absolute path, of a URL, of a path below a file, of a name that is too long.
    for name, secret in zip(
        SECRETS, ("/s3cret", "a://b:s3cret@c", "REDIS_URL/s3cret"), strict=False
    ):
        monkeypatch.setenv(f"GATEHOUSE_{name}_FILE", secret)
    monkeypatch.setenv("GATEHOUSE_PANEL_TOKEN_FILE", "s3cret" * 1000)
    shown = faults()
    assert len(shown) == 4
    assert "s3cr" not in "".join(shown)
    assert all(line.endswith("Write the path of a file, not the secret.") for line in shown)
