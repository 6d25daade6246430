"""Tensors that are weighted sums of stored tensors and low-rank products, which need not be multiplied out one by one.

Where a method only adds models up, each with a factor, and some of them are adapters on a checkpoint, the result is the
checkpoint's tensor and one product: the adapters' thin matrices side by side, of all ranks together. That takes one
matrix product instead of one for each adapter, and no memory for the adapters' whole tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from evomerge.checkpoints import CheckpointSource, LowRank, stored_part
from evomerge.kernels import Mixture, Part, flat, mix
from evomerge.merging.plan.inputs import Input

# Elements that are computed at once, in float32: 4 MiB, as much as the caches hold. An accelerator wants more.
_BLOCK = 1 << 20
_DEVICE_BLOCK = 1 << 26


@dataclass(frozen=True)
class LowRankSum:
    """The parts of a tensor's inputs: the stored tensors that they are sums of, each once, and low-rank products.

    Attributes:
        reads: The stored tensors.
        places: For each input, the position of its stored tensor.
        products: For each input, the source and the name of the product that is added to it, or None.
        based: Whether the first input is the base's.
    """

    reads: tuple[Input, ...]
    places: tuple[int, ...]
    products: tuple[tuple[CheckpointSource, str] | None, ...]
    based: bool

    @classmethod
    def of(cls, inputs: Sequence[Input], based: bool) -> LowRankSum | None:
        """The parts of some inputs; None where no input is a low-rank product on a stored tensor.

        Args:
            inputs: Inputs of one tensor. Of rounded ones, and of parts of tensors, the sum is another one.
            based: Whether the first is the base's.
        """
        if not all(entry.name in entry.source.specs and entry.exact and entry.rows is None for entry in inputs):
            return None
        reads: dict[object, Input] = {}
        places, products = [], []
        for entry in inputs:
            source, name, product = stored_part(entry.source, entry.name)
            stored = replace(entry, source=source, name=name)
            products.append(None if product is None else (entry.source, entry.name))
            reads.setdefault(stored.key, stored)
            places.append(list(reads).index(stored.key))
        if not any(products):
            return None
        return cls(tuple(reads.values()), tuple(places), tuple(products), based)

    @property
    def working_bytes(self) -> int:
        """Memory for the thin matrices side by side, beside the block that is computed."""
        every = self._products([1.0] * len(self.products))
        return sum((product.left.numel() + product.right.numel()) * 4 for product, _ in every)

    def write(
        self, tensors: Sequence[torch.Tensor], base: Sequence[float], models: Sequence[float], out: torch.Tensor
    ) -> None:
        """Writes the weighted sum of the inputs.

        Args:
            tensors: The stored tensors, on the device that this is computed on.
            base: The terms of the base's factor; all factors of one stored tensor are added up exactly.
            models: The factor of each model.
            out: A matrix; overwritten. Computed in float32 and rounded once.
        """
        factors = [*([base] if self.based else []), *((own,) for own in models)]
        terms: list[list[float]] = [[] for _ in self.reads]
        for place, own in zip(self.places, factors, strict=True):
            terms[place] += own
        parts = [(tensor, math.fsum(own)) for tensor, own in zip(tensors, terms, strict=True)]
        products = list(self._products([math.fsum(own) for own in factors]))
        device = tensors[0].device
        left = torch.cat([own.left.to(device, torch.float32) * (own.scale * f) for own, f in products] or [_NONE], 1)
        right = torch.cat([own.right.to(device, torch.float32) for own, _ in products] or [_NONE], 0)
        rows, columns = out.shape
        step = max(1, (_BLOCK if device.type == "cpu" else _DEVICE_BLOCK) // max(1, columns))
        memory = torch.empty(min(step, rows), columns, dtype=torch.float32, device=device)
        for start in range(0, rows, step):
            end = min(start + step, rows)
            block = memory[: end - start]
            added = [Part(flat(tensor[start:end]), factor) for tensor, factor in parts if factor != 0.0]
            if added:
                mix(Mixture(None, added), block)
            else:
                block.zero_()
            if products:
                block.addmm_(left[start:end], right)
            out[start:end].copy_(block)

    def _products(self, factors: Sequence[float]) -> Iterator[tuple[LowRank, float]]:
        for named, factor in zip(self.products, factors, strict=True):
            product = None if named is None or factor == 0.0 else stored_part(*named)[2]
            if product is not None:
                yield product, factor


_NONE = torch.empty(0, 0)
