"""Grids over measures, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis.diversity.grid import Grid, elites, views


def test_cells_are_of_equal_size_and_the_outermost_ones_hold_what_lies_beyond() -> None:
    grid = Grid((0.0, -1.0), (1.0, 1.0), 4)
    assert grid.cell([0.0, -1.0]) == (0, 0)
    assert grid.cell([0.26, 0.1]) == (1, 2)
    assert grid.cell([1.0, 5.0]) == (3, 3), "the end, and beyond it"
    assert grid.cell([-7.0, 0.99]) == (0, 3)
    assert grid.edges(1).tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert grid.over([1]) == Grid((-1.0,), (1.0,), 4)


def test_a_score_that_is_an_edge_but_for_its_last_bits_lies_above_it() -> None:
    """Shares of items: 3 of 10 in cells of a tenth."""
    grid = Grid((0.0,), (1.0,), 10)
    assert [grid.cell([k / 10]) for k in range(10)] == [(k,) for k in range(10)]
    assert grid.cell([0.1 + 0.2 - 1e-16]) == (3,)


def test_a_grid_spans_what_models_reach_and_a_quarter_more_on_either_side() -> None:
    reached = [[0.2, 5.0], [0.6, 5.0], [0.4, 5.0]]
    grid = Grid.spanning(reached, [(None, None), (None, None)], 10)
    assert grid.low == pytest.approx((0.1, 4.5))
    assert grid.high == pytest.approx((0.7, 5.5)), "all alike: one unit around them"
    assert Grid.spanning(reached, [(0.0, 0.75), (None, 4.0)], 3) == Grid((0.0, 3.0), (0.75, 4.0), 3)
    assert Grid.spanning([], [(None, None)], 2) == Grid((0.0,), (1.0,), 2)


def test_the_elite_of_a_cell_has_the_least_value_and_of_equal_ones_is_the_first() -> None:
    grid = Grid((0.0,), (1.0,), 2)
    assert elites(grid, [[0.1], [0.2], [0.9], [0.3]], [3.0, 1.0, 2.0, 1.0]) == {(0,): 1, (1,): 2}
    assert elites(grid, np.zeros((0, 1)), []) == {}


def test_of_several_objectives_each_has_an_archive_over_the_others() -> None:
    assert views(1, 2) == [(0, 1)]
    assert views(3, 3) == [(1, 2), (0, 2), (0, 1)]
