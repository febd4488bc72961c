"""Reading a Dockerfile and its .dockerignore: what ours use of the two languages.

Whatever they begin to use beyond it is refused here, not passed over.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

# What the image of Python sets, so far as ours builds on it.
BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction, its flags without their dashes."""

    name: str
    flags: Mapping[str, str]
    text: str

    @classmethod
    def parse(cls, line: str) -> "Step":
        """The instruction in a line that has its continuations."""
        found = re.fullmatch(r"(\w+)\s+((?:--\S+\s+)*)(.+)", line.strip())
        assert found is not None, line
        flags = (flag.removeprefix("--").split("=", 1) for flag in found[2].split())
        return cls(found[1], dict(flags), found[3])

    def words(self, variables: Mapping[str, str]) -> list[str]:
        """A JSON array as it is, or a shell's words with their variables filled in.

        Raises KeyError for a variable that nothing sets.
        """
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return shlex.split(Template(self.text).substitute(variables))

    def pairs(self, variables: Mapping[str, str]) -> dict[str, str]:
        """NAME=VALUE, as often as it is there."""
        return dict(word.split("=", 1) for word in self.words(variables))


@dataclass(slots=True)
class Config:
    """The configuration of an image for its containers."""

    environment: dict[str, str] = field(default_factory=lambda: dict(BASE_ENVIRONMENT))
    workdir: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def take(self, step: Step) -> None:
        """Heed an instruction that changes no file."""
        match step.name:
            case "ENV":
                self.environment |= step.pairs(self.environment)
            case "LABEL":
                self.labels |= step.pairs(self.environment)
            case "WORKDIR":
                (self.workdir,) = step.words(self.environment)
            case "USER":
                (self.user,) = step.words(self.environment)
            case "VOLUME":
                self.volumes += step.words(self.environment)
            case "EXPOSE":
                self.ports += step.words(self.environment)
            case "STOPSIGNAL":
                (self.stop_signal,) = step.words(self.environment)
            case "HEALTHCHECK":
                self.health = Step.parse(step.text).words({})
            case "ENTRYPOINT":
                self.entrypoint = step.words({})
            case "CMD":
                self.command = step.words({})
            case unknown:
                raise NotImplementedError(unknown)


@dataclass(frozen=True, slots=True)
class Stage:
    """FROM `base` AS `name`, and the steps that follow."""

    base: str
    name: str
    steps: Sequence[Step]

    @property
    def config(self) -> Config:
        """The configuration that results from the instructions that change no file."""
        config = Config()
        for step in self.steps:
            if step.name not in {"COPY", "RUN"}:
                config.take(step)
        return config


def read_stages(path: Path) -> list[Stage]:
    """The stages of the Dockerfile at `path`; the last one is the image."""
    defaults: dict[str, str] = {}
    stages: list[tuple[list[str], list[Step]]] = []
    for step in map(Step.parse, _joined(path.read_text().splitlines())):
        if step.name == "FROM":
            stages.append((step.words(defaults), []))
        elif stages:
            stages[-1][1].append(step)
        else:
            assert step.name == "ARG", step
            defaults |= step.pairs({})
    return [Stage(words[0], words[2] if words[1:] else "image", steps) for words, steps in stages]


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """Each instruction as one line; a comment may stand between two lines of it."""
    begun = ""
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begun += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield begun
            begun = ""


@dataclass(frozen=True, slots=True)
class Context:
    """The folder that an image is built from, without what its .dockerignore leaves out."""

    folder: Path

    def files(self) -> Iterator[Path]:
        """The files that may be copied, relative to the folder."""
        rules = [*self._rules()]
        for path in sorted(self.folder.rglob("*")):
            relative = path.relative_to(self.folder)
            if not path.is_dir() and not _is_ignored(relative, rules):
                yield relative

    def _rules(self) -> Iterator[tuple[re.Pattern[str], bool]]:
        for line in (self.folder / ".dockerignore").read_text().splitlines():
            if line and not line.startswith("#"):
                yield _pattern(line.removeprefix("!")), not line.startswith("!")


def _pattern(text: str) -> re.Pattern[str]:
    assert re.fullmatch(r"[\w./*-]+", text), f"{text}: not a pattern that is understood here"
    stars = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile(re.sub(r"\*\*/|\*|\.", lambda m: stars.get(m[0], r"\."), text))


def _is_ignored(path: Path, rules: Sequence[tuple[re.Pattern[str], bool]]) -> bool:
    """The last rule decides that matches the path or a folder it is in."""
    names = [str(part) for part in (path, *path.parents[:-1])]
    verdicts = [ignores for pattern, ignores in rules if any(map(pattern.fullmatch, names))]
    return verdicts[-1] if verdicts else False
