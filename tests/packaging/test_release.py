"""Conditions that keep a version from being released."""

import re

import pytest

from tools.release import READERS, find_disagreements

PARTS = "".join(f"\n### {reader} must\n\n- nothing.\n" for reader in READERS)
RELEASED = (
    f"# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-29\n{PARTS}\n### Added\n\n- rpc: a.\n"
)
EARLIER = "\n## [1.1.0] - 2026-10-01\n\n- rest: b.\n"


def test_a_version_with_its_section_and_tag_can_be_released() -> None:
    assert find_disagreements("1.2.0", RELEASED + EARLIER, ["stable", "v1.2.0"]) == []


@pytest.mark.parametrize(
    ("version", "changelog", "tags", "problem"),
    [
        ("1.2.0", RELEASED, [], "no tag v1.2.0"),
        ("1.2.0", RELEASED, ["1.2.0", "v1.2"], "no tag v1.2.0"),
        ("1.3.0", RELEASED, ["v1.3.0"], r"Unreleased is not \[1.3.0\]"),
        ("1.1.0", RELEASED + EARLIER, ["v1.1.0"], r"Unreleased is not \[1.1.0\]"),
        ("1.2.0", "# Changelog\n", ["v1.2.0"], r"Unreleased is not \[1.2.0\]"),
        ("1.2.0", RELEASED.replace(" - 2026-11-29", ""), ["v1.2.0"], "has no date"),
        (
            "1.2.0",
            RELEASED.replace("Clients must", "Clients"),
            ["v1.2.0"],
            "has no part '### Clients must'",
        ),
        (
            "1.2.0",
            RELEASED.replace("[Unreleased]\n", "[Unreleased]\n\n- c.\n"),
            ["v1.2.0"],
            "Unreleased is not empty",
        ),
    ],
)
def test_a_disagreement_keeps_a_version_back(
    version: str, changelog: str, tags: list[str], problem: str
) -> None:
    (found,) = find_disagreements(version, changelog, tags)

    assert re.search(problem, found)
