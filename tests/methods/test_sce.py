"""SCE: select, calculate, erase, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evomerge import methods
from evomerge.kernels import Histogram, torch_only
from evomerge.kernels.reference.values import selected
from evomerge.methods import sce
from tests.methods.one_tensor import merge

BASE = torch.full((4,), 10.0)
# Variances [9, 0, 1, .25], all models equal in the second element.
DELTAS = [torch.tensor([4.0, 2.0, 3.0, 0.0]), torch.tensor([-2.0, 2.0, 1.0, 1.0])]
MODELS = [BASE + delta for delta in DELTAS]
MERGEKIT = {"select": "deltas", "uniform_below": 1e-6}


def values(topk: float, weights: tuple[float, float] = (0.5, 0.5), scale: float = 1.0) -> dict:
    return {"weight": weights, "select_topk": topk, "lambda": scale}


def merged_delta(topk: float, scale: float = 1.0, **options: object) -> torch.Tensor:
    return merge(("sce", tuple(options.items())), MODELS, BASE, values(topk, scale=scale)) - BASE


def test_everything_selected() -> None:
    # squares 29 and 10, signs [+, +, +, +]: the second model disagrees in the first element
    wanted = torch.tensor([4.0, 2.0, (29 * 3 + 10 * 1) / 39, 1.0])
    torch.testing.assert_close(merged_delta(1.0), wanted)
    torch.testing.assert_close(merged_delta(1.0, **MERGEKIT), wanted)
    torch.testing.assert_close(merged_delta(1.0, scale=0.5), wanted / 2)


def test_selection_decides_weights_or_also_what_is_mixed() -> None:
    # Of the three elements that differ, int(.7 * 3) = 2 are selected, the first and the third: squares 25 and 5.
    mean = (25 * 3 + 5 * 1) / 30
    torch.testing.assert_close(merged_delta(0.7), torch.tensor([4.0, 2.0, mean, 1.0]))
    torch.testing.assert_close(merged_delta(0.7, select="deltas"), torch.tensor([4.0, 0.0, mean, 0.0]))
    # int(.4 * 3) = 1, the first: squares 16 and 4.
    torch.testing.assert_close(merged_delta(0.4), torch.tensor([4.0, 2.0, (16 * 3 + 4 * 1) / 20, 1.0]))


def test_without_a_selected_element_all_models_weigh_the_same() -> None:
    torch.testing.assert_close(merged_delta(0.1), torch.tensor([4.0, 2.0, 2.0, 1.0]))
    torch.testing.assert_close(merged_delta(0.1, select="deltas"), torch.zeros(4))


def test_small_deltas_weigh_the_same_only_if_asked() -> None:
    models = [BASE.double() + 1e-4 * delta for delta in DELTAS]
    base = BASE.double()

    def third(**options: object) -> float:
        out = torch.empty(4, dtype=torch.float64)
        merge(("sce", tuple(options.items())), models, base, values(1.0), out=out)
        return float((out - base)[2] * 1e4)

    assert third() == pytest.approx(97 / 39, rel=0.02)
    assert third(uniform_below=1e-6) == pytest.approx(2.0, rel=0.02)


def test_weights_multiply_what_is_calculated() -> None:
    merged = merge(("sce", ()), MODELS, BASE, values(1.0, (0.25, 0.75))) - BASE
    torch.testing.assert_close(merged[2], torch.tensor((29 * 0.25 * 3 + 10 * 0.75) / (29 * 0.25 + 10 * 0.75)))


def test_copies_of_one_expert_differ_nowhere() -> None:
    merged = merge(("sce", ()), [MODELS[0]] * 3, BASE, {"weight": (1.0,) * 3, "select_topk": 0.1, "lambda": 1.0})
    torch.testing.assert_close(merged, MODELS[0])


@pytest.mark.parametrize("count", [100_000, 1_200_000])
def test_equal_variances_are_selected_in_order(count: int) -> None:
    base = torch.zeros(count)
    models = [torch.ones(count), -torch.ones(count)]
    merged = merge(("sce", (("select", "deltas"), ("tie", "positive"))), models, base, values(0.25))
    assert torch.equal(merged, (torch.arange(count) < count // 4).float())


def some_models(kind: torch.dtype) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """With more different variances than a histogram tells apart; in bfloat16 many are equal, and many zero."""
    generator = torch.Generator().manual_seed(0)
    base = 0.02 * torch.randn(60_000, generator=generator)
    models = [base + 3e-4 * (own + 1) * torch.randn(base.shape, generator=generator) for own in range(3)]
    return base.to(kind), [model.to(kind) for model in models]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("fraction", [1e-4, 0.1, 0.3333, 0.9, 0.99999])
def test_weights_are_the_shares_in_the_squares_of_the_highest_variances(kind: torch.dtype, fraction: float) -> None:
    base, models = some_models(kind)
    method = methods.load("sce")
    options = method.resolve({})
    sources = method.sources(methods.TensorContext("x"), base, models, options)
    deltas = torch.stack([model.float() - base.float() for model in models]).double()
    variances = ((deltas - deltas.mean(0)).square().mean(0)).float()
    wanted = int(fraction * int((variances != 0).sum()))
    order = variances.sort(descending=True, stable=True).indices[:wanted]
    squares = deltas[:, order].square().sum(1)
    chosen = sce.selection(sources, fraction)
    torch.testing.assert_close(torch.tensor(chosen.squares, dtype=torch.float64), squares, rtol=1e-12, atol=0)
    weights = sce.calculated(sources, chosen.squares)
    torch.testing.assert_close(torch.tensor(weights, dtype=torch.float64), squares / squares.sum(), rtol=1e-12, atol=0)
    mask = torch.zeros(60_000, dtype=torch.bool)
    mask[order] = True
    chosen_there = chosen.of(sce.variance_of(sources))
    assert chosen_there is not None
    assert torch.equal(selected(chosen_there, slice(0, 60_000)), mask)
    with torch_only():
        other = method.sources(methods.TensorContext("x"), base, models, options)
        assert sce.selection(other, fraction) == chosen


def test_squares_are_added_up_once() -> None:
    """A candidate looks at nothing where the prepared sums hold what it selects."""
    base, models = some_models(torch.float32)
    method = methods.load("sce")
    sources = method.sources(methods.TensorContext("x"), base, models, method.resolve({}))
    histogram = Histogram.load(sources.prepared, "variance")
    assert histogram.shift > 0
    elsewhere = replace(sources, models=[model * torch.nan for model in models])
    for row in (0, 100, histogram.bin_keys.numel() - 2):
        fraction = (int(histogram.cumulative[row]) + 0.5) / int(sources.prepared["different"])
        assert sce.selection(elsewhere, fraction).squares == sources.prepared["squares"][row + 1].tolist()


def test_mergekits_is_named_where_all_options_are_its_own() -> None:
    method = methods.load("sce")
    assert method.mergekit(method.resolve(MERGEKIT)) == {}
    assert method.mergekit(method.resolve({})) is None
