"""The transformations' mathematics: systems that say too little, orders that come back, layers that get wider."""

from __future__ import annotations

import pytest
import torch

from evomerge.transforms._shared.conjugate_gradients import solve
from evomerge.transforms._shared.heads import assign_heads
from evomerge.transforms._shared.matching import assign, feature_similarity
from evomerge.transforms._shared.partial import Blocks, LeastSquares
from evomerge.transforms._shared.regression import regression
from evomerge.transforms._shared.subspaces import merge_matrices, scaled_off_diagonal
from evomerge.transforms._shared.units import inner
from evomerge.transforms._shared.zipit import zip_features


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gram(size: int, tokens: int, seed: int) -> torch.Tensor:
    inputs = normal(tokens, size, seed=seed)
    return inputs.T @ inputs / tokens


def test_conjugate_gradients_solve_what_a_direct_solver_solves() -> None:
    matrix, right = gram(6, 20, 1), normal(4, 6, seed=2)
    found = solve(lambda x: x @ matrix, right, torch.zeros(4, 6), iterations=100, tolerance=1e-10)
    assert found.converged
    assert found.iterations <= 40
    assert torch.allclose(found.values, torch.linalg.solve(matrix, right.T).T, atol=1e-6)


def test_what_a_singular_system_says_nothing_of_stays_as_it_was() -> None:
    matrix = torch.diag(torch.tensor([2.0, 0.0, 3.0], dtype=torch.float64))
    start = torch.tensor([[5.0, 7.0, 9.0]])
    found = solve(lambda x: x @ matrix, torch.tensor([[2.0, 0.0, 6.0]]), start, iterations=10)
    assert torch.allclose(found.values, torch.tensor([[1.0, 7.0, 2.0]], dtype=torch.float64), atol=1e-4)
    nothing = solve(lambda x: 0 * x, torch.zeros(1, 3), start, iterations=10)
    assert nothing.converged
    assert torch.equal(nothing.values, start.double())


def test_merged_matrix_satisfies_the_equation_of_the_paper() -> None:
    weights = [normal(5, 6, seed=s) for s in (1, 2, 3)]
    inputs = [scaled_off_diagonal(gram(6, 9, s), 0.9) for s in (4, 5, 6)]
    outputs = [gram(5, 9, s) for s in (7, 8, 9)]
    mean = torch.stack(weights).mean(0)
    found = merge_matrices(weights, inputs, outputs, mean, iterations=500, tolerance=1e-9).values
    left = sum(b @ found @ a for a, b in zip(inputs, outputs, strict=True))
    right = sum(b @ w @ a for a, b, w in zip(inputs, outputs, weights, strict=True))
    assert torch.allclose(left, right, atol=1e-7)
    alike = merge_matrices([weights[0]] * 3, inputs, outputs, weights[0], iterations=500)
    assert alike.iterations == 0
    assert torch.equal(alike.values, weights[0])


def test_a_diagonal_alone_counts_as_the_matrix_that_has_nothing_else() -> None:
    weights, sides = [normal(5, 6, seed=s) for s in (1, 2)], [normal(6, seed=s).square() for s in (3, 4)]
    outputs, mean = [gram(5, 9, s) for s in (5, 6)], (weights[0] + weights[1]) / 2
    found = [
        merge_matrices(weights, inputs, gradients, mean, iterations=500, tolerance=1e-9).values
        for inputs in (sides, [torch.diag(one) for one in sides])
        for gradients in (outputs, None)
    ]
    assert torch.allclose(found[0], found[2], atol=1e-7)
    assert torch.allclose(found[1], found[3], atol=1e-7)
    (turned,) = [merge_matrices([w.T for w in weights], outputs, sides, mean.T, iterations=500, tolerance=1e-9).values]
    assert torch.allclose(turned.T, found[0], atol=1e-6)
    regressed = regression(weights, sides, 0.5, mean)
    assert torch.allclose(regressed, found[1].float(), atol=1e-5), "no entries are off the diagonal"
    unread = regression(weights, [one * (torch.arange(6) > 0) for one in sides], 0.5, mean)
    assert torch.allclose(unread[:, 0], mean[:, 0].float()), "what no text has reached stays the mean"


def test_without_output_gradients_it_is_regmean() -> None:
    weights, inputs = [normal(5, 6, seed=s) for s in (1, 2)], [gram(6, 30, s) for s in (3, 4)]
    found = merge_matrices(weights, inputs, None, torch.zeros(5, 6), iterations=500, tolerance=1e-10)
    right = sum(w @ g for w, g in zip(weights, inputs, strict=True))
    assert torch.allclose(found.values, torch.linalg.solve(sum(inputs), right.T).T, atol=1e-6)


def test_shuffled_neurons_find_back_and_unshuffled_ones_gain_nothing() -> None:
    up, down = normal(8, 3), normal(3, 8, seed=1)
    order = torch.tensor([3, 0, 7, 1, 2, 6, 5, 4])
    axes = (("up", 0), ("down", 1))
    found = assign(inner({"up": up, "down": down}, {"up": up[order], "down": down[:, order]}, axes, 8))
    assert found.gains
    assert torch.equal(order[found.order], torch.arange(8))
    same = assign(up @ up.T)
    assert not same.gains
    assert torch.equal(same.order, torch.arange(8))
    features = normal(40, 8)
    for distance in (False, True):
        similar = feature_similarity(features, features[:, order], distance=distance)
        assert torch.equal(order[assign(similar).order], torch.arange(8))


def test_heads_move_within_their_group_and_with_it() -> None:
    queries, keys = normal(6, 10), normal(2, 10, seed=1)
    order, groups = torch.tensor([4, 3, 5, 2, 0, 1]), torch.tensor([1, 0])  # groups of three
    found = assign_heads(queries @ queries[order].T, keys @ keys[groups].T)
    assert found.gains
    assert found.after > found.before
    assert torch.equal(order[found.queries], torch.arange(6))
    assert torch.equal(groups[found.keys], torch.arange(2))
    across = torch.tensor([3, 1, 2, 0, 4, 5])  # between groups no head may move
    kept = assign_heads(queries @ queries[across].T, keys @ keys.T)
    assert torch.equal(kept.queries // 3, torch.arange(6) // 3)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_pairs_become_means_and_the_rest_stays_side_by_side(ratio: float) -> None:
    first, second = normal(8, 3), normal(8, 3, seed=1)
    similar = first @ second.T
    blocks = Blocks.of(similar, assign(similar).order, ratio)
    alone = {0.0: 0, 0.25: 2, 1.0: 7}[ratio]
    assert blocks.width == 8 + alone
    joined = blocks.join(first, second, 0)
    assert torch.equal(joined[0], (first[blocks.first[0]] + second[blocks.second[0]]) / 2)
    assert torch.equal(joined[8:], second[blocks.second_alone])


def test_least_squares_meet_the_solution_and_descend_to_it() -> None:
    inputs, targets = normal(50, 4), normal(50, 3, seed=1)
    sums = LeastSquares.empty(3, 4)
    sums.add(inputs[:20], targets[:20])
    sums.add(inputs[20:], targets[20:])
    wanted = torch.linalg.lstsq(inputs, targets).solution.T
    found = sums.solution(torch.zeros(3, 4), iterations=100, tolerance=1e-10).values
    assert torch.allclose(found, wanted, atol=1e-6)
    assert sums.loss(found) == pytest.approx(float((inputs @ wanted.T - targets).square().mean()), rel=1e-6)
    values, losses = sums.descended(torch.zeros(3, 4), steps=300, rate=0.01)
    assert len(losses) == 300
    assert sums.loss(values) < losses[0]
    assert sums.loss(values) >= sums.loss(found)


def test_zipped_features_of_a_model_and_its_shuffle_are_pairs() -> None:
    features = normal(200, 5)
    order = torch.tensor([2, 4, 0, 1, 3])
    both = torch.cat([features, features[:, order]], 1)
    for alpha in (0.0, 0.3):
        merge, unmerge = zip_features(torch.cov(both.T), alpha=alpha)
        assert merge.shape == (5, 10)
        assert torch.equal(unmerge.sum(0), torch.full((5,), 2.0))
        pairs = unmerge[:5].argmax(1)[order]
        assert torch.equal(unmerge[5:].argmax(1), pairs)
