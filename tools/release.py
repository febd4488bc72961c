"""Build the files of a release and try each of them: `make release`.

Version, changelog and tag have to agree, and nothing may be uncommitted. All files come from the
source distribution, which is unpacked into an empty folder:

- Its tests run there (`make quick`), and the command from its `.venv` serves.
- The wheel is installed with the pinned packages into an empty environment, and serves.
- The image is built by docker or podman, serves, and is saved. Without such an engine, the steps of
  the Dockerfile run under chroot (tests/containers/), and the release has no image.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.version import VERSION, describe_version, find_commit
from tests.server_process import Server, attend
from tools.release_files import ROOT, build_distributions, write_checksums, write_pins
from tools.release_image import Image, find_engine

DIST = ROOT / "dist"

# What a release asks of its readers, each with a heading of its own in the changelog.
READERS = ("Operators", "Clients", "Developers")
# The newest release of the changelog, below what is unreleased.
_SECTIONS = re.compile(r"^## \[([^]]+)\](?: - (\d{4}-\d\d-\d\d))?\n(.*?)(?=^## |\Z)", re.M | re.S)


def find_disagreements(version: str, changelog: str, tags: Sequence[str]) -> list[str]:
    """Return what keeps `version` from being released, one sentence each.

    `tags` are those of the commit that is released.
    """
    problems = []
    sections = _SECTIONS.findall(changelog)
    unreleased = "".join(body for name, _, body in sections if name == "Unreleased").strip()
    newest = next((section for section in sections if section[0] != "Unreleased"), None)
    if newest is None or newest[0] != version:
        problems.append(f"CHANGELOG.md: the first section after Unreleased is not [{version}].")
    elif not newest[1]:
        problems.append(f"CHANGELOG.md: [{version}] has no date (## [{version}] - YYYY-MM-DD).")
    else:
        problems += [
            f"CHANGELOG.md: [{version}] has no part '### {reader} must'."
            for reader in READERS
            if f"\n### {reader} must\n" not in newest[2]
        ]
    if unreleased:
        problems.append("CHANGELOG.md: Unreleased is not empty.")
    if f"v{version}" not in tags:
        problems.append(f"The commit has no tag v{version}: git tag -a v{version}")
    return problems


def pip_install(environment: Path, *arguments: str | Path, cwd: Path | None = None) -> None:
    """Run `pip install` for an environment, which needs no pip of its own."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    python = environment / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *arguments], cwd=cwd, check=True)


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
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    problems = find_disagreements(VERSION, changelog, _git("tag", "--points-at", "HEAD"))
    if _git("status", "--porcelain"):
        problems.append("The checkout has changes that are not committed.")
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "gatehouse")
        _, wheel = build_distributions(DIST, tree)
        requirements, _ = write_pins(wheel, tree / "requirements" / "runtime.txt")
        try_wheel(requirements, Path(folder, "wheel"))
        try_tree(tree, Path(folder, "tree"))
        has_image = build_image(tree)
    write_checksums(DIST)
    print("dist/:", *sorted(path.name for path in DIST.iterdir()), sep="\n  ")
    if not has_image:
        print("There is no image: this machine has neither docker nor podman.")
    return 0


def try_wheel(requirements: Path, folder: Path) -> None:
    """Install the wheel as docs/install.md does, and serve from it."""
    environment = folder / "environment"
    venv.create(environment)
    pip_install(environment, "--require-hashes", "-r", requirements.name, cwd=requirements.parent)
    _try_installed("wheel", environment, folder)


def try_tree(tree: Path, folder: Path) -> None:
    """Run the quick tests of a source tree without a repository, and serve from it."""
    subprocess.run(["make", "quick"], cwd=tree, env=_foreign(), check=True)
    folder.mkdir()
    _try_installed("source distribution", tree / ".venv", folder)


def _try_installed(name: str, environment: Path, folder: Path) -> None:
    command = [str(environment / "bin" / "gatehouse"), "--version"]
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    _compare(name, done.stdout)
    with serving_from(environment, folder) as server:
        server.client.get("/health/ready").raise_for_status()
        server.client.get("/handbook/").raise_for_status()


def _compare(name: str, printed: str) -> None:
    """Raise unless the version and commit that a file of the release prints are these."""
    expected = f"gatehouse {describe_version()}"
    if printed.strip() != expected:
        raise SystemExit(f"The {name} prints {printed.strip()!r} instead of {expected!r}.")
    print(f"{name}: {expected}")


def build_image(tree: Path) -> bool:
    """Build, run and save the image; return False if there is no engine to do that."""
    engine = find_engine()
    if engine is None:
        command = [str(tree / ".venv/bin/pytest"), "-q", "-rs", "tests/containers/test_image.py"]
        subprocess.run(command, cwd=tree, env=_foreign(), check=True)
        return False
    image = Image(engine, VERSION)
    image.build(tree, find_commit() or "")
    _compare("image", image.print_version())
    image.serve()
    image.save(DIST)
    return True


def _foreign() -> dict[str, str]:
    """Return the environment for a tree of its own: that of this make is not passed on."""
    ours = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
