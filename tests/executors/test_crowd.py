"""Many workers on one folder: nothing is lost, nothing is done twice, whoever is killed; and no lock is asked for."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evomerge.contracts import workers
from evomerge.contracts.crowd import crowd as forked_crowd
from evomerge.contracts.watching import gone, wait_for
from evomerge.executors import run
from evomerge.executors.folder import SharedFolder

ROOT = Path(__file__).parents[2]


@contextmanager
def crowd(folder: Path, count: int, seconds: float, *before: str, grace: float = 60.0) -> Iterator[list[int]]:
    """Process ids of workers that work while this is entered."""
    program = [*before, sys.executable, str(ROOT / "tests" / "executors" / "crowd.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CROWD_GRACE": str(grace)}
    process = subprocess.Popen([*program, str(folder), str(count), str(seconds)], env=environment)
    try:
        wait_for((folder / "crowd").exists)
        wait_for(lambda: len((folder / "crowd").read_text().split()) == count)
        yield [int(pid) for pid in (folder / "crowd").read_text().split()]
    finally:
        (folder / "stop").touch()
        process.wait(60)


def ran(folder: Path) -> Counter[int]:
    """How often each job was run."""
    return Counter(int(number) for log in folder.glob("*.ran") for number in log.read_text().split())


def test_a_worker_says_what_it_died_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    executor = SharedFolder(tmp_path)
    executor.submit(workers.job(1))
    executor._list()
    with (
        pytest.raises(ChildProcessError, match="worker-0 failed, as 1 of 1 workers did"),
        forked_crowd(tmp_path, workers.make_broken, 1) as (pid,),
    ):
        wait_for(lambda: gone(pid))
    assert "the disk is gone" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.faults
def test_of_64_workers_no_claim_is_lost_or_doubled(tmp_path: Path) -> None:
    executor = SharedFolder(tmp_path / "work")
    jobs = [workers.job(number) for number in range(1500)]
    with crowd(tmp_path, 64, 0.01):
        results = list(run(executor, jobs))
    assert Counter(result.job for result in results) == Counter(job.id for job in jobs)
    assert all(workers.answer(r.outcome) == workers.number(r.job) ** 2 for r in results)
    assert {result.attempt for result in results} == {1}
    assert ran(tmp_path) == Counter(range(1500))
    assert len({result.worker for result in results}) > 32
    assert list((tmp_path / "work" / "jobs").iterdir()) == []


@pytest.mark.slow
@pytest.mark.faults
def test_of_killed_workers_only_what_they_were_at_is_done_again(tmp_path: Path) -> None:
    """Half of them are killed and some told to leave, at random moments, while a second driver takes over."""
    first, second = (SharedFolder(tmp_path / "work", retries=40) for _ in range(2))
    jobs = [workers.job(number) for number in range(400)]
    draw = random.Random(3)
    with crowd(tmp_path, 32, 0.05) as pids:
        doomed = draw.sample(pids, 20)
        results = []
        for driver in (first, second):
            for job in jobs:
                driver.submit(job)
            for result in driver.results():
                results.append(result)
                if doomed and draw.random() < 0.2:
                    pid = doomed.pop()
                    os.kill(pid, signal.SIGTERM if len(doomed) % 4 == 0 else signal.SIGKILL)
                if driver is first and len(results) == 150:
                    break
            jobs = [job for job in jobs if job.id not in {result.job for result in results}]
    assert Counter(result.job for result in results) == Counter(workers.job(number).id for number in range(400))
    assert not doomed
    times = ran(tmp_path)
    assert times.keys() == set(range(400))
    assert times.total() <= 400 + 20, "each killed worker costs one job at most"


def host(name: str) -> list[str]:
    """Words that run a program as on a host of that name, without a network."""
    code = "import os, socket, sys; socket.sethostname(sys.argv[1]); os.execvp(sys.argv[2], sys.argv[2:])"
    return ["unshare", "--uts", "--net", "--map-root-user", sys.executable, "-c", code, name]


def needs_hosts() -> None:
    """Skips a test where this system does not let us play two hosts."""
    if shutil.which("unshare") is None or subprocess.run([*host("other"), "true"], capture_output=True).returncode:
        pytest.skip("needs namespaces of its own: unshare")


@pytest.mark.network
@pytest.mark.slow
def test_a_host_that_is_gone_is_missed_when_it_gives_no_sign_of_life(tmp_path: Path) -> None:
    """Its processes cannot be seen from here; those of a third host take over."""
    needs_hosts()
    executor = SharedFolder(tmp_path / "work", grace=3.0)
    jobs = [workers.job(number) for number in range(4)]
    for job in jobs:
        executor.submit(job)
    executor._list()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "work").symlink_to(tmp_path / "work")
    with crowd(tmp_path / "one", 2, 600.0, *host("node-1"), grace=3.0) as pids:
        wait_for(lambda: ran(tmp_path / "one").total() == 2)
        executor._watch()
        assert len(executor._work.claimed(executor._work.names())) == 2
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    executor._watched = 0.0
    executor._watch()
    assert len(executor._work.claimed(executor._work.names())) == 2, "nobody can see here that they are dead"
    with crowd(tmp_path / "two", 1, 0.0, *host("node-2"), grace=3.0):
        found = {workers.number(result.job): result.attempt for result in executor.results()}
    lost = set(ran(tmp_path / "one"))
    assert found == {number: 1 + (number in lost) for number in range(4)}


DRIVER = """
import sys
from pathlib import Path
from evomerge.contracts import workers
from evomerge.executors import run
from evomerge.executors.folder import SharedFolder

print(len(list(run(SharedFolder(Path(sys.argv[1])), [workers.job(number) for number in range(20)]))))
"""
STRACE = "fcntl,flock,link,linkat,rename,renameat,renameat2"


@pytest.mark.network
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_lock_is_asked_for(tmp_path: Path) -> None:
    """By neither side: claims are second names of files, results are renamed."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-e", f"trace={STRACE}", "-o"]
    with crowd(tmp_path, 2, 0.0, *strace, str(trace)):
        done = subprocess.run(
            [*strace, f"{trace}.driver", sys.executable, "-c", DRIVER, str(tmp_path / "work")],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stdout == "20\n", done.stderr
    calls = trace.read_text() + Path(f"{trace}.driver").read_text()
    assert re.search(r"link(at)?\(.*\.claim", calls)
    assert re.search(r"rename(at2?)?\(.*\.result", calls)
    locks = re.findall(r".*(?:flock\(|F_SETLK|F_GETLK|F_OFD_|F_SETLEASE).*", calls)
    assert locks == []
