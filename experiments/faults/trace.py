"""The trace of workers: a line in a file for each candidate that is begun, whole however soon its writer is killed."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "EVOMERGE_FAULTS_TRACE"


def leave_trace(file: str, what: str) -> None:
    """Adds a line by one write."""
    opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(opened, f"{what}\n".encode())
    finally:
        os.close(opened)


def lines(file: Path) -> int:
    """Number of lines."""
    return file.read_bytes().count(b"\n") if file.exists() else 0


def begun(model: object, tokenizer: object) -> float:
    """A user's metric that only leaves a trace, in the file that the environment names."""
    leave_trace(os.environ[VARIABLE], "candidate")
    return 1.0
