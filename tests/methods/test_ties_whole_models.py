"""TIES of whole models: against a plain implementation that sorts whole tensors, and what its scopes keep."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch

from evomerge import methods
from evomerge.kernels import BLOCK
from tests.methods.test_ties import values

CHOICES = {name: option.choices for name, option in methods.load("ties").options.items()}


def oracle(
    options: dict[str, Any], base: list[torch.Tensor], models: list[list[torch.Tensor]], coefficients: dict[str, Any]
) -> list[torch.Tensor]:
    """TIES on whole tensors in float64, with stable sorts; one list entry per tensor."""
    sizes = [tensor.numel() for tensor in base]
    deltas = [[(m - b).double().flatten() for m, b in zip(model, base, strict=True)] for model in models]
    weights = coefficients["weight"]
    kept: list[list[torch.Tensor]] = []
    for model, density in zip(deltas, coefficients["density"], strict=True):
        parts = [torch.cat(model)] if options["scope"] == "global" else model
        trimmed = [keep_largest(part, density, options) for part in parts]
        kept.append(list(torch.cat(trimmed).split(sizes)))
    for model, whole, density in zip(kept, deltas, coefficients["density"], strict=True):
        for i, part in enumerate(model):
            if options["rescale"] == "inverse":
                model[i] = part / density
            elif options["rescale"] == "l1" and part.abs().sum() > 0:
                model[i] = part * (whole[i].abs().sum() / part.abs().sum())
    voters = [i for i, weight in enumerate(weights) if weight]
    power = [weights[i] if options["votes"] == "weighted" else 1.0 for i in voters]
    elected = []
    for t in range(len(base)):
        # Summed in float32 as voting is, so that what cancels there cancels here.
        ballots = [kept[i][t].float() * p for i, p in zip(voters, power, strict=True)]
        elected.append(sum(ballots).sign())
    counted = torch.cat(elected) if options["scope"] == "global" else None
    result = []
    for t, tensor in enumerate(base):
        majority = (elected[t] if counted is None else counted).sum().sign()
        sign = {
            "positive": torch.ones(()),
            "majority": majority,
            "majority_or_minus": torch.where(majority == 0, -1.0, majority),
            "drop": torch.zeros(()),
        }[options["tie"]]
        signs = torch.where(elected[t] == 0, sign, elected[t])
        agreeing = {
            i: kept[i][t].sign() * (weights[i] if options["votes"] == "weighted" else 1) * signs > 0 for i in voters
        }
        update = sum(weights[i] * kept[i][t] * agreeing[i] for i in voters)
        divisor = {
            "weight": lambda a=agreeing: sum(weights[i] * a[i].double() for i in voters),
            "count": lambda a=agreeing: sum(a[i].double() for i in voters),
            "none": lambda: torch.ones(()),
        }[options["normalise"]]()
        update = update / torch.where(divisor == 0, 1.0, divisor)
        result.append((tensor.double() + coefficients["lambda"] * update.view(tensor.shape)).float())
    return result


def keep_largest(delta: torch.Tensor, density: float, options: dict[str, Any]) -> torch.Tensor:
    if density >= 1 or delta.numel() == 0:
        return delta
    order = delta.abs().argsort(descending=True, stable=True)
    wanted = int(density * delta.numel())
    if options["rounding"] == "up":
        wanted = delta.numel() - int((1 - density) * delta.numel())
    if options["kept"] != "exact":
        rank = min(wanted + 1, delta.numel()) if options["kept"] == "threshold" else max(wanted, 1)
        return torch.where(delta.abs() >= delta.abs()[order[rank - 1]], delta, 0.0)
    kept = torch.zeros_like(delta)
    chosen = order[: max(wanted, 1)]
    kept[chosen] = delta[chosen]
    return kept


def some_tensors(shapes: list[tuple[int, ...]], step: float) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
    """A base and three models whose deltas are multiples of ``step``, so that many magnitudes are equal."""
    generator = torch.Generator().manual_seed(0)
    base = [(torch.randn(shape, generator=generator) * 64).round() / 64 for shape in shapes]
    models = []
    for _ in range(3):
        scales = torch.rand(len(shapes), generator=generator).tolist()
        deltas = [torch.randn(shape, generator=generator) * scale for shape, scale in zip(shapes, scales, strict=True)]
        models.append([b + (d / step).round() * step for b, d in zip(base, deltas, strict=True)])
    return base, models


def merge_all(
    options: dict[str, Any], base: list[torch.Tensor], models: list[list[torch.Tensor]], *points: dict[str, Any]
) -> list[list[torch.Tensor]]:
    """Merges a whole model with each of some coefficients, its tensors in reverse order."""
    ties = methods.load("ties")
    assert ties.survey is not None
    contexts = [methods.TensorContext(f"tensor {t}") for t in range(len(base))]
    tensors = [
        (context, ties.sources(context, own_base, own, options))
        for context, own_base, own in zip(contexts, base, zip(*models, strict=True), strict=True)
    ]
    survey = ties.survey(tensors, options)
    merged = []
    for coefficients in points:
        results = [torch.empty(own_base.shape) for own_base in base]
        for (context, sources), out in zip(reversed(tensors), reversed(results), strict=True):
            ties.merge(context, replace(sources, survey=survey), coefficients, out)
        merged.append(results)
    return merged


SHAPES: list[tuple[int, ...]] = [(6, 5), (40,), (), (0,), (3, 4, 5), (17,)]
EQUAL_MAGNITUDES = some_tensors(SHAPES, 1 / 8)
DISTINCT_MAGNITUDES = some_tensors(SHAPES, 1e-5)
POINTS = [
    values((0.5, 0.3, 0.2), (0.5, 0.25, 0.8)),
    values((0.25, 0.5, 0.25), (0.05, 1.0, 0.3), 1.7),
    values((0.5, 0.0, 0.5), (0.2, 0.5, 0.2), 0.5),
    values((1.0, -0.5, 1.0), (0.6, 0.6, 0.6)),
]


@pytest.mark.parametrize("scope", CHOICES["scope"])
@pytest.mark.parametrize("kept", CHOICES["kept"])
@pytest.mark.parametrize("votes", CHOICES["votes"])
def test_every_combination_agrees_with_sorting_whole_tensors(scope: str, kept: str, votes: str) -> None:
    roundings = itertools.cycle(CHOICES["rounding"])  # of which an election knows nothing
    halves = itertools.cycle((POINTS[::2], POINTS[::2], POINTS[1::2], POINTS[1::2]))
    for rescale, tie, normalise in itertools.product(CHOICES["rescale"], CHOICES["tie"], CHOICES["normalise"]):
        options = {
            "scope": scope, "kept": kept, "rounding": next(roundings), "rescale": rescale, "votes": votes, "tie": tie,
            "normalise": normalise,
        }  # fmt: skip
        # Once rescaled, votes that cancel do so up to rounding only; the order of summation would decide.
        tensors = EQUAL_MAGNITUDES if rescale == "none" else DISTINCT_MAGNITUDES
        points = next(halves)
        for point, merged in zip(points, merge_all(options, *tensors, *points), strict=True):
            torch.testing.assert_close(merged, oracle(options, *tensors, point), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kept", CHOICES["kept"])
@pytest.mark.parametrize("scope", CHOICES["scope"])
def test_large_tensors_with_many_equal_magnitudes(scope: str, kept: str) -> None:
    base, models = some_tensors([(1000,), ((1 << 20) + 4321,), (300, 300)], 1 / 32)
    options = methods.load("ties").resolve({"scope": scope, "kept": kept})
    point = values((0.5, 0.25, 0.25), (0.2, 0.37, 0.9))
    (merged,) = merge_all(options, base, models, point)
    torch.testing.assert_close(merged, oracle(options, base, models, point), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kept", CHOICES["kept"])
@pytest.mark.parametrize("scope", CHOICES["scope"])
def test_more_magnitudes_than_are_told_apart(scope: str, kept: str) -> None:
    """Some tensors are counted coarsely, others exactly, and some values occur in several."""
    base, models = some_tensors([(60_000,), (300,), (0,), (200, 150)], 1e-6)
    ties = methods.load("ties")
    options = ties.resolve({"scope": scope, "kept": kept})
    shifts = [
        int(ties.sources(methods.TensorContext("x"), b, [models[0][t]], options).prepared["shift.0"])
        for t, b in enumerate(base)
    ]
    assert shifts[0] > 0
    assert shifts[1] == 0
    points = [values((0.5, 0.25, 0.25), (density, 0.37, 0.9)) for density in (0.001, 0.2, 0.613, 0.99)]
    for point, merged in zip(points, merge_all(options, base, models, *points), strict=True):
        torch.testing.assert_close(merged, oracle(options, base, models, point), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scope", CHOICES["scope"])
def test_keeps_exactly_as_many_as_it_says(scope: str) -> None:
    sizes = [(BLOCK + 17,), (1000, 1100), (513,)]
    base = [torch.zeros(shape) for shape in sizes]
    # Odd multiples of 1/8: no zeros, and few magnitudes that are each shared by many.
    model = [(tensor * 4).round() / 4 + 0.125 for tensor in some_tensors(sizes, 1 / 8)[0]]
    options = methods.load("ties").resolve({"scope": scope})
    for density in (1e-5, 0.1, 1 / 3, 0.5, 0.77):
        (got,) = merge_all(options, base, [model], values((1.0,), (density,)))
        counts = [int((tensor != 0).sum()) for tensor in got]
        numels = [tensor.numel() for tensor in base]
        if scope == "global":
            assert sum(counts) == int(density * sum(numels))
        else:
            assert counts == [max(1, int(density * numel)) for numel in numels]


def test_global_scope_leaves_small_deltas_out() -> None:
    base = [torch.zeros(4), torch.zeros(4)]
    model = [torch.tensor([5.0, 6, 7, 8]), torch.tensor([1.0, 2, 3, 4])]
    point = values((1.0,), (0.5,))
    options = methods.load("ties").resolve({"scope": "global"})
    assert [t.tolist() for t in merge_all(options, base, [model], point)[0]] == [[5, 6, 7, 8], [0, 0, 0, 0]]
    options = methods.load("ties").resolve({"scope": "tensor"})
    assert [t.tolist() for t in merge_all(options, base, [model], point)[0]] == [[0, 0, 7, 8], [0, 0, 3, 4]]


def test_each_tensor_may_have_its_own_density_of_the_whole_model() -> None:
    ties = methods.load("ties")
    options = ties.resolve({"scope": "global"})
    base, model = [torch.zeros(4), torch.zeros(4)], [torch.tensor([5.0, 6, 7, 8]), torch.tensor([1.0, 2, 3, 4])]
    contexts = [methods.TensorContext(str(t)) for t in range(2)]
    tensors = [(c, ties.sources(c, b, [m], options)) for c, b, m in zip(contexts, base, model, strict=True)]
    assert ties.survey is not None
    survey = ties.survey(tensors, options)
    out = torch.empty(4)
    for t, density, wanted in [(0, 0.25, [0, 0, 7, 8]), (1, 0.75, [0, 0, 3, 4]), (0, 0.125, [0, 0, 0, 8])]:
        ties.merge(contexts[t], replace(tensors[t][1], survey=survey), values((1.0,), (density,)), out)
        assert out.tolist() == wanted


def test_a_survey_is_made_only_where_it_is_needed() -> None:
    ties = methods.load("ties")

    def never() -> Any:
        raise AssertionError("the tensors were read")
        yield

    assert ties.survey is not None
    assert ties.survey(never(), ties.resolve({})) is None
