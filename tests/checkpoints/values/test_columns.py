"""Cosines between columns of weights, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from evomerge.checkpoints import column_cosines, open_source
from tests.building import rewrite, tiny_llama

NAME, VECTOR = "model.layers.0.mlp.up_proj.weight", "model.norm.weight"


def test_each_column_and_each_tensor_counts_alike(tmp_path: Path) -> None:
    """Of two columns one is the same and one at right angles; the vector is opposite; a zero column does not count."""
    folders = [tiny_llama(tmp_path / name, 0, dtype=torch.float32) for name in ("one", "two")]
    first = torch.zeros(32, 16)
    first[0, 0], first[0, 1], first[5, 2] = 3.0, 2.0, 1.0
    second = torch.zeros(32, 16)
    second[0, 0], second[1, 1] = 0.5, 7.0  # its third column is zero
    shape = open_source(folders[0]).specs[NAME].shape
    assert shape[0] <= 32
    for folder, matrix, sign in zip(folders, (first, second), (1.0, -1.0), strict=True):
        own = {NAME: matrix[: shape[0], : shape[1]].clone(), VECTOR: torch.full((16,), sign)}
        rewrite(folder, lambda tensors, own=own: tensors.update(own))  # type: ignore[misc]
    models = [open_source(folder) for folder in folders]
    assert column_cosines(models, [NAME])[0, 1] == 0.5
    assert np.array_equal(column_cosines(models, [NAME, VECTOR]), [[1.0, -0.25], [-0.25, 1.0]])
    assert np.isnan(column_cosines(models, [])).all()
