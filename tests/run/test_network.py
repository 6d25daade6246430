"""A run opens no connection outside this machine unless a hub id asks for it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.run.family import ROOT, Family, start

_FAR = re.compile(r"sa_family=AF_INET6?,.*?(?:inet_addr\(\"(?!127\.)|inet_pton\(AF_INET6, \"(?!::1\"))")


def connections(words: list[str], trace: Path) -> list[str]:
    """Runs the program under strace and gives the system calls that reached for another machine."""
    command = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    command += [sys.executable, "-m", "evomerge", *words]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(trace.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=trace.parent)
    assert done.returncode in (0, 2), done.stderr
    return [line for line in trace.read_text(errors="replace").splitlines() if _FAR.search(line)]


@pytest.mark.network
def test_a_local_run_reaches_for_no_other_machine(family: Family, tmp_path: Path) -> None:
    words = ["search", *family.words(tmp_path / "run", evaluations=6)]
    assert connections(words, tmp_path / "trace") == []
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.network
def test_a_whole_run_works_where_there_is_no_network(family: Family, tmp_path: Path) -> None:
    unshare = [shutil.which("unshare") or "unshare", "--net", "--map-root-user"]
    process = subprocess.run(
        [*unshare, sys.executable, "-m", "evomerge", "search", *family.words(tmp_path / "run", evaluations=6)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize(("offline", "most"), [("false", 1), ("true", 0)])
def test_a_hub_that_cannot_serve_is_one_clear_problem(family: Family, tmp_path: Path, offline: str, most: int) -> None:
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
        process = start(words, env=settings)
        _, printed = process.communicate()
        server.shutdown()
    assert process.returncode == 2, printed
    assert "nobody/nothing" in printed
    assert ("the hub could not be reached" if most else "offline is set") in printed
    # The hub library may ask for a list of programs of its own; offline nothing at all is asked.
    assert len([path for path in asked if "nobody/nothing" in path] if most else asked) == most, asked
