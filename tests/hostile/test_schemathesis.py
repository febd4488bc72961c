"""schemathesis makes requests up from our OpenAPI document, and holds the answers to it.

It has an environment of its own (`make .venv-fuzz/.done`). Here it makes up the same few requests
every time; with FUZZ_SECONDS it makes up others for so long.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.needs import missing
from tests.server_process import serving

ROOT = Path(__file__).parents[2]
SCHEMATHESIS = ROOT / ".venv-fuzz" / "bin" / "st"
CONFIG = Path(__file__).with_name("schemathesis.toml")
SECONDS = os.environ.get("FUZZ_SECONDS")
EXTENT = ["--max-time", SECONDS] if SECONDS else ["--seed", "1", "--max-examples", "5"]
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    made = subprocess.run(
        ["make", "--directory", ROOT, ".venv-fuzz/.done"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        missing(f"schemathesis cannot be installed: {made.stderr}")


@pytest.mark.parametrize("role", ["admin", "user"])
def test_every_answer_is_one_that_the_document_describes(tmp_path: Path, role: str) -> None:
    with serving(tmp_path, GATEHOUSE_RATE_LIMITS="off") as server:
        credential = server.admin_key
        if role == "user":
            body = {"username": "alice", "password": PASSWORD}
            server.client.post("/users/@self", json=body)
            credential = server.client.post("/users/auth", json=body).json()["token"]
        done = subprocess.run(
            [
                *(
                    SCHEMATHESIS,
                    "--config-file",
                    CONFIG,
                    "run",
                    f"{server.greeting['url']}/openapi.json",
                ),
                *("--checks", "all", "--phases", "examples,coverage,fuzzing"),
                *("--continue-on-failure", "--no-shrink", "--warnings", "off", *EXTENT),
                # Two schemes of which one is enough: it would make up the other, and we refuse two.
                *("-H", f"X-Access-Token: {credential}"),
                *("-H", f"Authorization: Bearer {credential}"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        print(*re.findall(r".*generated.*", done.stdout))
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
