"""compose.yaml: held to its specification, and to the image."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator

from app.server.supervisor import STOP_SECONDS
from app.settings import load_settings
from tests.containers.dockerfile import Config, read_stages

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())


@pytest.fixture
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return document


@pytest.fixture
def gateway(compose: dict[str, Any]) -> dict[str, Any]:
    return dict(compose["services"]["gateway"])


@pytest.fixture(params=["gateway", "replica"])
def either(request: pytest.FixtureRequest, compose: dict[str, Any]) -> dict[str, Any]:
    return dict(compose["services"][request.param])


@pytest.fixture(scope="module")
def image() -> Config:
    return read_stages(ROOT / "Dockerfile")[-1].config


def test_it_is_what_the_specification_describes(compose: dict[str, Any]) -> None:
    validator = Draft202012Validator(SCHEMA)
    validator.validate(compose)
    compose["services"]["gateway"]["readonly"] = True
    assert not validator.is_valid(compose)


def test_it_publishes_the_images_port_to_this_machine_alone(
    gateway: dict[str, Any], image: Config
) -> None:
    (ports,) = gateway["ports"]
    published = re.fullmatch(r"\$\{PUBLISH_AT:-127\.0\.0\.1:(\d+)\}:(\d+)", ports)
    assert published is not None
    assert [*published.groups()] == image.ports * 2


def test_a_start_without_a_container_cannot_have_left_a_setting_that_breaks_this_one(
    either: dict[str, Any], image: Config
) -> None:
    names = {"GATEHOUSE_DATA_DIR", "GATEHOUSE_HOST", "GATEHOUSE_PORT"}
    assert names <= either["environment"].keys()
    fixed = {name: either["environment"][name] for name in names}
    assert fixed.items() <= image.environment.items()


def test_its_volume_is_the_images(
    compose: dict[str, Any], gateway: dict[str, Any], image: Config
) -> None:
    mounts = dict(volume.split(":") for volume in gateway["volumes"])
    assert mounts.keys() <= compose["volumes"].keys()
    assert [*mounts.values()] == image.volumes


def test_it_may_do_nothing_that_it_need_not(either: dict[str, Any]) -> None:
    assert either["read_only"] is True
    assert either["cap_drop"] == ["ALL"]
    assert either["security_opt"] == ["no-new-privileges:true"]
    assert either.keys().isdisjoint({"cap_add", "devices", "pid", "privileged", "user"})


def test_a_stop_waits_longer_than_the_gateway_takes(either: dict[str, Any]) -> None:
    assert int(either["stop_grace_period"].removesuffix("s")) > STOP_SECONDS


def test_it_is_healthy_when_the_image_says_so(either: dict[str, Any], image: Config) -> None:
    assert "healthcheck" not in either
    assert image.health


def test_only_the_proxy_of_the_cluster_can_be_reached(compose: dict[str, Any]) -> None:
    cluster = {
        name: service
        for name, service in compose["services"].items()
        if service.get("profiles") == ["cluster"]
    }
    assert cluster.keys() == {"replica", "proxy", "postgres", "redis"}
    assert [name for name, service in cluster.items() if "ports" in service] == ["proxy"]


def test_the_replicas_count_together_in_the_redis_that_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    found = urlsplit(services["replica"]["environment"]["GATEHOUSE_REDIS_URL"])
    assert services[found.hostname]["command"][0] == "redis-server"
    assert found.port == 6379
    assert found.hostname in services["replica"]["depends_on"]


def test_the_replicas_find_the_database_that_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    environment = services["replica"]["environment"]
    given = services["postgres"]["environment"]
    found = urlsplit(environment["GATEHOUSE_DATABASE_URL"])
    assert found.hostname == "postgres"
    assert found.username == given["POSTGRES_USER"]
    assert environment["PGPASSWORD"] == given["POSTGRES_PASSWORD"]
    assert found.path == f"/{given['POSTGRES_USER']}", "the image names the database so by default"


def test_no_url_is_made_of_a_value_that_may_have_any_character(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for setting, value in dict(service.get("environment", {})).items():
            assert not ("://" in value and "$" in value), (name, setting)


def test_settings_of_dotenv_do_not_contradict_those_of_the_replicas(
    compose: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With .env, which Compose passes on, the container's own values are those that count."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEHOUSE_DATABASE_URL_FILE", "nowhere")
    monkeypatch.setenv("GATEHOUSE_REDIS_URL_FILE", "nowhere")
    for name, value in compose["services"]["replica"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.database_url == "postgresql://gatehouse@postgres/gatehouse"
    assert settings.redis_url == "redis://redis:6379/0"
