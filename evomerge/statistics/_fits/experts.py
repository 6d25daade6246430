"""Several models in the memory of one: their parameters side by side, and logits of any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.func import functional_call

from evomerge.checkpoints import CheckpointSource
from evomerge.merging import LiveModel
from evomerge.statistics._layerwise.matrices import write

Ids = Sequence[int]


class Experts:
    """The parameters of some models of one form, all in memory.

    Args:
        live: A model of that form; its own weights are overwritten.
        sources: The models' weights.

    Attributes:
        parameters: Of each model, its parameters by their names in the live model.
    """

    def __init__(self, live: LiveModel, sources: Sequence[CheckpointSource]) -> None:
        self.model = live.model
        self.parameters: list[dict[str, torch.Tensor]] = []
        for source in sources:
            write(live, {name: source.tensor(name) for name in live.places})
            self.parameters.append({name: one.detach().clone() for name, one in live.model.named_parameters()})

    def __len__(self) -> int:
        """Number of models."""
        return len(self.parameters)

    @torch.no_grad()
    def logits(self, number: int, ids: Ids) -> torch.Tensor:
        """Logits of one model, (tokens, vocabulary)."""
        return self.run(self.parameters[number], ids)

    def run(self, parameters: Mapping[str, torch.Tensor], ids: Ids) -> torch.Tensor:
        """Logits of any parameters; gradients flow to them where they are wanted."""
        given = {"input_ids": torch.tensor([list(ids)], device=self.model.device), "use_cache": False}
        logits: torch.Tensor = functional_call(self.model, dict(parameters), (), given).logits
        return logits[0].float()
