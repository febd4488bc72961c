"""Tools that read our documents: where they are, and how to run them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = HERE / "build"
PYTHON_TOOLS = ROOT / ".venv-clients" / "bin"
NODE_TOOLS = HERE / "node_modules" / ".bin"
OPENAPI, OPENRPC = BUILD / "openapi.json", BUILD / "openrpc.json"


def done(*command: str | Path, cwd: Path = HERE, env: Mapping[str, str] | None = None) -> str:
    """Run a tool that has to succeed, and return its output."""
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
