"""A hub that cannot serve."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.apart import Apart
from tests.run.conftest import PROGRAM
from tests.run.family import Family


@pytest.mark.parametrize(("offline", "most"), [("false", 1), ("true", 0)])
def test_a_hub_that_cannot_serve_is_one_clear_problem(
    family: Family, tmp_path: Path, bare: Apart, offline: str, most: int
) -> None:
    """A hub id and a hub that is busy: refused after one request, or offline after none, and no retries."""
    asked: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        def refuse(self) -> None:
            asked.append(self.path)
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_POST = refuse

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        models = f"[nobody/nothing,{family.folder / 'two'}]"
        words = ["check", *family.words(tmp_path / "run", models=models, offline=offline)]
        settings = {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "hub"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }
        process = bare.start(PROGRAM, *words, err=True, **settings)
        _, printed = process.communicate()
        server.shutdown()
    assert process.returncode == 2, printed
    assert "nobody/nothing" in printed
    assert ("the hub could not be reached" if most else "offline is set") in printed
    # The hub library may ask for a list of programs of its own; offline nothing at all is asked.
    assert len([path for path in asked if "nobody/nothing" in path] if most else asked) == most, asked
