"""Kinds of models whose weights can do what scaled hidden states do."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.genome.layers.path import LayerPath, Step, recipe_of, writers_of
from evomerge.merging import Checkpoints, Merger
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from evomerge.statistics._layerwise.scales import scale_problem
from tests.building import tiny


@pytest.mark.parametrize(
    ("kind", "fits"), [("llama", True), ("gpt_neox", True), ("mixtral", True), ("olmo2", False), ("gemma2", False)]
)
def test_kinds_whose_weights_cannot_stand_for_scales_are_found_out(tmp_path: Path, kind: str, fits: bool) -> None:
    """In the latter two what a block gives is normalised before it is added."""
    model = CheckpointRef(str(tiny(kind, tmp_path / kind, 0)))
    groups = ParameterGroups((Group("all"),))
    like = Recipe("linear", {}, (model,), None, groups, {"weight": [[1.0]]}, out_dtype="float32")
    checkpoints = Checkpoints.open(like)
    writers = writers_of(checkpoints.merged_names, groups.layer_pattern)
    steps = [(Step(0, 0), Step(0, 1, scale)) for scale in (1.0, 2.0)]
    plain, scaled = (recipe_of(LayerPath(own, 0), (model,), like, writers) for own in steps)
    problem = scale_problem(Merger(checkpoints), plain, scaled, 2.0)
    assert (problem is None) == fits
    assert problem is None or kind in problem
    assert scale_problem(Merger(checkpoints), plain, plain, 2.0) is not None  # weights that do nothing are told as well
