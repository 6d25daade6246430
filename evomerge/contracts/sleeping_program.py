"""A program whose workers sleep, for the contract of executors with processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge.executors import ExecutorSpec

__all__ = ["sleeping_program"]


def sleeping_program(spec: ExecutorSpec, options: Mapping[str, Any], folder: Path) -> subprocess.Popen[str]:
    """A program of its own whose workers sleep, at the head of a process group.

    Args:
        spec: The executor under test.
        options: Its options.
        folder: Where the program lies, and where its workers leave their traces.
    """
    script = folder / "program.py"
    script.write_text(_PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(script), spec.make.__module__, json.dumps(options), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


_PROGRAM = """
import functools, importlib, json, signal, sys
from pathlib import Path
from evomerge.contracts import workers
from evomerge.contracts.raising import raised
from evomerge.executors import run

if __name__ == "__main__":
    # A shell starts its background jobs with SIGINT ignored, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module, options, folder = sys.argv[1:]
    spec = importlib.import_module(module).EXECUTOR
    asleep = functools.partial(workers.Sleeping, Path(folder), (1, 2))
    executor = spec.make(asleep, spec.complete(json.loads(options)))
    try:
        list(run(executor, [workers.job(1), workers.job(2)]))
    except KeyboardInterrupt:
        executor.close()
        print("interrupted and closed")
"""
