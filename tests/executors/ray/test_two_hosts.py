"""Two network namespaces as two hosts that share a file system: Ray on each, and a cable between that is pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.executors.ray.conftest import SMALL, STORE, unhurried
from tests.run.family import ROOT, Family, answers, records

pytestmark = pytest.mark.network
HEAD, OTHER = "10.203.77.1", "10.203.77.2"
PORT = 6399
START = ("start", "--block", "--num-cpus=1", f"--object-store-memory={STORE}", "--disable-usage-stats")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces that see nothing but each other."""
    names = (f"evomerge-a-{os.getpid()}", f"evomerge-b-{os.getpid()}")
    with ExitStack() as undo:
        for name in names:
            ip("netns", "add", name)
            undo.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", names[1])
        for name, address in zip(names, (HEAD, OTHER), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
        yield names


@contextmanager
def started(host: str, folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node of Ray on a host, as users start it."""
    log = folder / f"{host}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["ip", "netns", "exec", host, str(Path(sys.executable).parent / "ray"), *START, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 120
            while b"--block" not in log.read_bytes():  # Ray's last words once a node runs
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A cluster of two hosts, with room for one worker on each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'evomerge[ray]'")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the program ip")
    with hosts() as names:
        head = ("--head", f"--node-ip-address={HEAD}", f"--port={PORT}", "--include-dashboard=false")
        with (
            started(names[0], tmp_path, *head),
            started(names[1], tmp_path, f"--address={HEAD}:{PORT}", f"--node-ip-address={OTHER}"),
        ):
            yield names


def test_a_search_over_two_hosts_outlives_the_loss_of_one(two: tuple[str, str], family: Family, tmp_path: Path) -> None:
    """Both work; then the cable is pulled, what was lost is scored on the other host, and the records are the same."""
    local, spread = tmp_path / "local", tmp_path / "ray"
    changes = {"functions": unhurried(tmp_path), **SMALL}
    assert family.search(local, **changes) == 0
    words = family.words(spread, **changes, executor="ray", executor__options=f"{{address: '{HEAD}:{PORT}'}}")
    program = subprocess.Popen(
        ["ip", "netns", "exec", two[0], sys.executable, "-m", "evomerge", "search", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "EVOMERGE_TEST_SLEEP": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    log, workers = spread / "records" / "main.jsonl", set[str]()
    while program.poll() is None and len(workers) < 2:
        time.sleep(0.01)
        workers = {f"ray {number}" for number in (1, 2) if log.exists() and f'"ray {number}"' in log.read_text()}
    ip("-n", two[1], "link", "set", "cable", "down")
    _, said = program.communicate(timeout=300)
    assert program.returncode == 0, said
    assert len(workers) == 2, "both hosts have worked before the cable was pulled"
    assert records(spread) == records(local)
    assert answers(spread) == answers(local)
