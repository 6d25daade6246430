"""What a method says it needs to know of texts, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch

from evomerge.contracts.statistics_cases import statistics_for
from evomerge.errors import InputError
from evomerge.methods import Coefficients, MergeMethod, Need, Statistics, TensorContext, TensorSources
from evomerge.methods._shared.needs import sound
from evomerge.recipe import Coefficient

CONTEXT = TensorContext("model.layers.0.mlp.up_proj.weight", layer=0, kind="mlp")
OWN, OF_BASE, SHARED = Need("snip"), Need("snip", of="base"), Need("channel_abs", of="base", texts="shared")


def _prepare(
    context: TensorContext,
    base: torch.Tensor | None,
    models: Sequence[torch.Tensor],
    options: Mapping[str, Any],
    statistics: Statistics,
) -> dict[str, torch.Tensor]:
    assert set(statistics) == {"snip", "base:channel_abs"}
    (channels,) = statistics["base:channel_abs"]
    assert channels is not None
    return {"sum": sum((own for own in statistics["snip"] if own is not None), torch.zeros(2, 2)) * channels}


def _merge(context: TensorContext, sources: TensorSources, values: Coefficients, out: torch.Tensor) -> None:
    out.copy_(sources.models[0] + sources.prepared["sum"])


METHOD = MergeMethod(
    name="added",
    summary="the statistics themselves",
    paper="none",
    merge=_merge,
    coefficients=lambda options: (Coefficient("weight", 0, 1, 1),),
    prepare=_prepare,
    prepared_bytes=lambda shape, n_models, options: 16,
    needs=lambda options: (OWN, SHARED),
)
MODELS = [torch.zeros(2, 2)] * 2


def test_prepare_gets_the_statistics_that_are_needed() -> None:
    known = {
        "snip": (torch.ones(2, 2), torch.full((2, 2), 2.0)),
        "base:channel_abs": (torch.tensor([1.0, 10.0]),),
        "gram": (None, None),
    }
    sources, out = METHOD.sources(CONTEXT, MODELS[0], MODELS, {}, known), torch.empty(2, 2)
    METHOD.merge(CONTEXT, sources, {}, out)
    assert out.tolist() == [[3, 30], [3, 30]]


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(InputError) as caught:
        METHOD.sources(CONTEXT, MODELS[0], MODELS, {}, {"snip": (None,)})
    first, second = caught.value.problems
    assert first == f"method added: expected 2 arrays of statistic 'snip' for tensor '{CONTEXT.name}', got 1"
    assert second.startswith("method added needs statistic 'channel_abs' of the base on shared texts for tensor")


def test_one_statistic_of_base_and_models_has_two_names() -> None:
    assert [need.key for need in (OWN, OF_BASE, SHARED)] == ["snip", "base:snip", "base:channel_abs"]
    assert [need.count(3) for need in (OWN, OF_BASE, SHARED)] == [3, 3, 1]


def test_arrays_of_another_model_are_refused() -> None:
    found = sound("x", "gram", [torch.ones(2).double(), torch.ones(2, 2)], [(2, 2), (2,)])
    assert found is not None
    assert [array.dtype for array in found] == [torch.float32] * 2
    assert sound("x", "gram", [None, torch.ones(2)], [(2,)]) is None
    with pytest.raises(InputError) as caught:
        sound("x", "gram", [None, torch.ones(3), torch.tensor([1.0, torch.nan])], [(2, 2), (2,)])
    first, second = caught.value.problems
    assert "'gram' of model 1 for tensor 'x' has shape (3,); expected (2, 2) or (2,)" in first
    assert "'gram' of model 2 for tensor 'x' is not finite" in second


def test_made_up_statistics_have_the_layout_of_real_ones() -> None:
    needs = (OWN, OF_BASE, SHARED, Need("gram"), Need("dam"))
    base, models = torch.zeros(4, 3), [torch.ones(4, 3), torch.full((4, 3), 2.0)]
    found = statistics_for(needs, base, models)
    shapes = {key: [None if a is None else tuple(a.shape) for a in arrays] for key, arrays in found.items()}
    assert shapes == {
        "snip": [(4, 3)] * 2,
        "base:snip": [(4, 3)] * 2,
        "base:channel_abs": [(3,)],
        "gram": [(3, 3)] * 2,
        "dam": [(3,)] * 2,
    }
    turned = statistics_for(needs, base, models[::-1])
    assert torch.equal(turned["gram"][0], found["gram"][1])  # type: ignore[arg-type]
    assert torch.linalg.eigvalsh(found["gram"][0]).min() > 0  # type: ignore[arg-type]
    assert statistics_for([Need("gram")], None, [torch.ones(3)])["gram"] == (None,)
