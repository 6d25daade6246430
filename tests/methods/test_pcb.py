"""PCB: scores and balance by hand, against the paper's formulas on whole vectors in float64."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import family, merge_tensor, variants
from evomerge.errors import InputError
from tests.methods.one_tensor import merge

BASE = torch.full((4,), 10.0)
DELTAS = [torch.tensor([0.0, 1.0, 2.0, -4.0]), torch.tensor([4.0, 2.0, -1.0, 0.0])]
MODELS = [BASE + delta for delta in DELTAS]


def values(ratio: float, weights: tuple[float, ...] = (1.0, 0.5), scale: float = 1.0) -> dict[str, Any]:
    return {"weight": weights, "ratio": ratio, "lambda": scale}


def test_the_example_by_hand() -> None:
    """Sizes are |delta| / 4; sums are [4, 3, 1, -4]; in the third place the second model opposes the sum."""
    first = [math.exp(2 * size**2) * math.tanh(product) for size, product in [(0.25, 3), (0.5, 2), (1, 16)]]
    second = [math.exp(2 * size**2) * math.tanh(product) for size, product in [(1, 16), (0.5, 6)]]
    top = math.exp(2)
    assert first[2] == pytest.approx(top)
    assert second[0] == pytest.approx(top)
    share, other = first[0] / top, second[1] / top
    wanted = torch.tensor([0.5 * 4.0, (1.0 * share + 0.5 * 2 * other) / (share + other), 2.0, -4.0])
    torch.testing.assert_close(merge(("pcb", ()), MODELS, BASE, values(1.0)) - BASE, wanted)
    torch.testing.assert_close(merge(("pcb", ()), MODELS, BASE, values(1.0, scale=2.0)) - BASE, 2 * wanted)


def test_only_the_highest_scores_take_part() -> None:
    # Half of four: the quantile is the second highest score, which itself has scale zero.
    merged = merge(("pcb", ()), MODELS, BASE, values(0.5, (1.0, 1.0))) - BASE
    torch.testing.assert_close(merged, torch.tensor([4.0, 0.0, 0.0, -4.0]))


def test_the_agreements_of_the_example_by_hand() -> None:
    """Sizes with signs are [0, .25, .5, -1] and [1, .5, -.25, 0]; their sums [1, .75, .25, -1]."""
    first, second = [0.0, 0.25, 0.5, -1.0], [1.0, 0.5, -0.25, 0.0]
    size = {model: [math.exp(2 * own**2) for own in sizes] for model, sizes in enumerate((first, second))}
    sums = [a + b for a, b in zip(first, second, strict=True)]
    scores = {
        "scaled": [
            [
                own * math.tanh(delta * total)
                for own, delta, total in zip(size[m], DELTAS[m].tolist(), sums, strict=True)
            ]
            for m in (0, 1)
        ],
        "pairs": [
            [
                own * (math.tanh(mine * a) + math.tanh(mine * b))
                for own, mine, a, b in zip(size[m], sizes, first, second, strict=True)
            ]
            for m, sizes in enumerate((first, second))
        ],
    }
    for agreement, (one, other) in scores.items():
        # Shares of the highest score; negative scores, those that oppose the sum, are zero.
        left, right = ([max(score, 0.0) / max(own) for score in own] for own in (one, other))
        wanted = [
            (d * a + 0.5 * e * b) / (a + b)
            for d, e, a, b in zip(DELTAS[0].tolist(), DELTAS[1].tolist(), left, right, strict=True)
        ]
        got = merge(("pcb", (("agreement", agreement),)), MODELS, BASE, values(1.0)) - BASE
        torch.testing.assert_close(got, torch.tensor(wanted))


def oracle(
    base: list[torch.Tensor],
    models: list[list[torch.Tensor]],
    options: dict[str, Any],
    point: dict[str, Any],
) -> torch.Tensor:
    """The published steps on the flattened model in float64, negative scores as zero."""
    clamp, exact = options["clamp"], options["quantile"] == "exact"
    deltas = torch.stack([torch.cat([(m - b).flatten() for m, b in zip(own, base, strict=True)]) for own in models])
    deltas, count = deltas.double(), sum(tensor.numel() for tensor in base)
    ordered = deltas.abs().sort(dim=1).values
    beyond = int(clamp * count)
    highest = int(count * (1 - clamp) - 1) if exact else count - 1 - beyond
    low, high = ordered[:, beyond, None], ordered[:, highest, None]
    sizes = deltas.abs().clamp(low, high)
    scaled = (sizes - low) / (high - low)
    signed = scaled * deltas.sign()
    inter = {
        "product": torch.tanh(deltas * deltas.sum(0)),
        "scaled": torch.tanh(deltas * signed.sum(0)),
        "pairs": torch.stack([torch.tanh(own * signed).sum(0) for own in signed]),
    }[options["agreement"]]
    scores = (torch.exp(len(models) * scaled**2) * inter).clamp(min=0)
    kept = count - int(count * (1 - point["ratio"])) if exact else max(1, int(point["ratio"] * count))
    least = scores.sort(dim=1, descending=True).values[:, kept - 1, None]
    shares = ((scores - least) / (scores.max(dim=1, keepdim=True).values - least)).clamp(min=0)
    weights = torch.tensor(point["weight"]).double()[:, None]
    update = (weights * sizes * deltas.sign() * shares).sum(0) / shares.sum(0).clamp(min=1e-12)
    return torch.cat([tensor.flatten() for tensor in base]).double() + point["lambda"] * update


@pytest.mark.parametrize("clamp", [0.0, 1e-2, 0.1])
@pytest.mark.parametrize("ratio", [0.05, 0.3])
@pytest.mark.parametrize("scope", ["tensor", "global"])
@pytest.mark.parametrize(
    ("agreement", "quantile"),
    [("product", "bins"), ("product", "exact"), ("scaled", "exact"), ("pairs", "bins"), ("pairs", "exact")],
)
def test_agrees_with_the_published_steps(clamp: float, ratio: float, scope: str, agreement: str, quantile: str) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(40, 30), (500,), (20, 20)]
    base = [torch.randn(shape, generator=generator) for shape in shapes]
    scales = (0.1, 1.0, 0.5)
    models = [
        [b + s * torch.randn(b.shape, generator=generator) for b, s in zip(base, scales, strict=True)] for _ in range(3)
    ]
    pcb = methods.load("pcb")
    options = pcb.resolve({"clamp": clamp, "scope": scope, "agreement": agreement, "quantile": quantile})
    point = values(ratio, (1.2, 0.8, 1.0), 0.7)
    contexts = [methods.TensorContext(str(t)) for t in range(3)]
    tensors = [
        (context, pcb.sources(context, own, [model[t] for model in models], options))
        for t, (context, own) in enumerate(zip(contexts, base, strict=True))
    ]
    assert pcb.survey is not None
    survey = pcb.survey(tensors, options)
    merged = [torch.empty(shape) for shape in shapes]
    for (context, sources), out in zip(tensors, merged, strict=True):
        pcb.merge(context, replace(sources, survey=survey), point, out)
    if scope == "global":
        wanted = oracle(base, models, options, point)
    else:
        parts = [oracle([base[t]], [[model[t]] for model in models], options, point) for t in range(3)]
        wanted = torch.cat(parts)
    torch.testing.assert_close(torch.cat([t.flatten() for t in merged]).double(), wanted, rtol=1e-4, atol=1e-4)


def test_an_exact_quantile_is_one_element_where_bins_hold_several() -> None:
    """Of more scores than a histogram has bins, the element at the quantile itself is left out, and no other."""
    base, models = family(3, (200, 300))
    models = [model + 1e-3 * torch.randn(200, 300, generator=torch.Generator().manual_seed(0)) for model in models]
    options = {
        name: methods.load("pcb").resolve({"quantile": name, "agreement": "pairs"}) for name in ("bins", "exact")
    }
    point = values(0.01, (1.0, 1.0, 1.0))
    rough, exact = (merge_tensor(methods.load("pcb"), own, (base, models), point) for own in options.values())
    changed = [(own != base).sum() for own in (rough, exact)]
    # At most 600 elements of each model take part, and no two of them are the same.
    assert changed[1] <= changed[0] <= 3 * 601
    torch.testing.assert_close(
        exact, oracle([base], [[m] for m in models], options["exact"], point).view(200, 300).float()
    )


@pytest.mark.parametrize("clamp", [-0.1, 0.51, 5])
def test_a_fraction_of_both_ends_is_at_most_a_half(clamp: float) -> None:
    with pytest.raises(InputError, match=r"option clamp is .*; expected a number from 0 to 0.5"):
        methods.load("pcb").resolve({"clamp": clamp})
    merge(("pcb", (("clamp", 0.5),)), MODELS, BASE, values(1.0))


def test_infinity_is_not_clamped_away() -> None:
    model = torch.cat([torch.randn(100, generator=torch.Generator().manual_seed(0)), torch.tensor([torch.inf])])
    merged = merge(("pcb", (("clamp", 0.05),)), [model, model], torch.zeros(101), values(0.5))
    assert not merged[-1].isfinite()


def test_mergekit_has_no_such_method() -> None:
    pcb = methods.load("pcb")
    assert pcb.mergekit(pcb.resolve({})) is None


def test_a_model_alone_loses_only_what_opposes_the_sum() -> None:
    """An element that opposes the sum of all deltas stays the base's; the others are the model's."""
    base, models = family(3)
    pcb = methods.load("pcb")
    for options in variants(pcb):
        points = pcb.starts(3, options)
        for i, model in enumerate(models):
            # Unclamped: the published code counts so that the largest element is always beyond a fraction.
            alone = merge_tensor(pcb, options | {"clamp": 0.0}, (base, models), points[f"model:{i}"])
            assert torch.minimum((alone - model).abs(), (alone - base).abs()).max() < 1e-6
            assert (alone - model).norm() < 0.5 * (model - base).norm()
