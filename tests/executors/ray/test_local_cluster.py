"""A cluster that is started for the run: nothing is left of it, and it needs no network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.contracts.watching import gone, wait_for
from evomerge.contracts.workers import sleeping_program

pytest.importorskip("ray", reason="Ray is not installed: pip install 'evomerge[ray]'")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home and a folder for temporary files; its name is short, as those of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="ev", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setenv("HOME", folder)
        yield Path(folder)


def program(folder: Path, *before: str) -> subprocess.Popen[str]:
    """A program with two workers that sleep."""
    running = sleeping_program(executors.load("ray"), {"workers": 2}, folder, before)
    wait_for(lambda: len(list(folder.glob("*.asleep"))) == 2, 120)
    return running


def processes(short: Path) -> list[str]:
    """What runs with this folder for temporary files."""
    mark, found = f"TMPDIR={short}\0".encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (path / "environ").read_bytes() and not gone(int(path.name)):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def left(short: Path) -> list[str]:
    """What still runs when all has had time to end."""
    deadline = time.monotonic() + 60
    while (found := processes(short)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_program_ends(tmp_path: Path, short: Path, blow: signal.Signals) -> None:
    """SIGINT, as from a terminal, hits the whole group, and only the program answers; nothing else is printed."""
    running = program(tmp_path)
    assert len(processes(short)) > 5
    os.killpg(running.pid, blow) if blow == signal.SIGINT else os.kill(running.pid, blow)
    out, errors = running.communicate()
    assert left(short) == []
    if blow == signal.SIGINT:
        assert (running.returncode, out, errors) == (0, "interrupted and closed\n", "")
        assert list(short.iterdir()) == [], "neither sockets and logs nor a token in the user's home"


@pytest.mark.network
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and the program ip")
def test_it_needs_no_network(tmp_path: Path, short: Path) -> None:
    """In a network namespace that has nothing but the loopback."""
    name = f"evomerge-lo-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        running = program(tmp_path, "ip", "netns", "exec", name)
        os.killpg(running.pid, signal.SIGINT)
        out, errors = running.communicate()
        assert (running.returncode, out, errors) == (0, "interrupted and closed\n", "")
        assert left(short) == []
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
