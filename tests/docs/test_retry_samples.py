"""Run the samples of 'Errors and retries' against a server that is not always available."""

import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.docs.nginx import found
from tests.docs.pages import SAMPLES, Block, blocks
from tests.docs.test_walkthroughs import PROGRAMS, environment

SAMPLES_OF_PAGE = [block for block in blocks("docs/retries.md") if block.language in SAMPLES]
RUN = {
    "go": ["go", "run"],
    "java": ["java"],
    "javascript": ["node"],
    "php": ["php"],
    "python": ["python3"],
}


class Busy(BaseHTTPRequestHandler):
    """Refuses `limited` for an hour, and answers any other name at its second attempt."""

    seen: list[tuple[str, str]]

    def do_POST(self) -> None:
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["username"]
        self.seen.append((name, self.headers["Idempotency-Key"]))
        attempts = [seen for seen, _ in self.seen].count(name)
        if name == "limited":
            problem = {"code": "rate-limited", "detail": "Wait."}
            self.answer(429, json.dumps(problem), {"Retry-After": "3600"})
        elif attempts == 1:
            self.answer(503, "<h1>A proxy's page</h1>", {})
        else:
            self.answer(201, json.dumps({"username": name}), {})

    def answer(self, status: int, text: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def busy() -> Iterator[str]:
    Busy.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("sample", SAMPLES_OF_PAGE, ids=lambda sample: sample.language)
def test_a_sample_repeats_what_may_succeed_with_the_same_key(
    sample: Block, busy: str, tmp_path: Path
) -> None:
    if sample.language in PROGRAMS:
        found(*PROGRAMS[sample.language])
    assert sample.title is not None
    (tmp_path / sample.title).write_text(sample.text)
    outcomes = [
        subprocess.run(
            [*RUN[sample.language], sample.title, name, "a lamp in the hall"],
            cwd=tmp_path,
            env={**environment(tmp_path / "home"), "GATEHOUSE": busy},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for name in ("patient", "limited")
    ]
    patient, limited = outcomes
    assert (patient.returncode, patient.stdout, patient.stderr) == (0, "patient\n", "")
    assert (limited.returncode, limited.stdout) == (1, "")
    assert "rate-limited: Wait." in limited.stderr
    (first, first_key), (second, second_key), (last, last_key) = Busy.seen
    assert (first, second, last) == ("patient", "patient", "limited")
    assert first_key == second_key != last_key
