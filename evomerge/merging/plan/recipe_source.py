"""A recipe as a source of tensors: merges of merges, without a model in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints import TensorSpec
from evomerge.checkpoints.tensor_files.mapped import content_digest
from evomerge.merging.plan.merge_plan import MergePlan

Prepare = Callable[[Sequence[str]], Iterable[tuple[str, Mapping[str, torch.Tensor]]]]
"""Gives the prepared arrays of tensors, by name."""

Kept = Callable[[str], torch.Tensor | None]
"""Gives a merged tensor by name, or None where it is not kept."""


class RecipeSource:
    """The model of a recipe, of which each tensor is merged when it is asked for.

    The source itself keeps no merged tensor: it takes no memory but that of the tensors which it has given and their
    readers still hold, and the blocks that one merge computes in. Whoever merges with it may keep them, and what the
    recipe's method prepares; else that is made anew for every tensor. See
    :class:`~evomerge.checkpoints.CheckpointSource`.

    Args:
        plan: The recipe's plan.
        merge: Merges one tensor of it on the CPU, into new memory.
        prepare: Prepares what its method needs, for tensors by name.
        kept: Gives a merged tensor by name, or None where it is not kept; without it none is.

    Attributes:
        plan: The recipe's plan.
        prepare: See above.
    """

    def __init__(
        self,
        plan: MergePlan,
        merge: Callable[[str], torch.Tensor],
        prepare: Prepare,
        kept: Kept | None = None,
    ) -> None:
        self.plan = plan
        self.prepare = prepare
        self._merge = merge
        self._kept = kept or (lambda name: None)

    @property
    def path(self) -> Path:
        """The folder of the checkpoint that config, tokenizer and templates come from."""
        return self.plan.outputs.template.path

    @property
    def config(self) -> Mapping[str, Any]:
        """The config of the recipe's model."""
        return self.plan.outputs.config

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Type and shape of every tensor by name."""
        return self.plan.specs

    @property
    def aliases(self) -> Mapping[str, str]:
        """Heads that repeat the input embeddings: name to name."""
        return self.plan.outputs.aliases

    def tensor(self, name: str) -> torch.Tensor:
        """The values of one tensor, merged now unless they are kept, and rounded as the recipe says.

        Raises:
            KeyError: If there is no such tensor.
            NonFinite: If it is not finite.
        """
        name = self.aliases.get(name, name)
        kept = self._kept(name)
        return self._merge(name) if kept is None else kept

    def in_place(self, name: str) -> bool:
        """Whether the tensor is kept; what is merged now is in new memory."""
        return self._kept(self.aliases.get(name, name)) is not None

    def file(self, name: str) -> Path:
        """The folder, for messages: no file holds a tensor of the recipe."""
        return self.path

    def fingerprint(self) -> str:
        """SHA-256 over all names, types, shapes and values; merges every tensor."""
        return content_digest(self.specs, self.tensor)

    def release(self) -> None:
        """Nothing: the checkpoints behind it are released by whoever opened them."""
