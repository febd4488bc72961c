"""Clients that others' tools generate from our OpenAPI document: each compiles, and each makes the
same journey.

`make clients` runs this and shows the journeys; what is generated stays in build/ to be looked at.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.clients.tools import BUILD, HERE, NODE_TOOLS, OPENAPI, PYTHON_TOOLS, ROOT, done
from tests.needs import need
from tests.server_process import Server

pytestmark = pytest.mark.usefixtures("documents")

JOURNEYS = HERE / "journeys"
PYTHON, JAVA_CLASSES = PYTHON_TOOLS / "python", BUILD / "java-classes"
GO_PACKAGES = Path("/usr/share/gocode/src")
JAVA_ANNOTATIONS = Path("/usr/share/java/geronimo-annotation-1.3-spec.jar")
# Commands and files, by the Debian package that has them.
NEEDED = {
    "javac": "default-jdk-headless",
    str(JAVA_ANNOTATIONS): "libgeronimo-annotation-1.3-spec-java",
    "go": "golang-go",
    str(GO_PACKAGES / "golang.org/x/oauth2"): "golang-golang-x-oauth2-dev",
    "php": "php-cli php-curl php-mbstring",
    "/usr/share/php/GuzzleHttp": "php-guzzlehttp-guzzle",
}
# What a journey prints, with the client's own name.
STEPS = """\
registered {name}
a second time: username-taken
exists: 204
ONLINE in 0 guilds
created {name}-1: 204
created {name}-2: 201
changed: 204
on the old version: precondition-failed
disabled {name}-2
"""
# Generators of one archive, with their options: starting Java takes longer than generating.
OPENAPI_GENERATOR = {
    "python": {"packageName": "gatehouse_api"},
    "typescript-fetch": {"importFileExtension": ".js"},
    "php": {"invokerPackage": "Gatehouse"},
    "java": {
        "library": "native",
        "openApiNullable": False,
        "invokerPackage": "gatehouse",
        "apiPackage": "gatehouse.api",
        "modelPackage": "gatehouse.model",
    },
    "go": {"packageName": "gatehouse", "withGoMod": False},
}
GO_MODULE = f"""\
module gatehouse

go 1.19

require (
	golang.org/x/net v0.0.0
	golang.org/x/oauth2 v0.0.0
)

replace golang.org/x/net => {GO_PACKAGES}/golang.org/x/net

replace golang.org/x/oauth2 => {GO_PACKAGES}/golang.org/x/oauth2
"""


@cache
def archive() -> Path:
    """The archive of openapi-generator, in its Python package."""
    code = "import openapi_generator_cli as it; print(it.__path__[0])"
    return Path(done(PYTHON, "-c", code).strip()) / "openapi-generator.jar"


def openapi_generator() -> None:
    configs = []
    for name, options in OPENAPI_GENERATOR.items():
        shutil.rmtree(BUILD / name, ignore_errors=True)
        config = BUILD / f"{name}.json"
        wanted = {
            "generatorName": name,
            "inputSpec": str(OPENAPI),
            "outputDir": str(BUILD / name),
            "additionalProperties": options,
        }
        config.write_text(json.dumps(wanted))
        configs.append(config)
    java = ("java", "-XX:TieredStopAtLevel=1", "-jar", archive())
    printed = done(*java, "batch", "--fail-fast", *configs)
    assert not re.search(r"\b(WARN|ERROR)\b", printed), printed


def openapi_python_client() -> None:
    target = ("--meta=none", f"--output-path={BUILD / 'gatehouse_client'}", "--overwrite")
    # It looks for ruff, to put what it wrote into form.
    env = {"PATH": f"{PYTHON_TOOLS}:{os.environ['PATH']}"}
    generator = PYTHON_TOOLS / "openapi-python-client"
    done(generator, "generate", f"--path={OPENAPI}", *target, "--fail-on-warning", env=env)


def openapi_typescript() -> None:
    # Without the last, what has a default would have to be sent.
    how = (f"--output={BUILD / 'gatehouse.d.ts'}", "--default-non-nullable=false")
    done(NODE_TOOLS / "openapi-typescript", OPENAPI, *how)


def hey_api() -> None:
    how = ("-o", BUILD / "hey-api", "-c", "@hey-api/client-fetch", "--no-log-file")
    done(NODE_TOOLS / "openapi-ts", "-i", OPENAPI, *how)


def orval() -> None:
    how = ("--output", BUILD / "orval.ts", "--client", "fetch", "--fail-on-warnings")
    done(NODE_TOOLS / "orval", "--input", OPENAPI, *how)


def check_openapi_python_client() -> None:
    # The generator casts more often than it has to.
    strict = ("--strict", "--no-warn-redundant-casts", "--config-file=")
    where = (f"--python-executable={PYTHON}", f"--cache-dir={BUILD / 'mypy'}")
    code = (BUILD / "gatehouse_client", JOURNEYS / "openapi_python_client.py")
    done(sys.executable, "-m", "mypy", *strict, *where, *code)


def check_python() -> None:
    code = (BUILD / "python/gatehouse_api", JOURNEYS / "openapi_generator.py")
    done(PYTHON, "-W", "error", "-m", "compileall", "-q", "-f", *code)


def compile_typescript() -> None:
    done(NODE_TOOLS / "tsc", "--project", HERE)


def compile_java() -> None:
    shutil.rmtree(JAVA_CLASSES, ignore_errors=True)
    sources = [*(BUILD / "java/src/main").rglob("*.java"), JOURNEYS / "Journey.java"]
    done(
        "javac",
        "-J-XX:TieredStopAtLevel=1",
        "-nowarn",
        "-d",
        JAVA_CLASSES,
        "-cp",
        java_libraries(),
        *sources,
    )


def java_libraries() -> str:
    # The archive has Jackson, too.
    return f"{archive()}:{JAVA_ANNOTATIONS}:{JAVA_CLASSES}"


def compile_go() -> None:
    module = BUILD / "go"
    (module / "go.mod").write_text(GO_MODULE)
    (module / "journey").mkdir()
    shutil.copy(JOURNEYS / "journey.go", module / "journey/main.go")
    build = ("go", "build", "-o", BUILD / "journey-go", "./journey")
    done(*build, cwd=module, env={"GOFLAGS": "-mod=mod", "GOPROXY": "off"})


def check_php() -> None:
    parse = "foreach (array_slice($argv, 1) as $f) PhpToken::tokenize(file_get_contents($f), 1);"
    done("php", "-r", parse, "--", *(BUILD / "php/lib").rglob("*.php"))


@dataclass(frozen=True)
class Client:
    """A generated client: how it is made, compiled and run."""

    generator: str
    package: str
    generate: Callable[[], None]
    compile: Callable[[], None]
    command: Callable[[], Sequence[str | Path]]
    path: Path | None = None


def script(name: str) -> Callable[[], Sequence[str | Path]]:
    return lambda: ("node", BUILD / f"js/journeys/{name}.js")


def python(name: str) -> Callable[[], Sequence[str | Path]]:
    return lambda: (PYTHON, "-W", "error", JOURNEYS / f"{name}.py")


_ARCHIVE = "openapi-generator-cli"
CLIENTS = {
    "opc": Client(
        "openapi-python-client",
        "openapi-python-client",
        openapi_python_client,
        check_openapi_python_client,
        python("openapi_python_client"),
        BUILD,
    ),
    "python": Client(
        "openapi-generator `python`",
        _ARCHIVE,
        openapi_generator,
        check_python,
        python("openapi_generator"),
        BUILD / "python",
    ),
    "php": Client(
        "openapi-generator `php`",
        _ARCHIVE,
        openapi_generator,
        check_php,
        lambda: ("php", JOURNEYS / "journey.php"),
    ),
    "java": Client(
        "openapi-generator `java`, library `native`",
        _ARCHIVE,
        openapi_generator,
        compile_java,
        lambda: ("java", "-cp", java_libraries(), "Journey"),
    ),
    "go": Client(
        "openapi-generator `go`",
        _ARCHIVE,
        openapi_generator,
        compile_go,
        lambda: (BUILD / "journey-go",),
    ),
    "tsfetch": Client(
        "openapi-generator `typescript-fetch`",
        _ARCHIVE,
        openapi_generator,
        compile_typescript,
        script("typescript_fetch"),
    ),
    "ot": Client(
        "openapi-typescript",
        "openapi-typescript",
        openapi_typescript,
        compile_typescript,
        script("openapi_typescript"),
    ),
    "heyapi": Client(
        "Hey API", "@hey-api/openapi-ts", hey_api, compile_typescript, script("hey_api")
    ),
    "orval": Client("orval", "orval", orval, compile_typescript, script("orval")),
}
Step = Callable[[], None]


@pytest.fixture(scope="module")
def compiled(documents: None) -> Iterator[Mapping[Step, "Future[None]"]]:
    """Every client, generated and compiled by two threads; a result is awaited where needed."""
    for path, package in NEEDED.items():
        need(shutil.which(path) is not None or Path(path).exists(), f"apt-get install {package}")
    with ThreadPoolExecutor(2) as pool:
        steps: dict[Step, Future[None]] = {}
        for client in CLIENTS.values():
            steps.setdefault(client.generate, pool.submit(client.generate))
        for client in CLIENTS.values():
            steps[client.generate].exception()
        for client in CLIENTS.values():
            if client.compile not in steps:
                steps[client.compile] = pool.submit(client.compile)
        yield steps


def test_redocly_finds_no_fault_in_the_document() -> None:
    # Not called redocly.yaml: openapi-typescript would take that for its own.
    how = (f"--config={HERE / 'redocly-lint.yaml'}", "--format=json")
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    verdict = json.loads(done(NODE_TOOLS / "redocly", "lint", OPENAPI, *how, env=quiet))
    assert verdict["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_compiles_and_makes_the_journey(
    compiled: Mapping[Step, "Future[None]"], server: Server, name: str
) -> None:
    client = CLIENTS[name]
    compiled[client.generate].result()
    compiled[client.compile].result()
    arguments = (server.greeting["url"], server.admin_key, f"user-{name}")
    made = done(*client.command(), *arguments, env={"PYTHONPATH": str(client.path or BUILD)})
    print(f"\n{client.generator}\n{made}")
    assert made == STEPS.format(name=f"user-{name}")


def test_the_page_names_each_generator_and_its_version() -> None:
    versions: dict[str, str] = json.loads((HERE / "package.json").read_text())["devDependencies"]
    pins = (ROOT / "requirements/clients.txt").read_text()
    versions |= re.findall(r"^([\w-]+)==(\S+)", pins, re.MULTILINE)
    lines = (ROOT / "docs/clients.md").read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.count("|") == 7]
    _head, _rule, *named = [tuple(row[:5]) for row in rows]
    assert named == [(it.generator, versions[it.package], *["yes"] * 3) for it in CLIENTS.values()]
