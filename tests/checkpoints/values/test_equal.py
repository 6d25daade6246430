"""Equal weights: found without fingerprints, and never otherwise than these say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_source, same_weights
from tests.building import edit_json, rewrite, tiny_llama

Tensors = dict[str, torch.Tensor]
NAME = "model.layers.1.mlp.down_proj.weight"


def nothing(tensors: Tensors) -> None:
    """The same file again."""


def last_bit(tensors: Tensors) -> None:
    tensors[NAME].view(torch.int16)[-1, -1] ^= 1


def minus_zero(tensors: Tensors) -> None:
    tensors[NAME][0, 0] *= -1.0


def other_type(tensors: Tensors) -> None:
    tensors[NAME] = tensors[NAME].float()


def fewer(tensors: Tensors) -> None:
    tensors.pop(NAME)


def other_shape(tensors: Tensors) -> None:
    tensors[NAME] = tensors[NAME].T.contiguous()


@pytest.mark.parametrize(
    ("change", "equal"),
    [(nothing, True)] + [(change, False) for change in (last_bit, minus_zero, other_type, fewer, other_shape)],
)
def test_weights_are_equal_where_fingerprints_are(
    tmp_path: Path, change: Callable[[Tensors], None], equal: bool
) -> None:
    def prepare(tensors: Tensors) -> None:
        tensors[NAME][0, 0] = 0.0
        tensors["model.norm.weight"][0] = float("nan")  # of equal bits

    tiny_llama(tmp_path / "one", 0)
    rewrite(tmp_path / "one", prepare)
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    edit_json(tmp_path / "other" / "config.json", note="no weight")
    rewrite(tmp_path / "other", change)
    one, other = open_source(tmp_path / "one"), open_source(tmp_path / "other")
    assert same_weights(one, other) is equal
    assert (one.fingerprint() == other.fingerprint()) is equal
