"""Building the image without a container engine, and running what it says in a directory.

Proved by it: what COPY names is there, and .dockerignore lets it in; each RUN step does its work
with the files, variables and directory that it has, in a root directory where nothing else of this
machine is; the image's user can run what the image runs, with the image's variables alone.
Not proved: the tag in FROM and what else its image holds, the Python of that image where this
machine's is another, the network of a build, and that every engine reads the same lines alike.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy2, copymode, copytree, rmtree

from tests.containers.dockerfile import Config, Context, Stage, Step
from tests.containers.standin import assemble
from tests.server_process import Server, attend

# In place of the network that a build has: a folder with what pip would fetch.
WHEELS = "wheels"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"/{WHEELS}"}


@dataclass(frozen=True, slots=True)
class Image:
    """A root directory, and how commands are run in it."""

    root: Path
    config: Config = field(default_factory=Config)

    def path(self, inside: str) -> Path:
        """Return the place of the image's path on this machine."""
        return self.root / str(Path(self.config.workdir, inside)).lstrip("/")

    def command(self, words: Sequence[str], variables: Mapping[str, str]) -> list[str]:
        """The command line that runs `words` in the image, as its user."""
        user, group = self.config.user.split(":")
        environment = {**self.config.environment, **variables}
        return [
            *("chroot", str(self.root)),
            *("/usr/bin/setpriv", "--reuid", user, "--regid", group, "--clear-groups"),
            # The second one ends the command when its parent was killed.
            *("--no-new-privs", "--pdeathsig", "KILL"),
            *("/usr/bin/env", "-i", f"--chdir={self.config.workdir}"),
            *(f"{name}={value}" for name, value in environment.items()),
            *words,
        ]

    def run(
        self, *words: str, variables: Mapping[str, str] = {}, stdin: bytes = b""
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a command in it to its end."""
        command = self.command(words, variables)
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=300)

    @contextmanager
    def serving(self, variables: Mapping[str, str], before: Sequence[str] = ()) -> Iterator[Server]:
        """Run a container until it is killed; `before` is a command that starts its own."""
        words = [*self.config.entrypoint, *self.config.command]
        process = subprocess.Popen(
            [*before, *self.command(words, variables)],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        with attend(process) as server:
            yield server


def build(stages: Sequence[Stage], context: Context, wheels: Path, folder: Path) -> Image:
    """Build every stage below `folder`; the image is that of the last one."""
    built: dict[str, Image] = {}
    umask = os.umask(0o022)  # as an engine's builder has it
    try:
        for stage in stages:
            built[stage.name] = _build_stage(stage, context, wheels, folder / stage.name, built)
    finally:
        os.umask(umask)
    return built[stages[-1].name]


def _build_stage(
    stage: Stage, context: Context, wheels: Path, root: Path, built: Mapping[str, Image]
) -> Image:
    image = Image(root)
    assemble(root)
    copytree(wheels, root / WHEELS)
    for step in stage.steps:
        _perform(step, image, context, built)
    rmtree(root / WHEELS)
    return image


def _perform(step: Step, image: Image, context: Context, built: Mapping[str, Image]) -> None:
    if step.name == "RUN":
        assert not step.flags, step
        done = image.run("/bin/sh", "-c", step.text, variables=OFFLINE)
        assert done.returncode == 0, f"RUN {step.text}\n{done.stderr.decode()}"
    elif step.name != "COPY":
        image.config.take(step)
        image.path(".").mkdir(parents=True, exist_ok=True)
    elif step.flags:
        assert step.flags.keys() == {"from"}, step
        source, target = step.words({})
        copytree(built[step.flags["from"]].path(source), image.path(target), symlinks=True)
    else:
        *sources, target = step.words({})
        for source in sources:
            _copy_in(context, Path(source), target, image)


def _copy_in(context: Context, source: Path, target: str, image: Image) -> None:
    """Copy as COPY does: the contents of a folder, with their modes."""
    files = [file for file in context.files() if source in (file, *file.parents)]
    assert files, f"COPY {source}: there is no such file, or .dockerignore leaves it out"
    is_file = files == [source]
    assert target.endswith("/") or not is_file, f"COPY {source}: a file, to what is not a folder"
    start = source.parent if is_file else source
    for file in files:
        folder = image.path(target)
        folder.mkdir(exist_ok=True)
        for parent in reversed(file.relative_to(start).parents[:-1]):
            (folder / parent).mkdir(exist_ok=True)
            copymode(context.folder / start / parent, folder / parent)
        copy2(context.folder / file, folder / file.relative_to(start))
