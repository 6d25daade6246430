"""Breadcrumbs, by hand and against sorting."""

from __future__ import annotations

import pytest
import torch

from evomerge import methods
from tests.methods.one_tensor import merge

MERGEKIT = ("breadcrumbs", (("scope", "tensor"), ("yields", "gamma"), ("small", "zero")))
TENSOR = ("breadcrumbs", (("scope", "tensor"),))
ROW = ("breadcrumbs", ())


def at(density: float, gamma: float, weight: float = 1.0) -> dict:
    return {"weight": (weight,), "density": (density,), "gamma": (gamma,), "lambda": 1.0}


def delta_of(variant: tuple, delta: torch.Tensor, values: dict) -> torch.Tensor:
    return merge(variant, [delta], torch.zeros_like(delta), values)


def test_rows_lose_their_largest_and_their_smallest() -> None:
    delta = torch.tensor([[1.0, -9, 3, 4, 5], [-50, 20, 30, -10, 40]])
    # gamma .2 of 5: one above; density .4 of 5: the next two of each row
    assert delta_of(ROW, delta, at(0.4, 0.2)).tolist() == [[0, 0, 0, 4, 5], [0, 0, 30, 0, 40]]
    # of the tensor's ten: two above, four of the next
    assert delta_of(TENSOR, delta, at(0.4, 0.2)).tolist() == [[0, -9, 0, 0, 0], [0, 20, 30, -10, 0]]


def test_weights_and_lambda_scale_the_sum() -> None:
    base = torch.ones(4)
    models = [base + torch.tensor([8.0, 4, 2, 1]), base + torch.tensor([1.0, -8, 4, 2])]
    values = {"weight": (0.5, 2.0), "density": (0.5, 0.5), "gamma": (0.25, 0.25), "lambda": 2.0}
    # kept [0, 4, 2, 0] and [0, 0, 4, 2]: 2 * (.5 * first + 2 * second)
    assert (merge(ROW, models, base, values) - base).tolist() == [0, 4, 18, 8]


def test_the_number_of_kept_elements_is_rounded_down_or_up() -> None:
    delta = torch.tensor([1.0, -5, 2, -4, 3])
    assert delta_of(TENSOR, delta, at(0.5, 0.0)).tolist() == [0, -5, 0, -4, 0]
    assert delta_of((*TENSOR[:1], (*TENSOR[1], ("rounding", "up"))), delta, at(0.5, 0.0)).tolist() == [0, -5, 0, -4, 3]
    assert delta_of(("breadcrumbs", (("rounding", "up"),)), delta, at(0.5, 0.2)).tolist() == [0, 0, 2, -4, 3]


def test_which_gives_way_where_both_do_not_fit() -> None:
    delta = torch.tensor([5.0, 4, 3, 2, 1])
    assert delta_of(ROW, delta, at(0.8, 0.4)).tolist() == [0, 0, 3, 2, 1]
    assert delta_of(("breadcrumbs", (("yields", "gamma"),)), delta, at(0.8, 0.4)).tolist() == [0, 4, 3, 2, 1]
    assert delta_of(("breadcrumbs", (("yields", "gamma"),)), delta, at(1.0, 0.4)).tolist() == [5, 4, 3, 2, 1]
    assert delta_of(ROW, delta, at(1.0, 0.4)).tolist() == [0, 0, 3, 2, 1]


def test_of_a_short_row_one_element_is_kept() -> None:
    """Where the density means less than one, of which the paper's code keeps none: rows of under 7 at 0.15."""
    delta = torch.tensor([[5.0, 1, 2, 3, 4, 6, 0.5], [1, 2, 3, 4, 5, 6, 7]])
    for columns, kept in ((7, [6, 7]), (6, [6, 6]), (1, [5, 1])):
        found = delta_of(ROW, delta[:, :columns].contiguous(), at(0.15, 0.006))
        assert (found != 0).sum(1).tolist() == [1, 1]
        assert found.sum(1).tolist() == kept


def test_published_counts() -> None:
    """Of 2000 elements mergekit keeps 1000 at density .5 and gamma .01; of 64 elements it keeps none."""
    large = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    assert int((delta_of(MERGEKIT, large, at(0.5, 0.01)) != 0).sum()) == 1000
    assert int((delta_of(MERGEKIT, large[:64], at(0.5, 0.01)) != 0).sum()) == 0
    assert int((delta_of(MERGEKIT, large[:64], at(1.0, 0.01)) != 0).sum()) == 64
    assert int((delta_of(TENSOR, large[:64], at(0.5, 0.01)) != 0).sum()) == 32
    assert float(delta_of(TENSOR, large[0], at(0.05, 0.01))) == float(large[0]), "a scalar is left as it is"


@pytest.mark.parametrize("density", [0.05, 0.3, 0.77])
@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.1])
def test_agrees_with_sorting(density: float, gamma: float) -> None:
    """Many equal magnitudes: of those at a threshold the first count as larger in a tensor, the last in a row."""
    delta = (torch.randn(40, 500, generator=torch.Generator().manual_seed(0)) * 8).round() / 8
    top, kept = int(gamma * delta.numel()), int(density * delta.numel())
    order = delta.abs().flatten().argsort(descending=True, stable=True)[top : top + kept]
    wanted = torch.zeros(delta.numel())
    wanted[order] = delta.flatten()[order]
    assert torch.equal(delta_of(TENSOR, delta, at(density, gamma)).flatten(), wanted)

    top, kept = int(gamma * 500), int(density * 500)
    order = delta.abs().argsort(dim=1, stable=True)[:, 500 - top - kept : 500 - top]
    wanted = torch.zeros_like(delta).scatter_(1, order, delta.gather(1, order))
    assert torch.equal(delta_of(ROW, delta, at(density, gamma)), wanted)


def test_rows_longer_than_ranks_go_keep_the_fraction() -> None:
    delta = torch.arange(1.0, 200_001)
    kept = delta_of(ROW, delta, at(0.1, 0.01)) != 0
    assert int(kept.sum()) == pytest.approx(20_000, abs=8)
    assert not kept[-1990:].any()
    assert kept[-21_000:-2010].all()


def test_mergekits_form_is_named_only_where_it_computes_the_same() -> None:
    for name in ("breadcrumbs", "breadcrumbs_ties"):
        method = methods.load(name)
        assert method.mergekit(method.resolve({})) is None
        same = dict(MERGEKIT[1])
        assert method.mergekit(method.resolve(same)) == {"normalize": False, "rescale": False}
        assert method.mergekit(method.resolve(same | {"rescale": "inverse"})) is None
        assert method.mergekit(method.resolve(same | {"small": "keep"})) is None
