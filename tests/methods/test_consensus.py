"""Consensus task arithmetic and TALL masks, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evomerge.errors import InputError
from evomerge.methods import TensorContext, load
from tests.methods.one_tensor import merge

BASE = torch.full((4,), 10.0)
DELTAS = [
    torch.tensor([4.0, 1.0, 2.0, 0.0]),
    torch.tensor([2.0, 4.0, -1.0, 0.0]),
    torch.tensor([2.0, 0.0, 1.0, 1.0]),
]
MODELS = [BASE + delta for delta in DELTAS]
SUM = torch.tensor([8.0, 5.0, 2.0, 1.0])
# Distances to the sum: [4, 4, 0, 1], [6, 1, 3, 1] and [6, 5, 1, 0]. Half of them is less than the delta at
HALF = [[True, False, True, False], [False, True, False, False], [False, False, True, True]]


def merged(limits: tuple[float, ...] = (0.5,) * 3, weights: tuple[float, ...] = (1.0,) * 3, k: int = 2) -> torch.Tensor:
    values = {"weight": weights, "mask_lambda": limits, "lambda": 1.0}
    return merge(("consensus", (("k", k),)), MODELS, BASE, values) - BASE


def test_what_too_few_masks_have_is_left_out() -> None:
    counts = torch.tensor(HALF).sum(0)  # 1, 1, 2, 1
    for k in (0, 1, 2, 3):
        assert torch.equal(merged(k=k), SUM * (counts >= k))
    assert load("consensus").resolve({})["k"] == 2


def test_a_distance_that_is_equal_is_not_less() -> None:
    # At element 0 the first expert's delta is 4 and its distance 4.
    assert merged((1.0, 1.0, 1.0), k=1)[0] == 0.0
    assert merged((0.99, 1.0, 1.0), k=1)[0] == 8.0


def test_every_expert_has_its_own_limit() -> None:
    # At 0 the first mask has all but the last element, the others as above: 1, 2, 2, 1.
    assert merged((0.0, 0.5, 0.5)).tolist() == [0.0, 5.0, 2.0, 0.0]


def test_weights_say_what_is_added_and_not_what_matters() -> None:
    assert merged(weights=(0.5, 0.0, 2.0), k=1).tolist() == [6.0, 0.5, 3.0, 2.0]


def test_fewer_models_than_k_must_all_agree() -> None:
    values = {"weight": (1.0, 1.0), "mask_lambda": (0.0, 0.0), "lambda": 1.0}
    found = merge(("consensus", (("k", 5),)), MODELS[:2], BASE, values) - BASE
    assert found.tolist() == [6.0, 5.0, 1.0, 0.0]


def test_the_model_for_one_task() -> None:
    for task, own in enumerate(HALF):
        found = merge(("consensus", (("task", task),)), MODELS, BASE, {"mask_lambda": 0.5, "lambda": 1.0}) - BASE
        assert torch.equal(found, SUM * torch.tensor(own))
    with pytest.raises(InputError, match=r"option task is 3, but tensor '.*' is merged from 3 models"):
        merge(("consensus", (("task", 3),)), MODELS, BASE, {"mask_lambda": 0.5, "lambda": 1.0})


def test_coefficients_and_starts_of_a_task() -> None:
    method = load("consensus")
    options = method.resolve({"task": 0})
    declared = {c.name: c for c in method.coefficients(options)}
    assert set(declared) == set(method.starts(3, options)["neutral"]) == {"mask_lambda", "lambda"}
    assert not any(c.per_model for c in declared.values())


TIES = (("vector", "ties"), ("k", 2))


def of_ties(limit: float, k: int = 2, weights: tuple[float, ...] = (1.0,) * 3) -> list[float]:
    """At a density of 1/4: two of four elements and what equals the second, so of the third expert three."""
    values = {"weight": weights, "density": (0.25,) * 3, "mask_lambda": (limit,) * 3, "lambda": 1.0}
    found: list[float] = (merge(("consensus", (("vector", "ties"), ("k", k))), MODELS, BASE, values) - BASE).tolist()
    return found


def test_ties_sum_is_what_masks_are_held_to_and_what_is_merged() -> None:
    # TIES keeps [4, 0, 2, 0], [2, 4, 0, 0] and [2, 0, 1, 1], all plus; whole deltas are from their sum [8, 4, 3, 1] by
    # [4, 3, 1, 1], [6, 0, 4, 1] and [6, 4, 2, 0].
    assert of_ties(0.3) == [8.0, 4.0, 3.0, 0.0]  # in 3, 2, 2 and 1 masks
    assert of_ties(0.4) == [0.0, 0.0, 3.0, 0.0]  # in 1, 1, 2 and 1
    assert of_ties(0.5, k=1) == [8.0, 4.0, 3.0, 1.0]  # in one each; of the third expert 1 is no more than half of 2
    assert of_ties(0.5, k=1, weights=(0.5, 0.0, 2.0)) == [6.0, 0.0, 3.0, 2.0]
    assert of_ties(0.5, k=1, weights=(0.0, 0.0, 0.0)) == [0.0] * 4
    values = {"density": 0.25, "mask_lambda": 0.4, "lambda": 0.5}
    own = merge(("consensus", (("vector", "ties"), ("task", 2))), MODELS, BASE, values) - BASE
    assert own.tolist() == [0.0, 0.0, 1.5, 0.5]


@pytest.mark.parametrize(
    ("other", "elected"), [([1.0], 3.0), ([-1.0], -3.0), ([1.0, -1.0], -3.0)], ids=["plus", "minus", "level"]
)
def test_where_votes_cancel_most_elements_decide(other: list[float], elected: float) -> None:
    base = torch.zeros(1 + len(other))
    models = [torch.tensor([3.0, *other]), torch.tensor([-3.0, *other])]
    values = {"weight": (1.0,) * 2, "density": (1.0,) * 2, "mask_lambda": (0.0,) * 2, "lambda": 1.0}
    found = merge(("consensus", TIES), models, base, values)
    assert found.tolist() == [elected, *(2 * own for own in other)]


def test_consensus_ties_of_whole_models_is_the_papers() -> None:
    """Against the formulas over the flattened model: one threshold for each model, whatever the tensor."""
    generator = torch.Generator().manual_seed(1)
    shapes = {"a": (7, 5), "b": (11,), "c": (3, 4)}
    sizes = {"a": 1.0, "b": 0.2, "c": 3.0}
    base = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    models = [
        {name: base[name] + sizes[name] * torch.randn(own, generator=generator) for name, own in shapes.items()}
        for _ in range(3)
    ]
    density, limits, scale = 0.2, (0.2, 0.4, 0.6), 0.7

    whole = [torch.cat([(model[name] - base[name]).flatten() for name in shapes]) for model in models]
    count = len(whole[0])
    kept = [own * (own.abs() >= own.abs().kthvalue(count - int(density * count)).values) for own in whole]
    signs = torch.stack(kept).sum(0).sign()
    assert bool((signs == 0).any()), "elements that no model keeps"
    merged = torch.stack([torch.where(own * signs > 0, own, 0.0) for own in kept]).sum(0)
    masks = [own.abs() > (merged - own).abs() * limit for own, limit in zip(whole, limits, strict=True)]
    votes = torch.stack(masks).sum(0)
    expected = scale * merged * (votes >= 2)

    method = load("consensus")
    options = method.resolve(dict(TIES))
    assert method.survey is not None
    values: dict[str, float | tuple[float, ...]] = {
        "weight": (1.0,) * 3, "density": (density,) * 3, "mask_lambda": limits, "lambda": scale,
    }  # fmt: skip
    tensors = [
        (TensorContext(name), method.sources(TensorContext(name), base[name], [m[name] for m in models], options))
        for name in shapes
    ]
    survey = method.survey(tensors, options)
    found = []
    for context, sources in tensors:
        out = torch.empty(shapes[context.name])
        method.merge(context, replace(sources, survey=survey), values, out)
        found.append((out - base[context.name]).flatten())
    assert torch.allclose(torch.cat(found), expected, atol=1e-6)
    assert 0 < int((expected != 0).sum()) < count


def test_the_plain_sum_prepares_and_surveys_nothing() -> None:
    method = load("consensus")
    options = method.resolve({})
    assert method.prepare is not None
    assert method.survey is not None
    assert method.prepare(TensorContext("x"), BASE, MODELS, options) == {}
    assert method.survey([], options) is None
    assert method.stated({}) == {"k": 2, "task": None}, "recipes that never heard of TIES keep their digests"
