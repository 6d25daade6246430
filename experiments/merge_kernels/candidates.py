"""The same three merges by the kernels of evomerge and by torch.compile.

All take flat bfloat16 tensors of one size: the base, three models, and memory for the result. What is kept of a delta
is given: a threshold with the index where its equals end for TIES, a random key for DARE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evomerge.kernels import BernoulliMask, Mixture, Part, Threshold, Window, mix
from evomerge.kernels.keys import key_words

WEIGHTS, DENSITY, SCALE = (0.5, 0.3, 0.4), 0.5, 0.7
METHODS = ("task_arithmetic", "ties", "dare_ties")


@dataclass(frozen=True)
class Work:
    """One tensor to merge; everything flat.

    Attributes:
        base: bfloat16.
        models: Three of the same size.
        thresholds: What TIES keeps of each delta.
        keys: The random keys of the deltas.
        out: Where the result goes.
    """

    base: torch.Tensor
    models: Sequence[torch.Tensor]
    thresholds: Sequence[Threshold]
    keys: Sequence[int]
    out: torch.Tensor


def by_evomerge(method: str, work: Work) -> None:
    """The kernels of this project; which form runs is chosen outside."""
    parts = []
    for model, weight, threshold, key in zip(work.models, WEIGHTS, work.thresholds, work.keys, strict=True):
        mask = {"task_arithmetic": None, "ties": Window(threshold), "dare_ties": BernoulliMask(key, DENSITY)}[method]
        factor = 1 / DENSITY if method == "dare_ties" else 1.0
        parts.append(Part(model, weight, weight, weight, mask, factor))
    elects = method != "task_arithmetic"
    mix(Mixture(work.base, parts, SCALE, elect=elects, divide=method == "ties"), work.out)


def _mixed(base: Any, deltas: Any, divide: bool) -> Any:
    """Whole tensors: elects a sign, adds what agrees, adds to the base."""
    votes = [delta * weight for delta, weight in zip(deltas, WEIGHTS, strict=True)]
    elected = torch.where(votes[0] + votes[1] + votes[2] >= 0, 1.0, -1.0)
    agrees = [(vote * elected > 0).float() for vote in votes]
    total = votes[0] * agrees[0] + votes[1] * agrees[1] + votes[2] * agrees[2]
    if divide:
        shares = [agree * weight for agree, weight in zip(agrees, WEIGHTS, strict=True)]
        divisor = shares[0] + shares[1] + shares[2]
        total = total / torch.where(divisor == 0, 1.0, divisor)
    return (base + SCALE * total).bfloat16()


def _task_arithmetic(base: Any, models: Any) -> Any:
    base = base.float()
    deltas = [(model.float() - base) * weight for model, weight in zip(models, WEIGHTS, strict=True)]
    return (base + SCALE * (deltas[0] + deltas[1] + deltas[2])).bfloat16()


def _ties(base: Any, models: Any, bits: Any, ends: Any) -> Any:
    base = base.float()
    index = torch.arange(base.numel())
    deltas = []
    for i, model in enumerate(models):
        delta = model.float() - base
        size = delta.view(torch.int32) & 0x7FFFFFFF
        deltas.append(delta * ((size > bits[i]) | ((size == bits[i]) & (index < ends[i]))))
    return _mixed(base, deltas, True)


def _noise(count: int, words: Any) -> Any:
    state = torch.arange(count, dtype=torch.int32)
    for word in words:
        state = state ^ word
        state = (state ^ ((state >> 16) & 0xFFFF)) * -2048144789
        state = (state ^ ((state >> 13) & 0x7FFFF)) * -1028477387
        state = state ^ ((state >> 16) & 0xFFFF)
    return ((state >> 8) & 0xFFFFFF).float() * 2.0**-24


def _dare_ties(base: Any, models: Any, words: Any) -> Any:
    base = base.float()
    deltas = [
        (model.float() - base) * (_noise(base.numel(), words[i]) < DENSITY) * (1 / DENSITY)
        for i, model in enumerate(models)
    ]
    return _mixed(base, deltas, False)


def by_torch_compile() -> Callable[[str, Work], None]:
    """Inductor's fusion of the formulas on whole tensors; one compilation for all sizes."""
    functions = {
        "task_arithmetic": torch.compile(_task_arithmetic, dynamic=True),
        "ties": torch.compile(_ties, dynamic=True),
        "dare_ties": torch.compile(_dare_ties, dynamic=True),
    }

    def run(method: str, work: Work) -> None:
        more: tuple[Any, ...] = ()
        if method == "ties":
            more = (
                torch.tensor([threshold.bits for threshold in work.thresholds]),
                torch.tensor([threshold.end for threshold in work.thresholds]),
            )
        if method == "dare_ties":
            words = torch.tensor([key_words(key, 0) for key in work.keys])
            more = (torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32),)
        work.out.copy_(functions[method](work.base, list(work.models), *more))

    return run
