"""The image of a release: built, run and saved by docker or podman."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from time import monotonic, sleep

from tools.release_files import compress

START_SECONDS = 60.0
# The network of the container is none: the request comes from inside.
_READY = """
import http.client, os
gateway = http.client.HTTPConnection("127.0.0.1", os.environ["GATEHOUSE_PORT"], timeout=5)
gateway.request("GET", "/health/ready")
raise SystemExit(gateway.getresponse().status != 200)
"""


def find_engine() -> str | None:
    """Return the command of a container engine, or None if this machine has none that runs."""
    for name in ("docker", "podman"):
        if which(name) and subprocess.run([name, "info"], capture_output=True).returncode == 0:
            return name
    return None


class Image:
    """An image in the store of an engine."""

    def __init__(self, engine: str, version: str) -> None:
        self._engine = engine
        self._version = version
        self.tag = f"gatehouse:{version}"

    def build(self, tree: Path, commit: str) -> None:
        """Build it from a source tree. PYTHON_IMAGE in the environment replaces its base."""
        label = "org.opencontainers.image"
        base = os.environ.get("PYTHON_IMAGE")
        subprocess.run(
            [
                *(self._engine, "build", "--tag", self.tag),
                *("--label", f"{label}.version={self._version}"),
                *("--label", f"{label}.revision={commit}"),
                *(() if base is None else ("--build-arg", f"PYTHON_IMAGE={base}")),
                str(tree),
            ],
            # Podman's own format has no health check.
            env={**os.environ, "BUILDAH_FORMAT": "docker"},
            check=True,
        )

    def print_version(self) -> str:
        """Return what `gatehouse --version` prints in a container."""
        return self._run("run", "--rm", "--network", "none", self.tag, "--version").strip()

    def serve(self) -> None:
        """Run a container until it is ready, and stop it; raise if it fails."""
        with self._container() as container:
            latest = monotonic() + START_SECONDS
            while not self._is_ready(container):
                if monotonic() > latest:
                    raise SystemExit(f"The container is not ready:\n{self._logs(container)}")
                sleep(0.5)
            self._run("stop", container)
            status = self._run("inspect", "--format", "{{.State.ExitCode}}", container).strip()
            if status != "0":
                raise SystemExit(f"The container ended with status {status}.")

    @contextmanager
    def _container(self) -> Iterator[str]:
        options = ("--detach", "--init", "--network", "none", "--read-only", "--tmpfs", "/tmp")  # noqa: S108
        container = self._run("run", *options, "--cap-drop", "ALL", self.tag).strip()
        try:
            yield container
        finally:
            self._run("rm", "--force", "--volumes", container)

    def _is_ready(self, container: str) -> bool:
        command = [self._engine, "exec", container, "python", "-I", "-c", _READY]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _logs(self, container: str) -> str:
        done = subprocess.run([self._engine, "logs", container], capture_output=True, text=True)
        return done.stdout + done.stderr

    def save(self, folder: Path) -> Path:
        """Save it as a archive for `docker load`, compressed, and return that."""
        architecture = self._run("image", "inspect", "--format", "{{.Architecture}}", self.tag)
        file = folder / f"gatehouse-{self._version}-image-linux-{architecture.strip()}.tar"
        self._run("save", "--output", str(file), self.tag)
        return compress(file)

    def _run(self, *arguments: str) -> str:
        command = [self._engine, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
