"""Sensitivities by which Sens-Merging weighs experts layer by layer (Liu et al. 2025, arXiv:2502.12420).

An expert counts for more in a layer that its own task is sensitive to, and where its answers to the other tasks are far
from those of their experts. With a temperature of 1 all weights are within some percent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.checkpoints import CheckpointSource
from evomerge.merging import LiveModel
from evomerge.statistics._fits.experts import Experts
from evomerge.statistics._layerwise.matrices import write
from evomerge.statistics._shared.collection import Limits, collect
from evomerge.statistics._shared.key import Wanted
from evomerge.statistics._shared.texts import Calibration

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sensitivities:
    """Sensitivities of experts.

    Attributes:
        groups: Names of the groups of tensors: layers, and what is outside of them.
        alpha: Of each expert, how sensitive its own task is to each group, (experts, groups), of length 1.
        tau: Of each expert, how far its answers are from those of the experts of the other tasks; they add up to 1.
    """

    groups: tuple[str, ...]
    alpha: NDArray[np.float64]
    tau: NDArray[np.float64]

    def shares(self, temperature: float) -> NDArray[np.float64]:
        """Shares of the experts in each group, (experts, groups); those of a group add up to 1.

        Args:
            temperature: Of the softmax over experts; the higher, the more alike shares are.
        """
        scaled = self.alpha * self.tau[:, None] / temperature
        powers = np.exp(scaled - scaled.max(axis=0))
        return powers / powers.sum(axis=0)  # type: ignore[no-any-return]


def measure(
    live: LiveModel,
    experts: Sequence[CheckpointSource],
    texts: Sequence[Calibration],
    groups: Mapping[str, str],
    limits: Limits | None = None,
    say: Say = lambda _: None,
) -> Sensitivities:
    """Measures sensitivities: a backward pass over each expert's texts, a forward pass of each over all texts.

    Args:
        live: A model of the experts' form; its own weights are overwritten.
        experts: The experts, in that form.
        texts: Each one's own.
        groups: Name on disk to the name of its group.
        limits: Bounds of the backward passes.
        say: Told of progress.
    """
    names = tuple(dict.fromkeys(groups.values()))
    alpha = np.zeros((len(experts), len(names)))
    for number, (expert, own) in enumerate(zip(experts, texts, strict=True)):
        say(f"expert {number + 1} of {len(experts)}: gradients on its own texts")
        write(live, {name: expert.tensor(name) for name in live.places})
        for window in collect(live, own, {"snip": Wanted("snip")}, limits):
            for name, scores in window.arrays.get("snip", {}).items():
                if name in groups:
                    alpha[number, names.index(groups[name])] += float(scores.double().sum()) / len(own.passages)
    say("answers of all experts to all texts")
    apart = _distances(Experts(live, experts), texts)
    return Sensitivities(names, _normalised(alpha, 2), _normalised(apart.sum(axis=1)[None], 1)[0])


def _distances(experts: Experts, texts: Sequence[Calibration]) -> NDArray[np.float64]:
    """Mean distance of logits from those of a task's own expert, (experts, tasks)."""
    found = np.zeros((len(experts), len(texts)))
    for task, own in enumerate(texts):
        for passage in own.passages:
            wanted = experts.logits(task, passage.ids.tolist())
            for number in range(len(experts)):
                if number != task:
                    away = (experts.logits(number, passage.ids.tolist()) - wanted).norm(dim=-1).mean()
                    found[number, task] += float(away) / len(own.passages)
    return found


def _normalised(rows: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Rows of length 1; equal entries where a row is zero."""
    sizes = np.linalg.norm(rows, ord=order, axis=1, keepdims=True)
    even = np.full_like(rows, 1.0 / rows.shape[1])
    return np.where(sizes > 0, rows / np.where(sizes > 0, sizes, 1.0), even)
