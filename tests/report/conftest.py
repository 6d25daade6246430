"""Run folders with their reports, each made once per session."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.report import sweep, write
from tests.report.browser import program
from tests.report.run_folders import write_run
from tests.report.scenarios import EVERY
from tests.report.sweeps import SWEEPS, write_sweep


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a scenario by name, with its report written."""

    @functools.cache
    def made(name: str) -> Path:
        folder = write_run(tmp_path_factory.mktemp("runs") / name, EVERY[name])
        write(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def sweep_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a made-up sweep by name, with its page written."""

    @functools.cache
    def made(name: str) -> Path:
        folder = write_sweep(tmp_path_factory.mktemp("sweeps") / name, SWEEPS[name])
        sweep.write(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def front_of(run_of: Callable[[str], Path]) -> Callable[[str], dict[str, Any]]:
    """Gives a scenario's ``front.json``."""
    return lambda name: json.loads((run_of(name) / "front.json").read_text(encoding="utf-8"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the browser's tests out where no Chromium is installed."""
    if program() is None:
        without = [item for item in items if item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]
