"""A run opens no connection outside this machine unless a hub id asks for it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
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


def test_an_unreachable_hub_is_one_clear_problem(family: Family, tmp_path: Path) -> None:
    """A hub id without a way to the hub: refused after one attempt, with no retries to wait for."""
    words = ["check", *family.words(tmp_path / "run", models=f"[nobody/nothing,{family.folder / 'two'}]")]
    settings = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    process = start(words, env=settings)
    _, printed = process.communicate()
    assert process.returncode == 2, printed
    assert "nobody/nothing" in printed
    assert "Retrying" not in printed
