"""Fixtures of whole runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evomerge.cli.main import main
from tests.apart import Apart, Forked
from tests.run.family import Family, write_family

PROGRAM = "import sys; from evomerge.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Made once; tests that change something copy it first."""
    return write_family(tmp_path_factory.mktemp("family"))


@pytest.fixture
def own_family(family: Family, tmp_path: Path) -> Family:
    """A copy that a test may damage."""
    shutil.copytree(family.folder, tmp_path / "family")
    return Family(tmp_path / "family")


@pytest.fixture(scope="session")
def finished(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be read only."""
    run = tmp_path_factory.mktemp("finished") / "run"
    assert family.search(run) == 0
    return run


@pytest.fixture(scope="session")
def fruitless(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with an empty front, to be read only: nothing meets its constraint."""
    run = tmp_path_factory.mktemp("fruitless") / "run"
    assert family.search(run, constraints="['first.acc >= 1.5']", evaluations=6) == 0
    return run


@pytest.fixture
def problems_of(capsys: pytest.CaptureFixture[str]) -> Callable[[Sequence[str]], str]:
    """Runs words that must be refused with exit code 2, and gives what was printed."""

    def refused(words: Sequence[str]) -> str:
        code = main(list(words))
        printed = capsys.readouterr().err
        assert code == 2, printed
        return printed

    return refused


@pytest.fixture
def program(apart: Apart) -> Callable[..., Forked]:
    """Starts the program as a process of its own that has its libraries loaded."""
    return lambda words, **environment: apart.start(PROGRAM, *words, err=True, **environment)
