"""TSV-M: worked by hand, orthogonal directions, lossless form, searched ranks and weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import family
from evomerge.methods._shared.spectral.decomposition import svd
from evomerge.methods._shared.spectral.task_triples import orthogonal_updates
from tests.methods.one_tensor import Variant, merge

ALL: Variant = ("tsvm", (("keep", "all"),))


def values(scale: float = 1.0, **other: Any) -> dict[str, Any]:
    return {"lambda": scale, **other}


def test_the_example_by_hand() -> None:
    """Two deltas of a matrix of rank two: each keeps its largest triple.

    The first has 3 along the first axis on both sides, and 1, which is left out. The second has 2 from the first axis
    on the right to a left direction at 60 degrees to the first axis. The nearest orthonormal pair to two unit vectors
    with an angle of 60 degrees between them has the same middle and an angle of 90: the vectors turn by 15 degrees
    away from each other. On the right side both have the same direction, of which each then holds a share of one half.
    """
    angle = math.radians(60)
    deltas = [torch.diag(torch.tensor([3.0, 1.0])), 2 * torch.tensor([[math.cos(angle), 0], [math.sin(angle), 0]])]
    base = torch.full((2, 2), 10.0)
    first, second = (torch.tensor([math.cos(math.radians(a)), math.sin(math.radians(a))]) for a in (-15, 75))
    axis = torch.tensor([1.0, 0]) / math.sqrt(2)
    wanted = 3 * torch.outer(first, axis) + 2 * torch.outer(second, axis)
    models = [base + delta for delta in deltas]
    torch.testing.assert_close(merge(("tsvm", ()), models, base, values()) - base, wanted)
    torch.testing.assert_close(merge(("tsvm", ()), models, base, values(0.5)) - base, 0.5 * wanted)
    weighted: Variant = ("tsvm", (("weights", "searched"),))
    found = merge(weighted, models, base, values(weight=(1.0, 0.25))) - base
    torch.testing.assert_close(found, 3 * torch.outer(first, axis) + 0.5 * torch.outer(second, axis))


@pytest.mark.parametrize("shape", [(37, 11), (11, 37)])
def test_directions_of_all_deltas_are_orthonormal(shape: tuple[int, int]) -> None:
    """So the singular values of the update are those that were kept, of all deltas together."""
    base, models = family(3, shape)
    kept = torch.cat([torch.linalg.svdvals(model - base)[:3] for model in models]).sort(descending=True).values
    update = merge(("tsvm", ()), models, base, values()) - base
    torch.testing.assert_close(torch.linalg.svdvals(update)[:9], kept)
    assert torch.linalg.svdvals(update)[9:].max() < 1e-5


def test_one_model_is_truncated_or_kept_whole() -> None:
    base, (model,) = family(1)
    torch.testing.assert_close(merge(ALL, [model], base, values()), model, rtol=0, atol=1e-6)
    half: Variant = ("tsvm", (("ranks", "searched"),))
    found = merge(half, [model], base, values(rank=0.5)) - base
    torch.testing.assert_close(found, svd(model - base).top(5).product(), rtol=0, atol=1e-6)


def test_copies_are_added_once() -> None:
    base, (model,) = family(1)
    torch.testing.assert_close(merge(ALL, [model] * 3, base, values()), model, rtol=0, atol=1e-6)
    found = merge(("tsvm", ()), [model] * 3, base, values()) - base
    torch.testing.assert_close(found, svd(model - base).top(3).product(), rtol=0, atol=1e-6)


def test_a_delta_of_nothing_changes_nothing() -> None:
    """It has no directions, so the others' are as they would be without it, of as many models."""
    base, models = family(2)
    found = merge(ALL, [*models, base], base, values())
    torch.testing.assert_close(found, merge(ALL, models, base, values()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 64), (7, 300)])
def test_the_number_of_threads_does_not_matter(shape: tuple[int, int]) -> None:
    """To the last bit, of small matrices too."""
    before, found = torch.get_num_threads(), []
    base, models = family(3, shape)
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        try:
            found.append(merge(("tsvm", ()), models, base, values()))
        finally:
            torch.set_num_threads(before)
    assert all(torch.equal(other, found[0]) for other in found[1:])


@pytest.mark.parametrize("name", ["tsvm", "tsvm_robust"])
@pytest.mark.parametrize("ranks", ["fixed", "searched"])
@pytest.mark.parametrize("shape", [(3, 7, 11), (3, 11, 7)])
def test_an_expert_that_no_model_has_changed_stays_the_bases(name: str, ranks: str, shape: tuple[int, ...]) -> None:
    """Of stacked experts; the others are merged as they would be alone."""
    base, models = family(2, shape)
    for model in models:
        model[1] = base[1]
    variant: Variant = (name, (("ranks", ranks),))
    given = values() if ranks == "fixed" else values(rank=1.0)
    found = merge(variant, models, base, given)
    assert torch.equal(found[1], base[1])
    alone = merge(variant, [model[2] for model in models], base[2], given)
    assert not torch.equal(alone, base[2])
    torch.testing.assert_close(found[2], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("keep", ["share", "all"])
@pytest.mark.parametrize("weights", [None, (0.5, 0.0, 1.5)])
def test_searched_ranks_at_their_neutral_value_are_the_fixed_ones(keep: str, weights: Any) -> None:
    base, models = family(3)
    own = (("keep", keep), ("weights", "fixed" if weights is None else "searched"))
    given = {} if weights is None else {"weight": weights}
    fixed = merge(("tsvm", own), models, base, values(0.7, **given))
    searched = merge(("tsvm", (*own, ("ranks", "searched"))), models, base, values(0.7, rank=1.0, **given))
    torch.testing.assert_close(searched, fixed, rtol=0, atol=1e-5)


def test_float16_is_good_to_a_part_in_a_thousand() -> None:
    base, models = family(3)
    exact = merge(("tsvm", ()), models, base, values())
    for ranks in ((), (("ranks", "searched"),)):
        stored = merge(("tsvm", (*ranks, ("stored", "float16"))), models, base, values(rank=1.0))
        assert not torch.equal(stored, exact)
        assert (stored - exact).abs().max() < 2e-3 * (exact - base).abs().max()


def test_at_least_one_triple_of_each_delta_is_kept() -> None:
    """Of a matrix with fewer rows than there are models."""
    base, models = family(3, (2, 9))
    kept = [svd(model - base).top(1) for model in models]
    wanted = torch.stack(orthogonal_updates(kept)).sum(0)
    torch.testing.assert_close(merge(("tsvm", ()), models, base, values()) - base, wanted)


def test_the_room_that_is_announced_depends_on_what_is_searched() -> None:
    method = methods.load("tsvm")
    sizes = {
        name: method.prepared_bytes((100, 60), 3, method.resolve(options))
        for name, options in {
            "one": {}, "half": {"stored": "float16"}, "each": {"weights": "searched"}, "ranks": {"ranks": "searched"},
        }.items()
        if method.prepared_bytes is not None
    }  # fmt: skip
    assert sizes["one"] == 4 * 6000 + 8
    assert sizes["half"] == 2 * 6000 + 8
    assert sizes["each"] == 3 * sizes["one"]
    assert sizes["ranks"] == 12 + (60 + 3) * (8 + 4 * 160)


def test_memory_of_decompositions_is_announced() -> None:
    """Of matrices: deltas, their vectors, and what LAPACK takes for the shorter side."""
    method = methods.load("tsvm")
    assert method.working_bytes((100, 60), 4, method.resolve({})) == 16 * 6000 * 4 + 48 * 60**2
    assert method.working_bytes((6000,), 4, method.resolve({})) == 0
