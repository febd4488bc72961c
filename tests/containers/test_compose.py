"""compose.yaml: held to its specification, and to the image."""

import json
import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from app.serve import GRACE_SECONDS
from tests.containers.dockerfile import Config, read_stages

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())


@pytest.fixture
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return document


@pytest.fixture
def gateway(compose: dict[str, Any]) -> dict[str, Any]:
    (service,) = compose["services"].values()
    return dict(service)


@pytest.fixture(scope="module")
def image() -> Config:
    return read_stages(ROOT / "Dockerfile")[-1].config


def test_it_is_what_the_specification_describes(compose: dict[str, Any]) -> None:
    validator = Draft202012Validator(SCHEMA)
    validator.validate(compose)
    compose["services"]["gateway"]["readonly"] = True
    assert not validator.is_valid(compose)


def test_docker_compose_takes_it() -> None:
    compose = ["docker", "compose"]
    if which("docker") is None or subprocess.run([*compose, "version"], check=False).returncode:
        pytest.skip("There is no docker with its compose plugin here; the schema has to do.")
    subprocess.run([*compose, "config", "--quiet"], cwd=ROOT, check=True)


def test_it_publishes_the_images_port_to_this_machine_alone(
    gateway: dict[str, Any], image: Config
) -> None:
    (ports,) = gateway["ports"]
    published = re.fullmatch(r"\$\{PUBLISH_AT:-127\.0\.0\.1:(\d+)\}:(\d+)", ports)
    assert published is not None
    assert [*published.groups()] == image.ports * 2


def test_a_start_without_a_container_cannot_have_left_a_setting_that_breaks_this_one(
    gateway: dict[str, Any], image: Config
) -> None:
    fixed = gateway["environment"]
    assert {"GATEHOUSE_DATA_DIR", "GATEHOUSE_HOST", "GATEHOUSE_PORT"} <= fixed.keys()
    assert fixed.items() <= image.environment.items()


def test_its_volume_is_the_images(
    compose: dict[str, Any], gateway: dict[str, Any], image: Config
) -> None:
    mounts = dict(volume.split(":") for volume in gateway["volumes"])
    assert mounts.keys() == compose["volumes"].keys()
    assert [*mounts.values()] == image.volumes


def test_it_may_do_nothing_that_it_need_not(gateway: dict[str, Any]) -> None:
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["security_opt"] == ["no-new-privileges:true"]
    assert gateway.keys().isdisjoint({"cap_add", "devices", "pid", "privileged", "user"})


def test_a_stop_waits_longer_than_the_gateway_takes(gateway: dict[str, Any]) -> None:
    assert int(gateway["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS


def test_it_is_healthy_when_the_image_says_so(gateway: dict[str, Any], image: Config) -> None:
    assert "healthcheck" not in gateway
    assert image.health
