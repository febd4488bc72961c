"""The files of a release in dist/: distributions, pins, image and checksums."""

import gzip
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build_distributions(folder: Path, tree: Path) -> tuple[Path, Path]:
    """Build the source distribution, unpack it into `tree`, build the wheel there; return both."""
    _hatch("sdist", ROOT, folder)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        members = (_strip_root(member) for member in archive.getmembers())
        archive.extractall(tree, members, filter="data")
    _hatch("wheel", tree, folder)
    (wheel,) = folder.glob("*.whl")
    return source, wheel


def _strip_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    return member.replace(name=member.name.partition("/")[2] or ".")


def _hatch(target: str, root: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    subprocess.run([*command, "--directory", folder], cwd=root, check=True, stdout=sys.stderr)


def write_pins(wheel: Path, lock: Path) -> tuple[Path, Path]:
    """Write the two lists of packages beside the wheel, and return both.

    The requirements have hashes, and contain the wheel: pip and uv install all of them, or nothing.
    The constraints have versions alone, which is what tools that install applications take.
    """
    name = "-".join(wheel.name.split("-")[:2])
    pins = list(_pins(lock.read_text("utf-8")))
    digest = sha256(wheel.read_bytes()).hexdigest()
    requirements = wheel.with_name(f"{name}-requirements.txt")
    lines = [*pins, f"./{wheel.name} --hash=sha256:{digest}"]
    requirements.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    constraints = wheel.with_name(f"{name}-constraints.txt")
    versions = (pin.partition(" --hash")[0] for pin in pins)
    constraints.write_text("".join(f"{line}\n" for line in versions), "utf-8")
    return requirements, constraints


def _pins(lock: str) -> Iterator[str]:
    """Yield each requirement of a lock as one line."""
    for line in lock.replace("\\\n", "").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield " ".join(line.split())


def write_checksums(folder: Path) -> Path:
    """Write the checksums of all files as `sha256sum --check` reads them, and return the file."""
    files = sorted(folder.iterdir())
    checksums = folder / "SHA256SUMS"
    lines = (f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    checksums.write_text("".join(lines), "ascii")
    return checksums


def compress(file: Path) -> Path:
    """Replace a file with its compressed form, and return that."""
    target = file.with_name(f"{file.name}.gz")
    with file.open("rb") as source, gzip.open(target, "wb", compresslevel=6) as sink:
        shutil.copyfileobj(source, sink)
    file.unlink()
    return target
