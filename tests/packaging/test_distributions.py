"""The wheel and the source distribution, built and used.

The environment that the wheel is installed into is new, but borrows the packages that Gatehouse
runs on from the one of these tests. `make release` and the image install them from the index.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from app.version import VERSION, describe_version, find_commit
from tests.docs.test_walkthroughs import git
from tests.needs import need
from tools.release import pip_install, serving_from
from tools.release_files import ROOT, build_distributions, write_checksums, write_pins


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the source distribution is unpacked into."""
    return tmp_path_factory.mktemp("tree") / "gatehouse"


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    _, wheel = build_distributions(tmp_path_factory.mktemp("dist"), tree)
    return wheel


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel."""
    environment = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(environment)
    pip_install(environment, "--no-index", "--no-deps", wheel)
    (packages,) = environment.glob("lib/python*/site-packages")
    # Python reads no .pth file there, so the editable install stays out.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return environment


def test_a_checkout_and_its_source_distribution_build_the_same_wheel(
    wheel: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", tmp_path], cwd=ROOT, check=True, capture_output=True)

    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.usefixtures("wheel")
def test_the_source_distribution_has_every_file_of_the_repository(tree: Path) -> None:
    need((ROOT / ".git").exists(), "This compares with a repository: clone it.")
    tracked = git(ROOT, "ls-files").decode().splitlines()
    packed = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}

    assert packed >= {name for name in tracked if (ROOT / name).is_file()}


@pytest.mark.usefixtures("wheel")
def test_an_unpacked_source_distribution_runs_and_tests_itself(tree: Path) -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
        return done.stdout

    assert run("-m", "app", "--version") == f"gatehouse {describe_version()}\n"
    assert run("-c", "import app; print(app.__file__)") == f"{tree}/app/__init__.py\n"
    assert " passed" in run("-m", "pytest", "-q", "tests/domain/test_users.py")
    assert run("-m", "tools.language") == ""


def test_the_wheel_carries_the_package_every_migration_and_the_handbook(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "app").rglob("*.py")}
    migrations = {
        f"app/migrations/{path.relative_to(ROOT / 'alembic')}"
        for path in (ROOT / "alembic").rglob("*.py")
    }

    handbook = {
        f"app/handbook/{path.relative_to(ROOT)}"
        for path in (ROOT / "docs").rglob("*")
        if path.is_file()
    }

    assert package | migrations == {name for name in names - handbook if name.endswith(".py")}
    beside = {f"app/handbook/{name}" for name in ("CHANGELOG.md", "SECURITY.md", "zensical.toml")}
    assert handbook | beside <= names


def test_the_installed_command_migrates_and_serves_from_any_folder(
    environment: Path, tmp_path: Path
) -> None:
    with serving_from(environment, tmp_path) as server:
        assert server.client.get("/health/ready").status_code == 200
        assert (server.greeting["version"], server.greeting["commit"]) == (VERSION, find_commit())
        assert server.client.get("/openapi.json").json()["info"]["version"] == VERSION
        assert "credentials.html" in server.client.get("/handbook/").text
        headers = {"X-Access-Token": Path(tmp_path, "var/admin-key").read_text().strip()}
        users = server.client.get("/users", headers=headers).json()
        assert [user["username"] for user in users.values()] == ["admin"]
    gatehouse = environment / "bin" / "gatehouse"
    subprocess.run([gatehouse, "doctor"], cwd=tmp_path, env={}, check=True, capture_output=True)


def test_the_installed_command_knows_its_version_and_commit(
    environment: Path, tmp_path: Path
) -> None:
    command = [str(environment / "bin" / "gatehouse"), "--version"]
    done = subprocess.run(command, cwd=tmp_path, env={}, check=True, capture_output=True, text=True)

    assert done.stdout == f"gatehouse {describe_version()}\n"


def test_the_requirements_of_a_release_have_a_hash_for_each_package_and_for_its_wheel(
    wheel: Path, tmp_path: Path
) -> None:
    own = tmp_path / wheel.name
    own.write_bytes(wheel.read_bytes())
    requirements, constraints = write_pins(own, ROOT / "requirements" / "runtime.txt")
    *pins, last = requirements.read_text().splitlines()

    def install(requirement: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "wheel.txt").write_text(requirement)
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps"]
        command = [*pip, "--ignore-installed", "--require-hashes", "-r", "wheel.txt"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert len(pins) > 30
    assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)
    versions = [pin.partition(" --hash")[0] for pin in pins]
    assert constraints.read_text().splitlines() == versions
    assert "Would install gatehouse-" in install(last).stdout
    digest = last.rpartition(":")[2]
    assert "DO NOT MATCH THE HASHES" in install(last.replace(digest, "0" * 64)).stderr


def test_the_checksums_of_a_release_are_those_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    write_checksums(tmp_path)
    check = ["sha256sum", "--check", "SHA256SUMS"]

    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "one: OK\ntwo: OK\n"
    (tmp_path / "two").write_text("3")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_the_installed_package_is_what_serves(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "bin" / "python"), "-c", "import app; print(app.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env={}, check=True, capture_output=True, text=True)

    assert Path(done.stdout).is_relative_to(environment)
