"""The verdict on a case: refused as it should be, accepted as others accept it, or wrong, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REFUSED, ACCEPTED, WRONG = "refused", "accepted", "wrong"
_LONGEST = 3000  # characters of one problem
_INTERNAL = re.compile(r"Traceback|internal error|\(--debug shows where\)|AssertionError|object at 0x")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass
class Ran:
    """What a command did.

    Attributes:
        code: Its exit code, negative for a signal; None where it had to be stopped.
        said: What it wrote to standard error.
        seen: Things it should not have done, from the watch.
        left: Names that are in the folder and were not before, or were changed.
        others: What transformers and safetensors say about files that were accepted; empty where they accept them.
        seconds: Wall time.
    """

    code: int | None
    said: str = ""
    seen: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    seconds: float = 0.0


def verdict(ran: Ran, file: str) -> tuple[str, list[str]]:
    """Judges a case.

    Args:
        ran: What the command did.
        file: The damaged file.

    Returns:
        The verdict, and reasons where it is wrong.
    """
    reasons = [*ran.seen]
    if ran.code is None:
        return WRONG, [*reasons, "hangs"]
    if ran.code < 0:
        return WRONG, [*reasons, f"killed by signal {-ran.code}"]
    if ran.code not in (0, 2):
        reasons.append(f"exit code {ran.code}")
    if _INTERNAL.search(ran.said):
        reasons.append("an internal error")
    if _CONTROL.search(ran.said):
        reasons.append("control characters in the message")
    if any(len(line) > _LONGEST for line in ran.said.splitlines()):
        reasons.append("an endless message")
    if ran.code == 2:
        if not named(ran.said, file):
            reasons.append("no file named")
        if ran.left:
            reasons.append(f"left behind: {', '.join(ran.left[:3])}")
    if ran.code == 0:
        reasons += ran.others
        reasons += [f"changed {name}" for name in ran.left if name != "out"]
    return (WRONG if reasons else REFUSED if ran.code == 2 else ACCEPTED), reasons


def named(said: str, file: str) -> bool:
    """Whether a message names a file; what is only found by comparing models may be said of the model's folder."""
    if Path(file).name in said or len(Path(file).parts) == 1:
        return Path(file).name in said
    return re.search(rf"(?:/|- |: |is ){Path(file).parts[0]}(?:: |\))", said) is not None


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything in a folder, with sizes and times, but what lies in folders called ``out``."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith("out/"):
            continue
        about = path.lstat()
        found[name] = (0, 0) if path.is_dir() and not path.is_symlink() else (about.st_size, about.st_mtime_ns)
    return found
