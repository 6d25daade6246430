"""New processes without the seconds that importing torch and transformers takes: forks of one that has them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

SERVER = """
import gc, importlib, json, os, sys
orders, answers = open(sys.argv[1]), open(sys.argv[2], "w", buffering=1)
gc.disable()
for name in sys.argv[3:]:
    importlib.import_module(name)
gc.freeze()
gc.enable()
print("ready", file=answers)
for line in orders:
    task = json.loads(line)
    if "wait" in task:
        pid, status = os.waitpid(task["wait"], 0 if task["patient"] else os.WNOHANG)
        print(os.waitstatus_to_exitcode(status) if pid else "running", file=answers)
        continue
    child = os.fork()
    if child:
        print(child, file=answers)
        continue
    status = 1
    try:
        os.close(orders.fileno())
        os.close(answers.fileno())
        os.chdir(task["cwd"])
        for name, value in task["env"].items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        for number, name in enumerate((os.devnull, task["out"], task["err"])):
            if name is not None:
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if number else 0)), number)
        sys.argv = ["-c", *task["words"]]
        exec(compile(task["code"], "apart", "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as leaving:
        status = leaving.code or 0
    finally:
        import atexit
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
"""
# What takes longest to import of what nobody sets by an environment, or puts a copy in the place of.
LARGE = (
    "torch", "torch._dynamo", "torch.distributed.tensor", "torch.export", "pandas", "pyarrow", "scipy.optimize",
    "scipy.stats", "matplotlib.pyplot", "hydra.core.override_parser.overrides_parser", "jinja2", "requests",
)  # fmt: skip

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "1000000",
    "PYTHONHASHSEED": "77",
}


class Apart:
    """Runs code in new processes, which start in milliseconds.

    Their threads are one, and memory that is freed goes back at once, so that what a process takes can be seen. Their
    hashes of texts are not those of the process of the tests.

    Args:
        folder: For the output of the processes.
        *preloaded: Modules that all processes have imported.
        within: Where the process that they are forks of is one itself, and has imported a part already.
    """

    def __init__(self, folder: Path, *preloaded: str, within: Apart | None = None) -> None:
        self._folder = folder
        self._count = 0
        paths = [folder / name for name in ("orders", "answers")]
        for path in paths:
            os.mkfifo(path)
        words = [*map(str, paths), *preloaded]
        self._server = _process(words) if within is None else within.start(SERVER, *words)
        self._orders = paths[0].open("w", encoding="utf-8", buffering=1)
        self._answers = paths[1].open(encoding="utf-8")
        assert self._said() == "ready"

    def __enter__(self) -> Self:
        """Nothing is done before the first process."""
        return self

    def __exit__(self, *_: object) -> None:
        self._orders.close()
        self._server.wait()
        self._answers.close()

    def start(
        self, code: str, *words: str, err: bool = False, cwd: Path | None = None, **environment: str | None
    ) -> Forked:
        """Starts a process.

        Args:
            code: The program.
            *words: Its arguments.
            err: Whether its standard error is kept, too; otherwise it is among the test's.
            cwd: Its current folder; None is that of this process.
            **environment: Variables besides those of the server; None takes one away.
        """
        self._count += 1
        out, errors = (self._folder / f"{self._count}.{kind}" for kind in ("out", "err"))
        out.touch()
        errors.touch()
        task = {"code": code, "words": words, "out": str(out), "err": str(errors) if err else None}
        pid = int(self._asked(**task, env=environment, cwd=str(cwd or Path.cwd())))
        return Forked(self, pid, out, errors)

    def run(self, code: str, *words: str) -> str:
        """The output of a process."""
        return self.start(code, *words).output()

    def ended(self, pid: int, *, patient: bool) -> int | None:
        """The exit code of a process, the signal's negative number if one killed it; None while it runs."""
        said = self._asked(wait=pid, patient=patient)
        return None if said == "running" else int(said)

    def _asked(self, **task: Any) -> str:
        self._orders.write(json.dumps(task) + "\n")
        return self._said()

    def _said(self) -> str:
        return self._answers.readline().strip()


def _process(words: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, *words],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
    )


class Forked:
    """A process of its own, with the methods of :class:`subprocess.Popen` that tests use.

    Attributes:
        pid: Its number.
        returncode: Its exit code, once it is known.
    """

    def __init__(self, apart: Apart, pid: int, out: Path, errors: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._apart, self._out, self._errors = apart, out, errors

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None:
            self.returncode = self._apart.ended(self.pid, patient=False)
        return self.returncode

    def wait(self) -> int:
        """Waits for the end; gives the exit code."""
        while self.poll() is None:
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Waits for the end; gives what it wrote to standard output and, where that is kept, to standard error."""
        self.wait()
        return self._out.read_text(encoding="utf-8"), self._errors.read_text(encoding="utf-8")

    def printed(self) -> str:
        """What it has written to standard output so far."""
        return self._out.read_text(encoding="utf-8")

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def output(self) -> str:
        """Waits for a good end; gives what it wrote."""
        assert self.wait() == 0, f"the process ended with code {self.returncode}; its errors are among the test's"
        return self.printed()
