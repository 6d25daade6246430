"""Groups of a mixture's experts that are alike, by what routers said of tokens.

The rules of Li et al. 2024, Merge, then compress (MC-SMoE), https://arxiv.org/abs/2310.01334: experts that are used
most are at the heart of a group each, all others join the group whose heart got logits most like theirs. An expert's
weight in its group is how often it was used. Both come from the statistics ``router_logits`` and ``router_usage``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import InputError

Array = NDArray[np.float64]
# Added to norms and sums that may be zero, as in the authors' code.
_LEAST = float(np.finfo(np.float32).eps)


def likeness_of(products: Array) -> Array:
    """Cosines of what routers say of two experts, from 0 (opposite) to 1, ``(experts, experts)``.

    Args:
        products: Of the logits of two experts, added up or averaged over tokens, ``(experts, experts)``.
    """
    lengths = np.maximum(np.sqrt(products.diagonal()), _LEAST)
    found = (products / np.outer(lengths, lengths) + 1.0) / 2.0
    np.fill_diagonal(found, 1.0)
    return found


def shared_counts(usages: Sequence[Array], average: int) -> list[int]:
    """Numbers of groups of layers that have so many on average: more where experts are used more evenly.

    Args:
        usages: Of each layer, how often its experts are used.
        average: Mean number of groups, at least 1 and less than the number of experts.

    Raises:
        InputError: If that is no such number.
    """
    most = min(map(len, usages), default=0)
    if not 1 <= average < most:
        raise InputError(f"experts: expected 1 to {most - 1} on average, got {average}")
    raised = [np.where(np.arange(len(usage)) == int(np.argmax(usage)), 1.0, usage) for usage in usages]
    threshold = np.sort(np.concatenate(raised))[::-1][average * len(usages)]
    return [max(1, int((usage > threshold).sum())) for usage in raised]


def groups_of(usage: Array, likeness: Array, count: int) -> NDArray[np.int64]:
    """The group of each expert, ``(experts,)``: group 0 is that of the expert that is used most.

    Args:
        usage: How often each is used; of equal ones the first comes first.
        likeness: See :func:`likeness_of`.
        count: Number of groups.

    Raises:
        InputError: If there are fewer experts than groups, or no group.
    """
    if not 1 <= count <= len(usage):
        raise InputError(f"experts: expected 1 to {len(usage)} groups, got {count}")
    order = np.argsort(-usage, kind="stable")
    hearts = order[:count]
    found = np.zeros(len(usage), dtype=np.int64)
    found[hearts] = np.arange(count)
    for expert in order[count:]:
        found[expert] = int(np.argmax(likeness[expert, hearts]))
    return found


def weights_within(groups: NDArray[np.int64], usage: Array, power: float = 1.0) -> Array:
    """Each expert's weight in its group, ``usage ** power`` over the group's sum; alike where nobody is used.

    Args:
        groups: The group of each expert.
        usage: How often each is used.
        power: 1 is how often it is used, 0 makes all of a group count alike.
    """
    raised = np.power(usage, power)
    found = np.empty(len(usage))
    for group in np.unique(groups):
        own = groups == group
        total = raised[own].sum()
        found[own] = raised[own] / total if total > 0 else 1.0 / own.sum()
    return found
