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


def run_without_network(words: list[str], trace: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Runs the program under strace where there is no network; also gives the calls that reached for other machines."""
    command = [shutil.which("unshare") or "unshare", "--net", "--map-root-user"]
    command += ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    command += [sys.executable, "-m", "evomerge", *words]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(trace.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=trace.parent)
    return done, [line for line in trace.read_text(errors="replace").splitlines() if _FAR.search(line)]


@pytest.mark.network
def test_a_local_run_needs_no_network_and_reaches_for_no_other_machine(family: Family, tmp_path: Path) -> None:
    words = ["search", *family.words(tmp_path / "run", evaluations=6)]
    done, reached = run_without_network(words, tmp_path / "trace")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").exists()
    assert reached == []
    # The same way of looking sees a program that does reach out.
    probe = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('192.0.2.1', 9))"
    strace = ["strace", "-f", "-qq", "-e", "trace=connect", "-o", str(tmp_path / "probe"), sys.executable, "-c", probe]
    assert subprocess.run(strace, check=False).returncode == 0
    assert _FAR.search((tmp_path / "probe").read_text())


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
