"""Run the walk-throughs of the documentation unchanged against a real server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server_process import environment, serving

DOCS = Path(__file__).parents[2] / "docs"
WALKED = ["json-rpc-api.md", "rest-api.md", "credentials.md", "running.md"]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
END_OF_STEP = "\x1e"
# Values that differ between runs or machines.
VARYING = {
    "uuid": r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "key": r"\b[0-9A-Za-z]{8}(-[0-9A-Za-z]{4}){3}-[0-9A-Za-z]{8}\b",
    "key id": r"\b[0-9A-Z]{8}\b",
    "thumbprint": r"(?<![\w-])[\w-]{43}(?![\w-])",
    "program": r"\bcurl/[\d.]+",
    "time": r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|\+00:00)",
    "snowflake": r"\b\d{18,19}\b",
    "request id": r"\b[0-9a-f]{16}\b",
    "password": r'(?<="password":)\s*"[0-9A-Za-z]{20}"',
}


def steps(page: str) -> list[tuple[str, str]]:
    """Return each `sh` block with its documented output, the block after it if that is not `sh`."""
    found: list[tuple[str, str]] = []
    for language, text in BLOCK.findall((DOCS / page).read_text("utf-8")):
        if language == "sh":
            found.append((text, ""))
        elif found and not found[-1][1]:
            found[-1] = (found[-1][0], text)
    return found


def normalized(text: str) -> str:
    """Remove spaces, and replace values that differ between runs with their names."""
    for what, pattern in VARYING.items():
        text = re.sub(pattern, f"<{what}>", text, flags=re.ASCII)
    return "".join(text.split())


def printed(folder: Path, address: str, commands: list[str]) -> list[str]:
    """Return the output of each command, run in one shell in a copy of a checkout."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "docs").symlink_to(DOCS)
    script = "".join(f"{command}\nprintf '\\x1e'\n" for command in commands)
    done = subprocess.run(
        ["bash", "-u"],
        cwd=folder,
        env=environment(folder, {"GATEHOUSE_DATA_DIR": "", "NO_COLOR": "1", "no_proxy": "*"}),
        input=script.replace(ADDRESS, address),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.split(END_OF_STEP)[:-1]


@pytest.mark.parametrize("page", WALKED)
def test_every_command_of_a_walk_through_prints_the_documented_output(
    page: str, tmp_path: Path
) -> None:
    walk = steps(page)
    assert walk
    with serving(tmp_path) as server:
        address = server.greeting["url"]
        outputs = printed(tmp_path, address, [command for command, _ in walk])
    assert len(outputs) == len(walk), "a command ended the shell"
    for (command, shown), output in zip(walk, outputs, strict=True):
        printed_output = output.replace(address, ADDRESS)
        expected = ".*".join(map(re.escape, normalized(shown).split("…")))
        if not re.fullmatch(expected, normalized(printed_output)):
            pytest.fail(
                f"{command}\nprints\n\n{printed_output}\nbut {page} shows\n\n{shown}", pytrace=False
            )
