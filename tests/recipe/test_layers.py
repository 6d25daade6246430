"""Layers of a model of which two become one."""

from __future__ import annotations

import pytest

from evomerge.errors import InputError
from evomerge.recipe import OutputLayer, fused_layers


def test_one_layer_is_fused_into_another_and_left_out() -> None:
    assert fused_layers(4, (1, 2)) == (
        OutputLayer(((0, 0),)),
        OutputLayer(((0, 1), (0, 2))),
        OutputLayer(((0, 3),)),
    )
    assert fused_layers(3, (2, 0)) == (OutputLayer(((0, 1),)), OutputLayer(((0, 2), (0, 0))))


@pytest.mark.parametrize("pair", [(1, 1), (0, 3), (-1, 0)])
def test_two_different_layers_are_needed(pair: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="expected two different layers of 0 to 2"):
        fused_layers(3, pair)
