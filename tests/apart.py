"""New processes without the seconds that importing torch and transformers takes: forks of one that has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

SERVER = """
import json, os, sys
import evomerge.merging
for line in sys.stdin:
    task = json.loads(line)
    if "wait" in task:
        print(os.waitpid(task["wait"], 0)[1], flush=True)
        continue
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    status = 1
    try:
        os.dup2(os.open(task["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        sys.argv = ["-c", *task["words"]]
        exec(compile(task["code"], "apart", "exec"), {"__name__": "__main__"})
        sys.stdout.flush()
        status = 0
    finally:
        os._exit(status)
"""


class Apart:
    """Runs code in new processes, which start in milliseconds.

    Their threads are one, and memory that is freed goes back at once, so that what a process takes can be seen.

    Args:
        folder: For the output of the processes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1000000"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Nothing is done before the first process."""
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def start(self, code: str, *words: str) -> tuple[int, Path]:
        """Starts a process; gives its number and the file of its output."""
        self._count += 1
        out = self._folder / f"{self._count}.txt"
        return self._asked(code=code, words=words, out=str(out)), out

    def output(self, started: tuple[int, Path]) -> str:
        """Waits for a process that :meth:`start` began, and gives what it printed."""
        pid, out = started
        status = self._asked(wait=pid)
        assert status == 0, f"the process ended with status {status}; its errors are among the test's"
        return out.read_text(encoding="utf-8")

    def run(self, code: str, *words: str) -> str:
        """What a process printed."""
        return self.output(self.start(code, *words))

    def _asked(self, **task: Any) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(task) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())
