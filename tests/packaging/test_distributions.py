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

from tools.release import ROOT, build, pip_install, serving_from


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    _, wheel = build(tmp_path_factory.mktemp("dist"))
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
    assert {*handbook, "app/handbook/zensical.toml"} <= names


def test_the_installed_command_migrates_and_serves_from_any_folder(
    environment: Path, tmp_path: Path
) -> None:
    with serving_from(environment, tmp_path) as server:
        assert server.client.get("/health/ready").status_code == 200
        assert "credentials.html" in server.client.get("/handbook/").text
        headers = {"X-Access-Token": Path(tmp_path, "var/admin-key").read_text().strip()}
        users = server.client.get("/users", headers=headers).json()
        assert [user["username"] for user in users.values()] == ["admin"]
    gatehouse = environment / "bin" / "gatehouse"
    subprocess.run([gatehouse, "doctor"], cwd=tmp_path, env={}, check=True, capture_output=True)


def test_the_installed_package_is_what_serves(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "bin" / "python"), "-c", "import app; print(app.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env={}, check=True, capture_output=True, text=True)

    assert Path(done.stdout).is_relative_to(environment)
