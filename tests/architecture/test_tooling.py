"""Contributor files name commands, paths and versions that exist."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
# A decision names what was there when it was taken.
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", ".github/**/*.*", ".devcontainer/*", "tests/**/*.md")
    for path in ROOT.glob(pattern)
    if "node_modules" not in path.parts
)
CODE = re.compile(r"`([^`\n]+)`")


def read_yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEXTS, ids=relative)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r'(?:^|[`"])make (\.?[a-z][\w./-]*)', path.read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([\w./-]+):", MAKEFILE, re.MULTILINE))

    assert named <= targets


@pytest.mark.parametrize("path", TEXTS, ids=relative)
def test_every_path_that_is_named_exists(path: Path) -> None:
    assert [name for name in named_paths(path) if not exists(name)] == []


def test_names_of_paths_are_found() -> None:
    assert "app/settings.py" in named_paths(ROOT / "CONTRIBUTING.md")
    assert not exists("app/nowhere.py")


def named_paths(path: Path) -> list[str]:
    """The folders and files that a page names, but for those that `make` writes."""
    spans = CODE.findall(path.read_text())
    pattern = re.compile(r"(?!build/|dist/|site/|var/)\w+/[\w./-]*(/|\.(py|ini|mako))")
    return sorted({span for span in spans if pattern.fullmatch(span)})


def exists(name: str) -> bool:
    """Look for a path in the repository and, as architecture.md names them, in `app/`."""
    return (ROOT / name).exists() or (ROOT / "app" / name).exists()


def test_every_hook_runs_a_pinned_tool_as_make_does() -> None:
    (repository,) = read_yaml(".pre-commit-config.yaml")["repos"]

    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        command = hook["entry"].removesuffix(" --fix").removesuffix(" --no-logo")
        assert command.replace(".venv/bin/", "$(BIN)/") in MAKEFILE
        assert Path(sys.executable).with_name(Path(command.split()[0]).name).exists()


def test_the_editor_uses_the_environment_and_recommended_extensions() -> None:
    settings = json.loads((ROOT / ".vscode/settings.json").read_text())
    recommended = json.loads((ROOT / ".vscode/extensions.json").read_text())["recommendations"]
    launched = json.loads((ROOT / ".vscode/launch.json").read_text())["configurations"]

    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
    assert settings["[python]"]["editor.defaultFormatter"] in recommended
    assert {f"ms-python.{launch['type']}" for launch in launched} <= set(recommended)
    width = re.search(r"^line-length = (\d+)$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert width is not None
    assert settings["[python]"]["editor.rulers"] == [int(width[1])]


def test_the_devcontainer_has_the_versions_and_programs_that_tests_use() -> None:
    dockerfile = (ROOT / ".devcontainer/Dockerfile").read_text()
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    assert f"FROM {base[1].replace('-slim', '')}\n" in dockerfile

    needed = re.findall(r"^need \S+ (\S+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert {"chromium", "pgbouncer"} <= set(needed) <= set(dockerfile.split())

    compose = read_yaml(".devcontainer/compose.yaml")
    schema = json.loads((ROOT / "tests/containers/compose-spec.json").read_text())
    Draft202012Validator(schema).validate(compose)
    shipped = read_yaml("compose.yaml")["services"]
    for name in ("postgres", "redis"):
        assert compose["services"][name]["image"] == shipped[name]["image"]

    devcontainer = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert devcontainer["service"] in compose["services"]
    assert (ROOT / ".devcontainer" / devcontainer["dockerComposeFile"]).exists()
    workspace = compose["services"][devcontainer["service"]]
    assert workspace["volumes"] == [f"..:{devcontainer['workspaceFolder']}"]
