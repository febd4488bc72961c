"""Build the distributions of a release and try them: `make release`.

Version, changelog and tag have to agree, and nothing may be uncommitted. The wheel is built from
the source distribution, installed with the pinned packages into an empty environment, and serves.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.server_process import Server, attend

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"

# The newest release of the changelog, below what is unreleased.
_SECTIONS = re.compile(r"^## \[([^]]+)\](?: - (\d{4}-\d\d-\d\d))?\n(.*?)(?=^## |\Z)", re.M | re.S)


def find_disagreements(version: str, changelog: str, tags: Sequence[str]) -> list[str]:
    """Return what keeps `version` from being released, one sentence each.

    `tags` are those of the commit that is released.
    """
    problems = []
    sections = _SECTIONS.findall(changelog)
    unreleased = "".join(body for name, _, body in sections if name == "Unreleased").strip()
    newest = next(((name, date) for name, date, _ in sections if name != "Unreleased"), None)
    if newest is None or newest[0] != version:
        problems.append(f"CHANGELOG.md: the first section after Unreleased is not [{version}].")
    elif not newest[1]:
        problems.append(f"CHANGELOG.md: [{version}] has no date (## [{version}] - YYYY-MM-DD).")
    if unreleased:
        problems.append("CHANGELOG.md: Unreleased is not empty.")
    if f"v{version}" not in tags:
        problems.append(f"The commit has no tag v{version}: git tag -a v{version}")
    return problems


def build(folder: Path) -> tuple[Path, Path]:
    """Build the source distribution, and the wheel from it, and return both."""
    _hatch("sdist", ROOT, folder)
    (source,) = folder.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as unpacked:
        with tarfile.open(source) as archive:
            archive.extractall(unpacked, filter="data")
        (root,) = Path(unpacked).iterdir()
        _hatch("wheel", root, folder)
    (wheel,) = folder.glob("*.whl")
    return source, wheel


def _hatch(target: str, root: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    subprocess.run([*command, "--directory", folder], cwd=root, check=True, stdout=sys.stderr)


def pip_install(environment: Path, *arguments: str | Path) -> None:
    """Run `pip install` for an environment, which needs no pip of its own."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    python = environment / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *arguments], check=True)


@contextmanager
def serving_from(environment: Path, folder: Path) -> Iterator[Server]:
    """Run the `gatehouse serve` of an environment in `folder`, with its data there."""
    with attend(
        subprocess.Popen(
            [environment / "bin" / "gatehouse", "serve"],
            cwd=folder,
            env={"PATH": os.defpath, "GATEHOUSE_PORT": "0"},
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    ) as server:
        yield server


def main() -> int:
    """Build and try the release of the commit that is checked out; return the exit status."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    problems = find_disagreements(version, changelog, _git("tag", "--points-at", "HEAD"))
    if _git("status", "--porcelain"):
        problems.append("The checkout has changes that are not committed.")
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    shutil.rmtree(DIST, ignore_errors=True)
    source, wheel = build(DIST)
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder, "environment")
        venv.create(environment)
        pip_install(environment, "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt")
        pip_install(environment, "--no-deps", wheel)
        with serving_from(environment, Path(folder)) as server:
            server.client.get("/health/ready").raise_for_status()
    print(f"{source.name} and {wheel.name} are in dist/; the installed wheel serves.")
    return 0


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
