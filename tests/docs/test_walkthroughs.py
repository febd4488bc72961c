"""Run README and the documentation as a new reader does: in a clean clone, from top to bottom."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy2

import pytest
from hatchling.builders.sdist import SdistBuilder

from tests.docs.nginx import found, free_port
from tests.docs.pages import COMMANDS, DOCS, ROOT, SAMPLES, Block, blocks, reading_order
from tests.server_process import Server, attend

# Commands that the shell of this test cannot run: the title of their block, and the reason.
ELSEWHERE = {
    "In a terminal of its own": "runs until it is stopped; the fixture `server` runs it",
    "As root": "changes the system; tests/docs/test_examples.py verifies the unit",
    "Without an index": "downloads packages; tests/packaging/test_environment.py runs the steps",
    "With a release": "needs the files of a release; tests/packaging installs them",
    "With Docker": "needs a Docker daemon; tests/containers runs the steps of the image",
    "With systemd": "needs a host that runs Gatehouse as a service; tests/e2e runs the commands",
    "With PostgreSQL's tools": "needs a server of its own; tests/faults restores such a dump",
    "With a panel": "needs a panel; tests/upstream has its API",
    "With Node.js": "downloads packages; tests/clients runs the same steps",
    "For developers": "runs other tests for minutes",
}
ADDRESS = "http://127.0.0.1:8000"
# Where a page runs a program of its reader.
OWN = "127.0.0.1:8080"
# The programs that samples need, and Debian's packages.
PROGRAMS = {
    "go": ("go", "golang-go"),
    "java": ("javac", "default-jdk-headless"),
    "javascript": ("node", "nodejs"),
    "php": ("php", "php-cli"),
}
END_OF_STEP = "\x1e"
# Values that differ between runs, machines, or readers who skipped a page.
VARYING = {
    "uuid": r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "key": r"\b[0-9A-Za-z]{8}(-[0-9A-Za-z]{4}){3}-[0-9A-Za-z]{8}\b",
    "key id": r"\b[0-9A-Z]{8}\b",
    "thumbprint": r"(?<![\w-])[\w-]{43}(?![\w-])",
    "program": r"\bcurl/[\d.]+",
    "time": r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|\+00:00)",
    "snowflake": r"\b\d{18,19}\b",
    "number": r'(?<="id":)\s*\d+',
    "request id": r"\b[0-9a-f]{16}\b",
    "password": r'(?<="password":)\s*"[0-9A-Za-z]{20}"',
}

# ------------------------------------------------------------------------------ the reader


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a reader: the system's commands, and an empty home."""
    home.mkdir(exist_ok=True)
    ours = Path(sys.prefix)
    path = [p for p in os.environ["PATH"].split(os.pathsep) if not Path(p).is_relative_to(ours)]
    return {
        "PATH": os.pathsep.join(path),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        # Which index pip uses is a matter of the machine.
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # Only a cache.
        "GOCACHE": str(Path.home() / ".cache" / "go-build"),
    }


def git(folder: Path, *arguments: str) -> bytes:
    """Return the output of a command of git."""
    return subprocess.run(
        [found("git", "git"), "-C", str(folder), *arguments],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with the files of this tree, after `make install`."""
    folder = tmp_path_factory.mktemp("reader") / "gatehouse"
    for file in SdistBuilder(str(ROOT)).recurse_included_files():
        target = folder / file.relative_path
        target.parent.mkdir(parents=True, exist_ok=True)
        copy2(file.path, target)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    # The package index and its cache are those of this environment; `make test` is not its parent.
    ours = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    path = environment(folder.parent / "home")["PATH"]
    installed = subprocess.run(
        ["make", "install"],
        cwd=folder,
        env={**ours, "PATH": path, "PIP_NO_COMPILE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    return folder


@pytest.fixture(scope="module")
def server(clone: Path) -> Iterator[Server]:
    """Run the first command of README, on a free port, with the settings of a guide."""
    (settings,) = [block.text for block in blocks("docs/browser.md") if block.title == ".env"]
    (clone / ".env").write_text(settings)
    start = next(block.text for block in blocks("README.md") if block.language == "sh")
    process = subprocess.Popen(
        ["bash", "-c", f"exec {start}"],
        cwd=clone,
        env={**environment(clone.parent / "home"), "GATEHOUSE_PORT": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with attend(process) as attended:
        yield attended
        # Make passes it on, and waits for the server.
        process.terminate()
        process.wait(timeout=30)


# -------------------------------------------------------------------------------- the pages


def test_the_navigation_has_every_page() -> None:
    pages = reading_order()
    assert len(pages) == len(set(pages))
    assert set(pages[1:]) == {str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md")}


def test_every_sample_has_a_file_and_every_command_that_cannot_run_a_reason() -> None:
    everything = [block for page in reading_order() for block in blocks(page)]
    unnamed = [block.text for block in everything if block.language in SAMPLES and not block.title]
    assert unnamed == []
    titles = {block.title for block in everything if block.language in COMMANDS if block.title}
    assert titles == set(ELSEWHERE)


def steps(page: str) -> list[Block]:
    """Return what a reader of the page does: save the samples, run the commands."""
    return [
        block
        for block in blocks(page)
        if block.language in SAMPLES or (block.language in COMMANDS and not block.title)
    ]


def script(step: Block) -> str:
    """Return what a reader types for a step."""
    if step.language not in SAMPLES:
        return step.text
    return f"cat > {step.title} <<'END OF SAMPLE'\n{step.text.rstrip()}\nEND OF SAMPLE\n"


def normalized(text: str) -> str:
    """Remove spaces, and replace values that differ between runs with their names."""
    for what, pattern in VARYING.items():
        text = re.sub(pattern, f"<{what}>", text, flags=re.ASCII)
    return "".join(text.split())


def printed(folder: Path, address: str, walk: list[Block]) -> list[str]:
    """Return the output of each step, all in one shell."""
    commands = "".join(f"{script(step)}\nprintf '\\x1e'\n" for step in walk)
    changes = {ADDRESS: address, OWN: f"127.0.0.1:{free_port()}"}
    for shown, ours in changes.items():
        commands = commands.replace(shown, ours)
    # A command that reads its standard input must not read the next steps.
    typed = folder.parent / "typed.sh"
    typed.write_text(f"trap 'jobs -p | xargs -r kill' EXIT\n{commands}")
    done = subprocess.run(
        ["bash", "-u", str(typed)],
        cwd=folder,
        env=environment(folder.parent / "home"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.split(END_OF_STEP)[:-1]


@pytest.mark.parametrize("page", [page for page in reading_order() if steps(page)])
def test_every_step_of_a_page_prints_the_documented_output(
    page: str, clone: Path, server: Server
) -> None:
    walk, address = steps(page), server.greeting["url"]
    for step in walk:
        if step.language in PROGRAMS:
            found(*PROGRAMS[step.language])
    outputs = printed(clone, address, walk)
    assert len(outputs) == len(walk), "a command ended the shell"
    for step, output in zip(walk, outputs, strict=True):
        expected = ".*".join(map(re.escape, normalized(step.output).split("…")))
        printed_output = output.replace(address, ADDRESS)
        if not re.fullmatch(expected, normalized(printed_output)):
            pytest.fail(
                f"{step.text}\nprints\n\n{printed_output}\nbut {page} shows\n\n{step.output}",
                pytrace=False,
            )
    changed = git(clone, "status", "--porcelain", "--untracked-files=all").decode().splitlines()
    assert [line for line in changed if not line.startswith("A  ")] == []
