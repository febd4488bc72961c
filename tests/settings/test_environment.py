"""Variables that others add are ignored; each line of `.env` is read, or stops the start."""

import os
from pathlib import Path

import pytest

from app.environment import SettingsError
from app.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dotenv(text: str | bytes) -> None:
    octets = text.encode() if isinstance(text, str) else text
    Path(".env").write_bytes(octets)


def refusal() -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return str(refused.value)


# ------------------------------------------------------------------------------ Kubernetes

SERVICE = {
    "GATEHOUSE_SERVICE_HOST": "10.96.0.12",
    "GATEHOUSE_SERVICE_PORT": "8000",
    "GATEHOUSE_SERVICE_PORT_HTTP": "8000",
    "GATEHOUSE_PORT": "tcp://10.96.0.12:8000",
    "GATEHOUSE_PORT_8000_TCP": "tcp://10.96.0.12:8000",
    "GATEHOUSE_PORT_8000_TCP_PROTO": "tcp",
    "GATEHOUSE_PORT_8000_TCP_PORT": "8000",
    "GATEHOUSE_PORT_8000_TCP_ADDR": "10.96.0.12",
    "GATEHOUSE_SERVICE_PORT_METRICS_V2": "9000",
    "GATEHOUSE_PORT_53_UDP": "udp://[fd00::12]:53",
    "GATEHOUSE_PORT_53_UDP_ADDR": "fd00::12",
    "GATEHOUSE_REDIS_SERVICE_HOST": "10.96.0.13",
    "GATEHOUSE_REDIS_PORT": "tcp://10.96.0.13:6379",
    "GATEHOUSE_REDIS_PORT_6379_TCP_PROTO": "tcp",
    "GATEHOUSE_HEADLESS_SERVICE_HOST": "None",
    "GATEHOUSE_NAME": "/proxy/gatehouse",
}


def test_names_of_a_kubernetes_service_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICE.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == Settings()


def test_beside_them_settings_of_the_same_name_count_in_dotenv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEHOUSE_PORT", SERVICE["GATEHOUSE_PORT"])
    dotenv("GATEHOUSE_PORT=9000\n")
    assert load_settings().port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEHOUSE_PORT", "eight"),
        ("GATEHOUSE_PORT", "http://10.96.0.12:8000"),
        ("GATEHOUSE_SERVICE_HOST", "id.example.com"),
        ("GATEHOUSE_SERVICE_PORT", "http"),
        ("GATEHOUSE_PORTS", "8000"),
        ("GATEHOUSE_PORT_8000", "8000"),
        ("GATEHOUSE_REGISTRATIONS", "closed"),
        ("GATEHOUSE_NAME", "gatehouse"),
        ("GATEHOUSE_", "x"),
    ],
)
def test_a_mistyped_setting_still_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert name in refusal()


# ------------------------------------------------------------------------------------ .env


@pytest.mark.parametrize(
    "line",
    [
        "GATEHOUSE_REGISTRATION=closed",
        " export  GATEHOUSE_REGISTRATION = 'closed'  # nobody signs up",
        'gatehouse_registration="closed"',
        "WORD=closed\nGATEHOUSE_REGISTRATION=${WORD}",
        "GATEHOUSE_REGISTRATION=${WORD:-closed}",
        "KEY='begins\nends'\nGATEHOUSE_REGISTRATION=closed",
        "OTHER\nGATEHOUSE_REGISTRATION=closed\r\n",
        "OTHER=1\nOTHER=${UNDEFINED}\nGATEHOUSE_REGISTRATION=closed",
        "MY_GATEHOUSE_REGISTRATION=open\nGATEHOUSE_REGISTRATION=closed",
        "OTHER=1 # GATEHOUSE_REGISTRATION=open\nGATEHOUSE_REGISTRATION=closed",
    ],
)
def test_a_line_that_is_well_formed_is_read(line: str) -> None:
    dotenv(f"# settings\n\n{line}\n")
    assert load_settings().registration == "closed"


@pytest.mark.parametrize(
    "line",
    [
        "GATEHOUSE_REGISTRATION: closed",
        "GATEHOUSE_REGISTRATION : closed",
        "GATEHOUSE_REGISTRATION:closed",
        "GATEHOUSE_REGISTRATION:",
        "GATEHOUSE_REGISTRATION",
        "GATEHOUSE_REGISTRATION closed",
        "GATEHOUSE REGISTRATION=closed",
        "GATEHOUSE-REGISTRATION=closed",
        "gatehouse.registration=closed",
        "OTHER=1 GATEHOUSE_REGISTRATION=closed",
        "GATEHOUSE_RESERVED_NAMES=bob gatehouse_registration=closed",
        "Environment=GATEHOUSE_REGISTRATION=closed",
        "Environment=\"OTHER=1\" 'GATEHOUSE_REGISTRATION=closed'",
        "- GATEHOUSE_REGISTRATION=closed",
        "set GATEHOUSE_REGISTRATION=closed",
        "$env:GATEHOUSE_REGISTRATION = 'closed'",
        '"GATEHOUSE_REGISTRATION"=closed',
        "\u200bGATEHOUSE_REGISTRATION=closed",
        'GATEHOUSE_REGISTRATION="closed',
        "GATEHOUSE_REGISTRATION='closed",
        'GATEHOUSE_REGISTRATION="closed" open',
        'OTHER="never closed\nGATEHOUSE_REGISTRATION=closed\nNEXT="x"',
        "=closed",
        "GATEHOUSE_REGISTRATION=${WORD}",
        "[gatehouse]\nGATEHOUSE_REGISTRATION: closed",
        "any other line",
    ],
)
def test_a_line_that_cannot_be_read_stops_the_start_and_is_named(line: str) -> None:
    dotenv(f"# settings\n\nGATEHOUSE_PORT=8000\n{line}\nGATEHOUSE_HOST=::1\n")
    assert ".env, line " in refusal()
    assert "line 4" in refusal() or "line 5" in refusal()


def test_a_byte_order_mark_is_ignored() -> None:
    dotenv("\ufeffGATEHOUSE_REGISTRATION=closed")
    assert load_settings().registration == "closed"


def test_a_setting_that_is_there_twice_stops_the_start() -> None:
    dotenv("GATEHOUSE_REGISTRATION=closed\nOTHER=1\ngatehouse_registration=open\n")
    assert refusal() == ".env, line 3: gatehouse_registration is already set in line 1."


def test_a_name_that_is_unknown_is_named_with_its_line() -> None:
    dotenv("\n\nGATEHOUSE_REGISTRATIONS=closed\n")
    assert refusal() == (
        "There is no setting GATEHOUSE_REGISTRATIONS (.env, line 3). "
        "The nearest is GATEHOUSE_REGISTRATION."
    )


def test_the_environment_comes_before_dotenv_and_an_empty_value_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dotenv("GATEHOUSE_PORT=9000\nGATEHOUSE_HOST=\nGATEHOUSE_WORKERS=3\n")
    monkeypatch.setenv("GATEHOUSE_PORT", "9001")
    monkeypatch.setenv("GATEHOUSE_WORKERS", "")
    settings = load_settings()
    assert (settings.port, settings.host, settings.workers) == (9001, "127.0.0.1", 3)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_another_encoding_than_utf_8_stops_the_start(encoding: str) -> None:
    dotenv("GATEHOUSE_RESERVED_NAMES=münchen\n".encode(encoding))
    assert "UTF-8" in refusal()


def test_an_unreadable_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert "directory" in refusal()
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").symlink_to("nowhere")
    assert "cannot be read" in refusal()
    (tmp_path / ".env").unlink()
    os.mkfifo(tmp_path / ".env")
    assert "is not a file" in refusal()


def test_nothing_else_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv("GATEHOUSE_PORT=9000\n")
    monkeypatch.setenv("GATEHOUSE_WORKERS", "3")
    settings = Settings()
    assert (settings.port, settings.workers) == (8000, 1)
