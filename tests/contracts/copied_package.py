"""A copy of the package to which a test adds files, as the author of a plugin would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import evomerge

PACKAGE = Path(evomerge.__file__).parent


def run_tests_in_a_copy(folder: Path, added: Mapping[str, str], test: str) -> subprocess.CompletedProcess[str]:
    """Copies the package, adds files, and runs a test file there in a process of its own.

    Args:
        folder: An empty folder.
        added: Path inside the package and text of each file.
        test: Text of the test file.
    """
    shutil.copytree(PACKAGE, folder / "evomerge", ignore=shutil.ignore_patterns("__pycache__", "example"))
    for path, text in added.items():
        assert not (folder / "evomerge" / path).exists(), f"{path} is there already"
        (folder / "evomerge" / path).write_text(text, encoding="utf-8")
    (folder / "test_plugin.py").write_text(test, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_plugin.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
