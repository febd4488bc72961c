"""A log that nobody reads."""

import json
import subprocess
from pathlib import Path

import httpx

from tests.server import command, environment

CALL = {"jsonrpc": "2.0", "method": "users.check", "params": ["alice"], "id": 1}


def test_nobody_goes_without_an_answer_because_nobody_reads_the_log(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("serve"),
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if '"serving"' in line)
            with httpx.Client(base_url=json.loads(line)["url"], timeout=20) as client:
                process.stderr.close()
                answers = [client.post("/rpc", json=CALL) for _ in range(5)]
                answers.append(client.get("/nowhere"))
        finally:
            process.kill()
    assert [answer.status_code for answer in answers] == [200] * 5 + [404]
