"""Attention of rows that begin alike: to the shared beginning in one call for all of them, to the rest row by row.

The two results are put together by their sums of exponentials, as cascade inference does (Ye et al. 2024,
https://flashinfer.ai/2024/02/02/cascade-inference.html). The beginning is kept once; its keys are read once for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.fitness.inference.generation.segments import Group

# What ``scaled_dot_product_attention`` runs on a CPU; it returns the logarithms of the sums beside the result.
_attention_and_sums = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
DTYPES = frozenset({torch.float32, torch.bfloat16}) if _attention_and_sums is not None else frozenset()


def in_two(
    query: torch.Tensor,
    cached: tuple[torch.Tensor, torch.Tensor],
    groups: Sequence[Group],
    masks: Sequence[torch.Tensor | None],
    lent: tuple[int, int],
    scaling: float | None,
) -> torch.Tensor:
    """Attention of a pass.

    Args:
        query: ``(heads, tokens, size)``.
        cached: Keys and values, ``(slots, capacity, key heads, size)``.
        groups: Of segments whose caches begin behind what is lent.
        masks: Of each, ``(rows, length, seen)``; None where everything is seen.
        lent: Slot and number of the tokens that all rows begin with.
        scaling: Of the products of queries and keys.

    Returns:
        ``(tokens, heads, size)``.
    """
    slot, count = lent
    keys, values = (cache[slot, :count].transpose(0, 1)[None] for cache in cached)
    shared, shared_sums = (part[0].transpose(0, 1) for part in _attended(query[None], keys, values, None, scaling))
    made = shared.new_empty(shared.shape)
    sums = shared_sums.new_empty(shared_sums.shape)
    for group, mask in zip(groups, masks, strict=True):
        own_keys, own_values = (group.cached(cache, None) for cache in cached)
        result, own_sums = _attended(group.queries(query), own_keys, own_values, mask, scaling)
        group.put(made, result)
        group.put(sums, own_sums)
    # The share of the row's own part in the sum of all exponentials.
    share = torch.sigmoid(sums - shared_sums)
    return torch.lerp(shared.float(), made.float(), share).to(query.dtype)


def _attended(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of ``(rows, heads, length, size)`` queries to ``(rows, key heads, seen, size)`` keys and values.

    Returns:
        ``(rows, heads, length, size)``, and the logarithm of each sum of exponentials, ``(rows, heads, length, 1)`` in
        float32.
    """
    rows, heads, length, _ = query.shape
    query, mask = folded(query, keys.shape[1], mask)
    assert _attention_and_sums is not None
    made, sums = _attention_and_sums(query, keys, values, attn_mask=mask, scale=scaling)
    return made.reshape(rows, heads, length, -1), sums.reshape(rows, heads, length, 1)


def folded(query: torch.Tensor, heads: int, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Queries whose heads share keys as further queries of so many heads, so that no key is repeated.

    Args:
        query: ``(rows, query heads, length, size)``.
        heads: Of the keys.
        mask: ``(rows, length, seen)``.

    Returns:
        ``(rows, heads, sharing * length, size)`` queries, and ``(rows, 1, sharing * length, seen)``.
    """
    rows, count, length, size = query.shape
    sharing = count // heads
    query = query.reshape(rows, heads, sharing * length, size)
    if mask is not None:
        mask = mask[:, None].expand(-1, sharing, -1, -1).reshape(rows, 1, sharing * length, -1)
    return query, mask
