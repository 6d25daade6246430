"""Opened checkpoints: known by what they are, and each under the reference's names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger
from evomerge.recipe import CheckpointRef
from tests.building import rewrite
from tests.merging.conftest import Family, make_recipe


def test_names_without_the_prefix_merge_alike(family: Callable[..., Family], tmp_path: Path) -> None:
    """A base as published from the bare model, experts as saved with the head: the same candidate as without that."""
    base, one, two = family("gpt2")
    bare = Path(shutil.copytree(base, tmp_path / "bare"))

    def strip(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)

    rewrite(bare, strip)
    live, plain = LiveModel.load(bare), LiveModel.load(base)
    recipe, usual = (make_recipe("ties", [one, two], reference) for reference in (bare, base))
    live.install(Merger(Checkpoints.open(recipe)), recipe)
    plain.install(Merger(Checkpoints.open(usual)), usual)
    assert live.checksum() == plain.checksum()


def test_a_checkpoint_that_was_not_opened(family: Callable[..., Family]) -> None:
    base, one, _ = family()
    checkpoints = Checkpoints.open(make_recipe("linear", [one], base))
    with pytest.raises(InputError, match="none of the opened checkpoints"):
        checkpoints[CheckpointRef("elsewhere")]
