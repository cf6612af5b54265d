"""The outside judge of ASGI behaviour, which the project does not own; left out if it is not there (see conftest.py)."""

import json
import subprocess
import sys

import process
import pytest

ONLY = "http.*,lifespan.*,state.*,run.*,app.*,shutdown.*"
# Allowed to fail, each with its reason.
ALLOWED = {
    "state.websocket": "WebSocket comes later",
    "shutdown.ws-*": "WebSocket comes later",
}


@pytest.mark.timeout(900)
def test_none_failed(judge, tmp_path):
    results = tmp_path / "results.json"
    program = " ".join(process.command())
    done = subprocess.run(
        [sys.executable, str(judge / "asgi_conformance.py")],
        cwd=tmp_path,
        env=process.environment(
            {
                "SERVER_CMD": f"{program} {{app}} --host 127.0.0.1 --port {{port}}",
                "ONLY": ONLY,
                "ALLOW": ",".join(ALLOWED),
                "JSON_OUT": str(results),
                "TMPDIR": str(tmp_path),
            }
        ),
        capture_output=True,
        text=True,
    )
    rows = json.loads(results.read_text())["rows"]
    failed = [
        f"{row['id']} ({row['level']}): {row['title']}: {row['detail']}"
        for row in rows
        if row["outcome"] == "fail" and not row["allowed"]
    ]
    assert not failed, "\n".join(failed)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert sum(row["outcome"] == "pass" for row in rows) > 100
