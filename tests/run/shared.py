"""Shared runs for tests: submissions, and workers as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evomerge.contracts.watching import wait_for
from tests.run.family import ROOT, Family

GRACE = 6.0
PATIENCE = 900.0  # seconds, for machines that have much else to do


class Workers:
    """Workers of one run, each a process of its own, whose output is kept.

    Args:
        run: The run's folder.
        before: Words before each worker's: a program that starts it elsewhere.
    """

    def __init__(self, run: Path, before: Callable[[int], list[str]] = lambda _: []) -> None:
        self.run = run
        self.processes: list[subprocess.Popen[bytes]] = []
        self._before = before

    def start(self, environment: Mapping[str, str] | None = None, **keys: object) -> subprocess.Popen[bytes]:
        """Starts one more; in a process group of its own."""
        number = len(self.processes)
        words = [f"{key}={value}" for key, value in {"run": self.run, "workers": 1, **keys}.items()]
        program = [*self._before(number), sys.executable, "-m", "evomerge", "worker", *words]
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "JOB_COMPLETION"))}
        with self.log(number).open("wb") as log:
            process = subprocess.Popen(
                program,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**plain, "OMP_NUM_THREADS": "1", **(environment or {})},
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def log(self, number: int) -> Path:
        """The file with a worker's output."""
        return self.run / f"test-{number}.log"

    def said(self) -> str:
        """The output of all."""
        return "\n".join(self.log(number).read_text() for number in range(len(self.processes)))

    def codes(self, seconds: float = PATIENCE) -> list[int]:
        """Waits until all have ended; their exit codes."""
        wait_for(lambda: all(process.poll() is not None for process in self.processes), seconds)
        return [process.returncode for process in self.processes]

    def children(self, process: subprocess.Popen[bytes]) -> dict[str, int]:
        """What a worker has started: ``driver`` and ``process`` by process id."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                words = (status.parent / "cmdline").read_bytes().decode()
            except (OSError, ValueError):
                continue
            if parent == process.pid and "resource_tracker" not in words:
                found["driver" if "evomerge.cli.driver" in words else "process"] = int(status.parent.name)
        return found


@contextmanager
def workers(run: Path, before: Callable[[int], list[str]] = lambda _: []) -> Iterator[Workers]:
    """Workers none of whom outlives the test."""
    found = Workers(run, before)
    try:
        yield found
    except BaseException:
        print(found.said())
        raise
    finally:
        for process in found.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def submitted(family: Family, run: Path, **changes: object) -> Path:
    """The folder of a submission; workers of other machines count as gone after a few seconds."""
    words = family.words(run, **{"executor.options.grace": GRACE, "model.device": "cpu", **changes})
    done = subprocess.run(
        [sys.executable, "-m", "evomerge", "submit", *words], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return run


def recorded(run: Path) -> int:
    """Number of evaluations on disk."""
    path = run / "records" / "main.jsonl"
    return sum(b'"evaluation":' in line for line in path.read_bytes().split(b"\n")[:-1]) if path.exists() else 0


def provenance(run: Path) -> list[str]:
    """The worker of each record."""
    lines = (run / "records" / "main.jsonl").read_text().splitlines()
    found = (json.loads(line) for line in lines)
    return [record["provenance"]["worker"] for record in found if "evaluation" in record]
