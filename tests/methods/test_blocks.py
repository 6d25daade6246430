"""Element-wise methods do not see where a tensor's blocks end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import family, merge_tensor, random_values, variants
from evomerge.contracts.statistics_cases import statistics_for
from evomerge.kernels import BLOCK
from evomerge.methods import MergeMethod, Statistics
from tests.methods.one_tensor import merge_given


@pytest.mark.parametrize("name", methods.names())
def test_large_tensors_are_merged_like_small_ones(name: str) -> None:
    """More than one block, and a remainder: elements repeat, so the merged ones must too, except for random masks."""
    method = methods.load(name)
    count, few, repeats = method.models[1] or 3, BLOCK // 64 // 4, BLOCK // 64 + 3
    base, models = family(count, (64,))
    # Repeated too, so that quantiles, which are rounded to elements, fall on equal ones.
    less = base.repeat(few), [model.repeat(few) for model in models]
    large = base.repeat(repeats), [model.repeat(repeats) for model in models]
    everything = {"density": (1.0,) * count, "gamma": (0.0,) * count, "select_topk": 1.0, "ratio": 1.0}
    everything["trim_density"] = (1.0,) * count
    for options in variants(method):
        values = random_values(method, options, count)
        values |= {name: value for name, value in everything.items() if name in values}
        needs = statistics_for(method.needs(options), base, models)
        small = _merged(method, options, (less, few), values, needs)[:64]
        merged = _merged(method, options, (large, repeats), values, needs).view(repeats, 64)
        torch.testing.assert_close(merged, small.expand(repeats, 64), rtol=0, atol=1e-6, msg=str(options))


def _merged(
    method: MergeMethod,
    options: Mapping[str, Any],
    tensors: tuple[tuple[torch.Tensor, list[torch.Tensor]], int],
    values: Mapping[str, Any],
    needs: Statistics,
) -> torch.Tensor:
    """The merge of tensors that repeat some elements so many times, as their statistics then do."""
    (base, models), times = tensors
    if not needs:
        return merge_tensor(method, options, (base, models), values)
    repeated = {key: tuple(None if a is None else a.repeat(times) for a in arrays) for key, arrays in needs.items()}
    return merge_given((method.name, tuple(options.items())), models, base, values, repeated)
