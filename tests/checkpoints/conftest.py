"""Checkpoints that the tests of this folder read and copy, never change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.building import perturbed, tiny_llama


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("llama") / "base", seed=0)


@pytest.fixture(scope="session")
def expert(llama: Path) -> Path:
    return perturbed(llama, llama.parent / "expert", seed=1)


@pytest.fixture(scope="session")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("tied") / "tied", seed=0, tied=True)


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("sharded") / "sharded", seed=0, max_shard_size="8KB")


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[..., Path]:
    def copy(folder: Path, name: str = "copy") -> Path:
        return Path(shutil.copytree(folder, tmp_path / name))

    return copy
