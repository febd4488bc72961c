"""Build `.venv` beside the present one, and exchange them at the end.

`.venv` is a link to an environment in `.venvs/`. An installation that fails changes nothing, and
the files of a running server stay. Only the standard library is there to be imported.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import gmtime, strftime

ROOT = Path(__file__).resolve().parents[1]
LINK, ENVIRONMENTS = ROOT / ".venv", ROOT / ".venvs"

# Arguments of `pip install`.
_RUNTIME = ("--require-hashes", "-r", "requirements/runtime.txt")
_GATEHOUSE = ("--no-deps", "--no-build-isolation")
# The commands of each kind. A release has a copy of Gatehouse, so that pulling the next one changes
# nothing before it is installed.
KINDS: dict[str, Sequence[tuple[str, ...]]] = {
    "app": (_RUNTIME, (*_GATEHOUSE, ".")),
    "dev": (
        _RUNTIME,
        ("--require-hashes", "-r", "requirements/dev.txt"),
        (*_GATEHOUSE, "-e", "."),
    ),
}


def main() -> None:
    """Build the environment of the kind in the arguments."""
    (kind,) = sys.argv[1:]
    # Another user may run the service.
    os.umask(0o022)
    ENVIRONMENTS.mkdir(exist_ok=True)
    with _locked():
        new = ENVIRONMENTS / f"{strftime('%Y%m%dT%H%M%SZ', gmtime())}-{os.getpid()}"
        print("Building .venv …", flush=True)
        try:
            _build(new, KINDS[kind])
        except (subprocess.CalledProcessError, OSError) as error:
            shutil.rmtree(new, ignore_errors=True)
            sys.exit(f"{_reason(error)}\n{_remedy()}")
        (new / f".{kind}").touch()
        exchange(new)
    if kind == "app":
        print(*find_hindrances(), sep="\n", end="", file=sys.stderr)


def _build(new: Path, steps: Sequence[tuple[str, ...]]) -> None:
    subprocess.run([sys.executable, "-m", "venv", new], check=True)
    pip = [
        str(new / "bin" / "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "-qq",
        "install",
    ]
    for step in steps:
        subprocess.run([*pip, *step], cwd=ROOT, check=True)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or ENVIRONMENTS}: {error.strerror}."
    return "The packages could not be installed: see above."


def _remedy() -> str:
    present = "No .venv was made." if not LINK.exists() else ".venv is as it was before."
    return (
        f"{present} Check the package index and the free space, and repeat the command; without "
        "an index, install from a folder of wheels (docs/install.md)."
    )


def exchange(new: Path) -> None:
    """Make `.venv` a link to `new`, and remove environments that are no longer used."""
    previous = LINK.resolve()
    draft = ENVIRONMENTS / "link"
    draft.unlink(missing_ok=True)
    draft.symlink_to(new.relative_to(ROOT))
    if LINK.is_dir() and not LINK.is_symlink():
        # As it was made by earlier versions.
        previous = ENVIRONMENTS / "former"
        LINK.rename(previous)
    os.replace(draft, LINK)
    for environment in ENVIRONMENTS.iterdir():
        if environment.is_dir() and environment not in {new, previous} and not is_used(environment):
            shutil.rmtree(environment, ignore_errors=True)


def is_used(environment: Path) -> bool:
    """Return whether a process has loaded a library of the environment."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        # A process that has ended, or that belongs to another user.
        with suppress(OSError):
            if f"{environment}/" in maps.read_text(errors="replace"):
                return True
    return False


def find_hindrances() -> Iterator[str]:
    """Yield what keeps a service of another user from running this installation."""
    python = Path(sys.base_prefix).resolve()
    homes = {Path.home().resolve(), Path("/root"), Path("/home")}
    if any(python.is_relative_to(home) for home in homes):
        yield (
            f"Note: Python is in a home folder ({python}), which a service of another user cannot "
            "read. For such a service: make install PYTHON=/usr/bin/python3\n"
        )
    if not ROOT.stat().st_mode & 0o001:
        yield (
            f"Note: other users cannot enter {ROOT}. "
            f"For a service of another user: chmod o+x {ROOT}\n"
        )


@contextmanager
def _locked() -> Iterator[None]:
    """Wait for another build."""
    with (ENVIRONMENTS / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main()
