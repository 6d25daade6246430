"""Families of tiny checkpoints, built once per session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evomerge import methods
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from tests.building import perturbed, tiny

Family = tuple[Path, Path, Path]


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Family]]:
    """A base and two experts of a model type. Tests share the folders, so that a test that writes there is an error."""
    built: dict[Any, Family] = {}
    contents: dict[Path, bytes] = {}

    def of(model_type: str = "llama", dtype: torch.dtype = torch.bfloat16, **changes: Any) -> Family:
        key = (model_type, dtype, *sorted(changes.items()))
        if key not in built:
            folder = tmp_path_factory.mktemp(model_type)
            base = tiny(model_type, folder / "base", 0, dtype=dtype, **changes)
            built[key] = (base, perturbed(base, folder / "one", 1), perturbed(base, folder / "two", 2))
            contents.update((path, path.read_bytes()) for model in built[key] for path in model.iterdir())
        return built[key]

    yield of
    assert [path for path, data in contents.items() if path.read_bytes() != data] == []


@pytest.fixture
def own_methods(tmp_path: Path) -> Iterator[Path]:
    """A folder in which a test may write methods of its own."""
    folder = tmp_path / "methods"
    folder.mkdir()
    methods.__path__.append(str(folder))
    yield folder
    methods.__path__.remove(str(folder))
    for path in folder.glob("*.py"):
        sys.modules.pop(f"evomerge.methods.{path.stem}", None)


def by_layer(layers: int = 2) -> ParameterGroups:
    """A group for each layer, and one for everything outside."""
    return ParameterGroups((*(Group(f"layer {i}", layers=(i, i + 1)) for i in range(layers)), Group("outside")))


def make_recipe(
    method: str,
    models: Sequence[Path],
    base: Path | None = None,
    *,
    groups: ParameterGroups | None = None,
    coefficients: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Recipe:
    """A recipe whose coefficients are given, or differ between groups and models."""
    groups = groups or by_layer()
    declared = methods.load(method)
    resolved = declared.resolve(options or {})
    values = {}
    for coefficient in declared.coefficients(resolved):
        shape = (len(groups.groups), len(models)) if coefficient.per_model else (len(groups.groups),)
        spread = np.linspace(0.2, 0.9, int(np.prod(shape))).reshape(shape)
        values[coefficient.name] = np.asarray((coefficients or {}).get(coefficient.name, spread), dtype=float)
    return Recipe(
        method,
        resolved,
        tuple(CheckpointRef(str(model)) for model in models),
        None if base is None else CheckpointRef(str(base)),
        groups,
        values,
        **fields,
    )
