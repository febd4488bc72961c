"""A root directory in place of the image of Python: this machine's Python and a few tools.

What is in it lies where the image has it; what is not in it, such as a compiler, a step cannot
lean on. It is made by copying, and entered with chroot: that takes root, but no namespaces and
no mounts, so it works inside a container, too.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns, which

# Of those that every Debian has, what the steps, docs/backup.md and image.py use.
TOOLS = ("cat", "chmod", "env", "gzip", "install", "setpriv", "sh", "tar")
# What wheels may ask of every Linux (PEP 600), beside the libraries of Python and the tools.
LIBRARIES = ("libdl.so.2", "libgcc_s.so.1", "libpthread.so.0", "librt.so.1", "libstdc++.so.6")
# Of no use to a step, and large.
LEFT_OUT = ignore_patterns(
    "config-*", "dist-packages", "ensurepip", "idlelib", "site-packages", "test", "tests"
)


def assemble(root: Path) -> None:
    """Make the stand-in at `root`, which is not there yet."""
    local = root / "usr/local"
    python = local / "bin/python"
    stdlib = Path(sysconfig.get_path("stdlib"))
    copytree(stdlib, local / "lib" / stdlib.name, ignore=LEFT_OUT)
    python.parent.mkdir()
    copy2(sys._base_executable, python)  # type: ignore[attr-defined]
    tools = [root / "usr/bin" / name for name in TOOLS]
    for tool in tools:
        _copy(Path(_found(tool.name)), tool)
    (root / "bin").symlink_to("usr/bin")
    pip = find_spec("pip")
    assert pip is not None
    assert pip.origin is not None
    copytree(Path(pip.origin).parent, local / "lib" / stdlib.name / "pip")
    (local / "bin/pip").write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    (local / "bin/pip").chmod(0o755)
    for library in _libraries([python, *tools, *local.rglob("lib-dynload/*.so")]):
        _copy(library, root / library.relative_to("/"))
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        copy2(source, target)


def _found(tool: str) -> str:
    path = which(tool)
    assert path is not None, tool
    return path


def _libraries(binaries: Iterable[Path]) -> Iterator[Path]:
    """The shared libraries that the binaries are linked with, the loader among them."""
    for line in _output("ldd", *map(str, binaries)):
        words = line.split()
        path = words[2] if "=>" in words else words[0]
        if path.startswith("/") and line.startswith("\t"):
            yield Path(path)
    for line in _output("/sbin/ldconfig", "-p"):
        words = line.split()
        if words and words[0] in LIBRARIES:
            yield Path(words[-1])


def _output(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
