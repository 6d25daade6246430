"""Paths through models that have unlike numbers of layers, worked by hand for six and nine."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.genome import PathGenes
from evomerge.genome.layers.walks import Jumps, Slots
from tests.genome.spaces import A, B, C
from tests.genome.test_layer_paths import genome, of, paths, route

DEPTHS = (6, 9)


def test_a_jump_lands_as_far_down_the_other_model() -> None:
    """Two jumps: of six layers at places 1 and 2, then 3 to 5; of nine at places 1 to 4, then 5 to 8."""
    spec = paths(depths=DEPTHS, jumps=2, scales="none", outside=0)
    own = {"model_of_the_first_layers": 0.2, "jump_1_place": 0.9, "jump_1_model": 0.8, "jump_2_model": 0.1}
    # From before a's layer 2 of 6 to b's 3 of 9; from before b's layer 5 of 9, which are 3.33 of 6, to a's layer 4.
    recipe = spec.decode(genome(spec, **own, jump_2_place=0.1))
    assert route(recipe) == [*of("a", 0, 1), *of("b", 3, 4), *of("a", 4, 5)]
    assert route(spec.decode(spec.encode(recipe))) == route(recipe)
    # Two layers back at the first jump (there is room for 13 layers, two more than 9 at each), to the end of b.
    own |= {"jump_1_shift": 0.0, "jump_2_model": 0.9}
    recipe = spec.decode(genome(spec, **own))
    assert route(recipe) == [*of("a", 0, 1), *of("b", 1, 2, 3, 4, 5, 6, 7, 8)]


def test_plain_paths_have_all_layers_of_their_model() -> None:
    for layers in ("path", "data_flow"):
        spec = paths(depths=DEPTHS, layers=layers)
        names, starts = spec.starts({})
        assert names == ("path of a", "path of b")
        assert [route(spec.decode(row)) for row in starts] == [of("a", *range(6)), of("b", *range(9))]


def test_slots_are_the_layers_of_each_model() -> None:
    slots = Slots((2, 3), 2, 20, scaled=False)
    assert slots.labels(("a", "b")) == (
        "layer 0 of a (1)", "layer 1 of a (1)", "layer 0 of b (1)", "layer 1 of b (1)", "layer 2 of b (1)",
        "layer 0 of a (2)", "layer 1 of a (2)", "layer 0 of b (2)", "layer 1 of b (2)", "layer 2 of b (2)",
    )  # fmt: skip
    steps = slots.steps(np.array([0.9, 0.1, 0.1, 0.1, 0.8, 0.1, 0.7, 0.1, 0.6, 0.1]))
    assert [(step.source, step.layer) for step in steps] == [(0, 0), (1, 2), (0, 1), (1, 1)]
    assert slots.steps(slots.genes(steps)) == steps


@pytest.mark.parametrize("depths", [(6, 9), (3, 11), (12, 5, 8), (7, 7)])
@pytest.mark.parametrize("count", [1, 2])
def test_paths_of_any_genes_run_down_the_depth_and_come_back(depths: tuple[int, ...], count: int) -> None:
    random, lengths = np.random.default_rng(0), []
    for reach in (0, 2):
        walk = Jumps(depths, count, reach, scaled=True)
        for _ in range(300):
            steps = walk.steps(random.random(1 + 4 * count if reach else 1 + 3 * count))
            lengths.append(len(steps))
            assert steps[0] == replace(steps[0], layer=0)
            assert steps[-1].layer == depths[steps[-1].source] - 1
            assert sum(not step.follows(before) for before, step in pairwise(steps)) <= count
            assert len(steps) <= walk.most
            again = walk.steps(walk.genes(steps))
            assert [(s.source, s.layer) for s in again] == [(s.source, s.layer) for s in steps]
            np.testing.assert_allclose([s.scale for s in again], [s.scale for s in steps])


def test_no_path_is_longer_than_the_user_wants() -> None:
    """Of 5 and 10 layers, jumps that repeat none give up to 11: down the shallow one, rounding goes up."""
    assert Jumps((5, 10), 3, 0, scaled=False).most == 11
    for longest in (11, 12, 16):
        spec = paths(depths=(5, 10), jumps=3, longest=longest)
        assert isinstance(spec.depth, PathGenes)
        assert spec.depth.walk.most <= longest
    with pytest.raises(InputError, match="goes through all 10 layers; set it to 11 or more"):
        paths(depths=(5, 10), jumps=3, longest=10)
    with pytest.raises(InputError, match="a path through 5 layers has at most 4"):
        paths(depths=(5, 10), jumps=5)


def test_models_of_one_depth_have_the_genes_that_they_had() -> None:
    told, plain = paths(models=(A, B, C), depths=(6, 6, 6)), paths(models=(A, B, C))
    assert told.labels == plain.labels
    rows = np.random.default_rng(1).random((50, plain.n_var))
    assert [told.decode(row) for row in rows] == [plain.decode(row) for row in rows]
