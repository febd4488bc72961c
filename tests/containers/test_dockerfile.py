"""The Dockerfile agrees with settings, packages and labels."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings, load_settings
from tests.containers.dockerfile import Config, read_stages
from tests.needs import need

ROOT = Path(__file__).parents[2]
STAGES = read_stages(ROOT / "Dockerfile")
BASE = STAGES[-1].base


@pytest.fixture(scope="module")
def config() -> Config:
    return STAGES[-1].config


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


@pytest.fixture(scope="module")
def python() -> str:
    """The Python of the image, by the tag of what it is built on."""
    tag = re.fullmatch(r"python:(3\.\d+)-slim-[a-z]+", BASE)
    assert tag is not None
    return tag[1]


def test_every_stage_has_one_python_and_it_is_one_that_gatehouse_runs_on(
    python: str, project: dict[str, Any]
) -> None:
    assert {stage.base for stage in STAGES} == {BASE}
    lowest = project["requires-python"].removeprefix(">=")
    assert int(python.split(".")[1]) >= int(lowest.split(".")[1])


def test_every_pin_has_a_wheel_for_that_python(python: str, tmp_path: Path) -> None:
    uv = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--require-hashes"]
    # What runs with this glibc runs with the image's, which is newer.
    target = ["--python-version", python, "--python-platform", "x86_64-manylinux_2_28"]
    lock = ["--only-binary", ":all:", "-r", str(ROOT / "requirements/runtime.txt")]
    done = subprocess.run(
        [*uv, *target, *lock, "--target", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    need(done.returncode in {0, 1}, f"This takes a package index to ask: {done.stderr}")
    assert done.returncode == 0, done.stderr


def test_its_settings_are_ones_that_the_gateway_takes_and_fit_the_image(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in config.environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert [str(settings.data_dir)] == config.volumes
    assert [str(settings.port)] == config.ports == [str(Settings.model_fields["port"].default)]
    assert (settings.host, settings.log_format) == ("0.0.0.0", "json")  # noqa: S104


def test_its_user_is_a_number_that_no_system_account_has(config: Config) -> None:
    assert re.fullmatch(r"[1-9]\d{4}:[1-9]\d{4}", config.user)


def test_the_gateway_is_the_process_that_gets_the_signals(config: Config) -> None:
    assert [*config.entrypoint, *config.command] == ["gatehouse", "serve"]
    assert config.stop_signal == "SIGTERM"


def test_its_labels_say_what_the_package_says(config: Config, project: dict[str, Any]) -> None:
    label = "org.opencontainers.image."
    assert config.labels == {
        f"{label}title": "Gatehouse",
        f"{label}description": project["description"],
        f"{label}licenses": project["license"],
    }
