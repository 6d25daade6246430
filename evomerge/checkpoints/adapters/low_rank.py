"""The product of two thin matrices, which is the delta of a LoRA adapter."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class LowRank:
    """``scale * left @ right``, in the shape of the weight that it is added to.

    Attributes:
        left: ``(rows, rank)``, of any floating type; a view of a mapped file, perhaps transposed.
        right: ``(rank, columns)``.
        scale: Factor of the product.
    """

    left: torch.Tensor
    right: torch.Tensor
    scale: float

    @property
    def rank(self) -> int:
        """Number of columns of the left matrix."""
        return self.left.shape[1]

    def add_to(self, out: torch.Tensor) -> None:
        """Adds the product to a float32 matrix, in float32 whatever the factors are stored in."""
        out.addmm_(self.left.to(out), self.right.to(out), alpha=self.scale)
