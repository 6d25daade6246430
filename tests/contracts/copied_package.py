"""A copy of the package to which a test adds files, as the author of a plugin would."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import evomerge
from tests.apart import Apart

PACKAGE = Path(evomerge.__file__).parent
# The current folder is the first of sys.path.
TESTS = """
import sys
import pytest

sys.dont_write_bytecode = True
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "test_plugin.py"]))
"""


def run_tests_in_a_copy(bare: Apart, folder: Path, added: Mapping[str, str], test: str) -> tuple[int, str]:
    """Copies the package, adds files, and runs a test file there in a process of its own.

    Args:
        bare: Starts the process, without a module of the package.
        folder: An empty folder.
        added: Path inside the package and text of each file.
        test: Text of the test file.

    Returns:
        The exit code, and what was printed.
    """
    shutil.copytree(PACKAGE, folder / "evomerge", ignore=shutil.ignore_patterns("example"))
    for path, text in added.items():
        assert not (folder / "evomerge" / path).exists(), f"{path} is there already"
        (folder / "evomerge" / path).write_text(text, encoding="utf-8")
    (folder / "test_plugin.py").write_text(test, encoding="utf-8")
    process = bare.start(TESTS, cwd=folder)
    return process.wait(), process.communicate()[0]
