"""The image of a release, with an engine that records what it is asked to do."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import release_image
from tools.release_image import Image, find_engine

# `exec` asks if the gateway is ready; `inspect` prints the exit status of the container.
ENGINE = """#!/bin/sh
echo "$@" | head -n 1 >> "$0.calls"
case "$1 $2" in
    info*) exit {info} ;;
    run*) case "$*" in *--version) echo "gatehouse 1.2.0" ;; *) echo container-id ;; esac ;;
    exec*) exit {ready} ;;
    inspect*) echo {status} ;;
    "image inspect") echo amd64 ;;
    save*) echo archive > "$3" ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install an engine of a name, and return the file with its calls."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(release_image, "START_SECONDS", 0.0)

    def install(name: str, *, info: int = 0, ready: int = 0, status: int = 0) -> Path:
        script = tmp_path / name
        script.write_text(ENGINE.format(info=info, ready=ready, status=status))
        script.chmod(0o755)
        return tmp_path / f"{name}.calls"

    return install


def test_an_engine_that_is_installed_but_does_not_run_is_passed_over(
    engine: Callable[..., Path],
) -> None:
    engine("docker", info=1)
    engine("podman", info=1)
    assert find_engine() is None
    engine("podman")
    assert find_engine() == "podman"
    engine("docker")
    assert find_engine() == "docker"


def test_an_image_is_built_with_version_and_commit_tried_and_saved(
    engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = engine("docker")
    monkeypatch.setenv("PYTHON_IMAGE", "python@sha256:0")
    image = Image("docker", "1.2.0")
    image.build(tmp_path, "abc")
    assert image.print_version() == "gatehouse 1.2.0"
    image.serve()
    archive = image.save(tmp_path)

    assert archive.name == "gatehouse-1.2.0-image-linux-amd64.tar.gz"
    assert gzip.decompress(archive.read_bytes()) == b"archive\n"
    build, version, run, ready, stop, status, remove, _, save = calls.read_text().splitlines()
    assert build.endswith(f"--build-arg PYTHON_IMAGE=python@sha256:0 {tmp_path}")
    assert "--label org.opencontainers.image.version=1.2.0" in build
    assert "--label org.opencontainers.image.revision=abc" in build
    assert version == "run --rm --network none gatehouse:1.2.0 --version"
    assert "--read-only" in run
    assert ready.startswith("exec container-id python")
    assert (stop, status.split()[0]) == ("stop container-id", "inspect")
    assert save.startswith("save --output ")
    assert remove == "rm --force --volumes container-id"


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [({"ready": 1}, "is not ready"), ({"status": 137}, "ended with status 137")],
    ids=["never-ready", "killed"],
)
def test_a_container_that_fails_stops_the_release_and_is_removed(
    engine: Callable[..., Path], behaviour: dict[str, int], sentence: str
) -> None:
    calls = engine("docker", **behaviour)
    with pytest.raises(SystemExit, match=sentence):
        Image("docker", "1.2.0").serve()
    assert calls.read_text().splitlines()[-1] == "rm --force --volumes container-id"
