"""Random dropping with sign election, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evomerge import methods
from evomerge.kernels import uniform
from tests.methods.one_tensor import merge

BASE = torch.full((6,), 10.0)
DELTAS = [torch.tensor([1.0, -1.0, 4.0, 0.0, -2.0, 3.0]), torch.tensor([-3.0, -1.0, 2.0, 0.0, 2.0, 5.0])]
MODELS = [BASE + delta for delta in DELTAS]


def values(density: float, weights: tuple[float, float] = (0.5, 1.0)) -> dict:
    return {"weight": weights, "density": (density, density), "lambda": 1.0}


def test_without_dropping_the_agreeing_weighted_deltas_are_added() -> None:
    # weighted deltas [.5, -.5, 2, 0, -1, 1.5] and [-3, -1, 2, 0, 2, 5]; signs -, -, +, none, +, +
    merged = merge(("dare_ties", ()), MODELS, BASE, values(1.0))
    assert (merged - BASE).tolist() == [-3.0, -1.5, 4.0, 0.0, 2.0, 6.5]


def test_normalised_by_the_weights_that_agree() -> None:
    merged = merge(("dare_ties", (("normalise", "weight"),)), MODELS, BASE, values(1.0))
    torch.testing.assert_close(merged - BASE, torch.tensor([-3.0, -1.0, 4 / 1.5, 0.0, 2.0, 6.5 / 1.5]))


def test_dropped_elements_do_not_vote() -> None:
    keys = [3, 4]
    kept = [delta * (uniform(key, slice(0, 6)) < 0.5) * 2 for delta, key in zip(DELTAS, keys, strict=True)]
    wanted = BASE.clone()
    for i in range(6):
        weighted = [0.5 * float(kept[0][i]), float(kept[1][i])]
        sign = 1 if sum(weighted) >= 0 else -1
        wanted[i] += sum(value for value in weighted if value * sign > 0)
    assert not torch.equal(kept[0], 2 * DELTAS[0])
    assert torch.equal(merge(("dare_ties", ()), MODELS, BASE, values(0.5), keys=keys), wanted)


def largest(left: torch.Tensor, count: int) -> torch.Tensor:
    """The largest of some elements, the first of equal ones; all others are zero."""
    chosen = left.abs().argsort(descending=True, stable=True)[:count]
    return torch.zeros_like(left).scatter_(0, chosen, left[chosen])


def test_what_dropping_leaves_is_trimmed() -> None:
    """Without dropping this is TIES: three of six elements of each, [0, 0, 4, 0, -2, 3] and [-3, 0, 2, 0, 0, 5]."""
    options = (("trim", "tensor"), ("normalise", "count"))
    merged = merge(("dare_ties", options), MODELS, BASE, values(1.0, (1.0, 1.0)) | {"trim_density": (0.5, 0.5)})
    assert (merged - BASE).tolist() == [-3.0, 0.0, 3.0, 0.0, -2.0, 4.0]

    keys = [3, 4]
    kept = [delta * (uniform(key, slice(0, 6)) < 0.7) for delta, key in zip(DELTAS, keys, strict=True)]
    assert all(int((own != 0).sum()) > 2 for own in kept)
    first, second = (largest(own, 2) / 0.7 for own in kept)
    point = values(0.7, (1.0, 1.0)) | {"trim_density": (0.4, 0.4)}
    merged = merge(("dare_ties", (*options, ("votes", "plain"))), MODELS, BASE, point, keys=keys)
    signs = (first + second).sign()
    agreeing = [own * (own * signs > 0) for own in (first, second)]
    count = sum((own != 0).float() for own in agreeing).clamp(min=1)
    torch.testing.assert_close(merged - BASE, sum(agreeing) / count, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("kept", ["exact", "equals", "threshold"])
@pytest.mark.parametrize("rounding", ["down", "up"])
def test_the_whole_model_is_trimmed_by_one_threshold(kept: str, rounding: str) -> None:
    dare_ties, density, left = methods.load("dare_ties"), 0.6, 0.23
    options = dare_ties.resolve({"trim": "global", "kept": kept, "rounding": rounding, "tie": "drop"})
    generator = torch.Generator().manual_seed(0)
    # Sums of sixteenths, so that many are equal.
    bases = [torch.randn(shape, generator=generator).mul(16).round() / 16 for shape in ((70,), (9, 8), ())]
    models = [[base + scale * base.flip(0) if base.dim() else base + 0.5 for scale in (1.0, -0.5)] for base in bases]
    contexts = [methods.TensorContext(f"t{i}", keys=(2 * i, 2 * i + 1)) for i in range(3)]
    tensors = [
        (context, dare_ties.sources(context, base, own, options))
        for context, base, own in zip(contexts, bases, models, strict=True)
    ]
    assert dare_ties.survey is not None
    survey = dare_ties.survey(tensors, options)
    point = values(density, (1.0, 1.0)) | {"trim_density": (left, left)}
    merged = []
    for context, sources in tensors:
        out = torch.empty(sources.models[0].shape)
        dare_ties.merge(context, replace(sources, survey=survey), point, out)
        merged.append(out.flatten())

    whole = []
    for place in range(2):
        parts = [
            (own[place] - base).flatten() * (uniform(context.keys[place], slice(0, base.numel())) < density)
            for context, base, own in zip(contexts, bases, models, strict=True)
        ]
        flat = torch.cat(parts)
        wanted = flat.numel() - int((1 - left) * flat.numel()) if rounding == "up" else int(left * flat.numel())
        ordered = flat.abs().sort(descending=True).values
        if kept == "exact":
            whole.append(largest(flat, wanted) / density)
        else:
            rank = wanted if kept == "equals" else wanted + 1
            whole.append(flat * (flat.abs() >= ordered[rank - 1]) / density)
    signs = (whole[0] + whole[1]).sign()
    update = sum(own * (own * signs > 0) for own in whole)
    start = torch.cat([base.flatten() for base in bases])
    torch.testing.assert_close(torch.cat(merged), start + update, rtol=1e-5, atol=1e-5)
