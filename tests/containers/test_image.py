"""The image, built and run without a container engine; image.py says what that proves."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from shutil import copy2, rmtree
from signal import Signals
from socket import create_server
from typing import Any

import pytest
import yaml

from app.version import RECORD, VERSION
from tests.containers.dockerfile import Context, read_stages
from tests.containers.image import Image, build
from tests.needs import need
from tests.server_process import Server

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# What lies about in a clone where Gatehouse is developed and run.
LEFTOVERS = (".env", ".git/config", "app/__pycache__/left.pyc", "tests/left.py", "var/left.pem")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image of this tree, built once."""
    need(may_chroot(), "The image is built under chroot: run this on Linux, as root.")
    folder = tmp_path_factory.mktemp("containers")
    try:
        context = strict_clone(folder / "context")
        yield build(read_stages(ROOT / "Dockerfile"), context, fetched(folder / "wheels"), folder)
    finally:
        rmtree(folder)


def may_chroot() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    return subprocess.run(["chroot", "/", "true"], capture_output=True, check=False).returncode == 0


def strict_clone(folder: Path) -> Context:
    """A clone in use, made under umask 077."""
    for file in (Path(".dockerignore"), *Context(ROOT).files()):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        copy2(ROOT / file, folder / file)
    for name in LEFTOVERS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("not for the image")
    # A source distribution has a record, which counts before .git.
    (folder / "app" / RECORD).unlink(missing_ok=True)
    (folder / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (folder / ".git/refs/heads").mkdir(parents=True, exist_ok=True)
    (folder / ".git/refs/heads/main").write_text(f"{COMMIT}\n")
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return Context(folder)


def fetched(folder: Path) -> Path:
    """The wheels of requirements/runtime.txt, for the Python of these tests."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    lock = ["--require-hashes", "-r", str(ROOT / "requirements/runtime.txt")]
    done = subprocess.run(
        [*pip, "--dest", str(folder), *lock], capture_output=True, text=True, check=False
    )
    assert "DO NOT MATCH THE HASHES" not in done.stderr, done.stderr
    need(done.returncode == 0, f"The image takes a package index to build: {done.stderr}")
    return folder


@pytest.fixture
def image(built: Image) -> Image:
    """The image, with nothing in its volume."""
    empty_volume(built)
    return built


def empty_volume(image: Image) -> None:
    for path in image.path("/data").iterdir():
        rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def settings() -> dict[str, str]:
    """An address to listen at: there is no network but this machine's."""
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {"GATEHOUSE_HOST": "127.0.0.1", "GATEHOUSE_PORT": str(port)}


def contents(image: Image) -> dict[Path, os.stat_result]:
    """All that is in the image, but for its volume and /tmp."""
    return {
        path: path.stat()
        for path in image.root.rglob("*")
        if path.relative_to(image.root).parts[0] not in {"data", "tmp"} and not path.is_symlink()
    }


def written(image: Image) -> dict[Path, tuple[int, int, int]]:
    """Mode, size and time of each file, which show if something was written."""
    found = contents(image).items()
    return {path: (now.st_mode, now.st_size, now.st_mtime_ns) for path, now in found}


def test_nothing_enters_but_what_the_gateway_runs_on(built: Image) -> None:
    (app,) = built.path("/opt/venv/lib").glob("python3*/site-packages/app")
    names = {str(path.relative_to(app.parent)) for path in app.parent.rglob("*")}
    assert {"app/main.py", "app/migrations/env.py"} < names
    left = {Path(name).name for name in LEFTOVERS} - {"config"} | {".git"}
    assert left.isdisjoint(path.name for path in built.root.rglob("*"))
    assert not built.path("/src").exists()


def test_it_knows_its_version_and_commit(built: Image) -> None:
    done = built.run("gatehouse", "--version")
    assert done.stdout.decode() == f"gatehouse {VERSION} (commit {COMMIT[:12]})\n"


def test_its_user_can_read_everything_and_write_to_the_volume_alone(built: Image) -> None:
    for path, status in contents(built).items():
        assert (status.st_uid, status.st_gid) == (0, 0), path
        assert status.st_mode & 0o002 == 0, path
        assert status.st_mode & 0o004, path
    volume = built.path("/data").stat()
    assert built.config.user == f"{volume.st_uid}:{volume.st_gid}"
    assert stat.S_IMODE(volume.st_mode) == 0o700


def test_all_code_is_compiled_whatever_becomes_of_the_files_times(built: Image) -> None:
    sources = list(built.path("/opt/venv").rglob("*.py"))
    assert len(sources) > 1000
    for source in sources:
        # PEP 552: bytecode with this second word is used without a look at its source.
        assert Path(cache_from_source(str(source))).read_bytes()[4:8] == b"\1\0\0\0", source


@pytest.mark.parametrize("confined", [False, True], ids=["plain", "as-compose-runs-it"])
def test_a_container_serves_ends_well_and_leaves_nothing_but_its_volume(
    image: Image, settings: dict[str, str], confined: bool
) -> None:
    before = confinement(image) if confined else []
    untouched = written(image)
    assert image.run(*image.config.health, variables=settings).returncode != 0
    with image.serving(settings, before) as server:
        assert image.run(*image.config.health, variables=settings).returncode == 0
        assert server.client.get("/handbook/credentials.html").status_code == 200
        chatter = call(server, "users.create", username="chatter", password=PASSWORD)
        panelist = {"username": "panelist", "password": PASSWORD}
        assert server.client.post("/users/@self", json=panelist).status_code == 201
        assert stopped(server, image, confined) == 0
    with image.serving(settings, before) as server:
        assert call(server, "users.auth", **panelist)["token"]
        login = server.client.post("/users/auth", json=panelist | {"username": "chatter"}).json()
        assert login["user_id"] == chatter["id"]
        assert stopped(server, image, confined) == 0
    assert written(image) == untouched


def confinement(image: Image) -> list[str]:
    """A command that applies the options of compose.yaml and starts another: the root file
    system read-only but for the volume, a /tmp of its own; and, as in every container, process 1.
    """
    unshare = ["unshare", "--mount", "--pid", "--fork"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("Namespaces and mounts take CAP_SYS_ADMIN, which is missing here.")
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["gateway"]
    assert service["read_only"]
    volumes = [image.path(volume.split(":")[1]) for volume in service["volumes"]]
    mounts = [
        *(f"mount --bind {path} {path}" for path in (image.root, *volumes)),
        *(f"mount -t tmpfs tmpfs {image.path(path)}" for path in service["tmpfs"]),
        f"mount -o remount,bind,ro {image.root}",
    ]
    return [*unshare, "sh", "-ec", "\n".join([*mounts, 'exec "$@"']), "sh"]


def call(server: Server, method: str, **params: str) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "method": method, "auth": None, "params": params, "id": 1}
    result: dict[str, Any] = server.client.post("/rpc", json=body).json()["result"]
    return result


def stopped(server: Server, image: Image, confined: bool) -> int:
    """The status that the container's process ends with when it is stopped."""
    process = server.process.pid
    if confined:
        process = int(Path(f"/proc/{process}/task/{process}/children").read_text())
    os.kill(process, Signals[image.config.stop_signal])
    return server.process.wait(timeout=20)


def test_the_first_key_is_read_and_commands_are_run_beside_the_server(
    image: Image, settings: dict[str, str]
) -> None:
    with image.serving(settings) as server:
        key = image.run("cat", "/data/admin-key").stdout.decode().strip()
        assert server.client.get("/users", headers={"X-Access-Token": key}).status_code == 200
        assert image.run("gatehouse", "doctor").returncode == 0
        other = image.run("gatehouse", "keys", "create", "admin").stdout.decode().strip()
        assert server.client.get("/users", headers={"X-Access-Token": other}).status_code == 200


def test_accounts_are_backed_up_and_restored_through_a_pipe(
    image: Image, settings: dict[str, str]
) -> None:
    with image.serving(settings) as server:
        call(server, "users.create", username="chatter", password=PASSWORD)
        made = image.run("gatehouse", "backup", "-")
        assert (made.returncode, b"2 accounts" in made.stderr) == (0, True)
        call(server, "users.create", username="later", password=PASSWORD)
        refused = image.run("gatehouse", "restore", "-", "--replace", stdin=made.stdout)
        assert (refused.returncode, b"Stop it first" in refused.stderr) == (1, True)
        assert stopped(server, image, confined=False) == 0
    kept = {path.name for path in image.path("/data").iterdir()}
    restored = image.run("gatehouse", "restore", "-", "--replace", stdin=made.stdout)
    assert (restored.returncode, restored.stderr) == (0, b"")
    listed = image.run("gatehouse", "users", "list").stdout
    assert (b"chatter" in listed, b"later" in listed) == (True, False)
    (previous,) = {path.name for path in image.path("/data").iterdir()} - kept
    assert previous.startswith("gatehouse.sqlite3.replaced-")
    assert b"signing-key" not in made.stdout
    assert b"PRIVATE KEY" not in made.stdout
