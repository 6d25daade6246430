"""DAM's coefficients: for each expert one factor of each input column of each matrix, fitted once by gradient.

Gauthier-Caron et al. 2024, Merging in a Bottle (arXiv:2410.08371). On the texts of each expert the merged model is to
give what that expert gives; experts' logits are computed as they are needed, of the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.merging import LiveModel
from evomerge.statistics._fits.dam_terms import divergence, entropy, of_coefficients, squared_difference
from evomerge.statistics._fits.experts import Experts, Ids
from evomerge.statistics._fits.mofo import Mofo
from evomerge.statistics._fits.settings import DamSettings, Terms
from evomerge.statistics._fits.state import Kept
from evomerge.statistics._layerwise.matrices import Matrix, matrices, write

Columns = Sequence[Mapping[str, torch.Tensor]]
"""Of each expert, the factors of its columns by the matrix's name on disk."""


class DamFit:
    """A merged model as a function of its coefficients.

    It keeps the weights of all experts in memory, and those of the merged model with its gradients.

    Args:
        live: A model of the experts' form; its own weights are overwritten.
        experts: The experts, in that form.
        others: Name on disk to tensors that are no matrix with coefficients; their mean where they are not given.

    Attributes:
        names: Names on disk of the matrices that have coefficients: those of linear modules, without a head that is
            the input embedding.
    """

    def __init__(
        self,
        live: LiveModel,
        experts: Sequence[CheckpointSource],
        others: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self._experts = Experts(live, experts)
        embedded = {id(one.weight) for one in live.model.modules() if isinstance(one, torch.nn.Embedding)}
        known = {name: one for name, one in matrices(live).items() if id(one.module.weight) not in embedded}
        self._matrices: dict[str, Matrix] = known
        self._targets = {name: live.places[name][0].target for name in known}
        self.names = tuple(known)
        write(live, {name: _mean(experts, name) for name in live.places})
        write(live, others or {})
        self._rest = {name: one.detach().clone() for name, one in live.model.named_parameters()}

    def uniform(self) -> list[dict[str, torch.Tensor]]:
        """Coefficients of the mean: one over the number of experts."""
        count = len(self._experts)
        return [{name: torch.full((self._width(name),), 1.0 / count) for name in self.names} for _ in range(count)]

    def logits(self, columns: Columns, ids: Ids) -> torch.Tensor:
        """Logits of the merged model, (tokens, vocabulary); gradients flow to the coefficients."""
        return self._experts.run({**self._rest, **self._merged(columns)}, ids)

    def expert_logits(self, expert: int, ids: Ids) -> torch.Tensor:
        """Logits of one expert."""
        return self._experts.logits(expert, ids)

    def text_terms(self, merged: torch.Tensor, expert: torch.Tensor, terms: Terms) -> torch.Tensor:
        """The terms of one text, as sums over its tokens; see `gradient` for what they are divided by."""
        total = merged.new_zeros(())
        if terms.squares:
            total = total + terms.squares * squared_difference(merged, expert)
        if terms.entropy:
            total = total + terms.entropy * entropy(merged, terms.temperature)
        return total

    @torch.enable_grad()
    def gradient(
        self, columns: Columns, batch: Sequence[Sequence[Ids]], terms: Terms
    ) -> tuple[float, list[dict[str, torch.Tensor]]]:
        """Loss and gradient.

        The divergence is divided by the texts and by the tokens of an expert's batch, as published; squares and entropy
        by the tokens alone.

        Args:
            columns: Coefficients.
            batch: Of each expert, some of its texts.
            terms: Weights of the terms.
        """
        leaves = [{name: one.detach().clone().requires_grad_() for name, one in own.items()} for own in columns]
        flat = [one for own in leaves for one in own.values()]
        loss = of_coefficients([[own[name] for own in leaves] for name in self.names], terms)
        parts = [loss] if loss.requires_grad else []
        total, sums = float(loss.detach()), [torch.zeros_like(one) for one in flat]
        for expert, texts in enumerate(batch):
            tokens = sum(map(len, texts))
            for ids in texts:
                merged, wanted = self.logits(leaves, ids), self.expert_logits(expert, ids)
                one = terms.divergence * divergence(merged, wanted, terms.temperature) / (len(texts) * tokens)
                one = one + self.text_terms(merged, wanted, terms) / tokens
                total += float(one.detach())
                _add(sums, torch.autograd.grad(one, flat, allow_unused=True))
        for part in parts:
            _add(sums, torch.autograd.grad(part, flat, allow_unused=True))
        given = iter(sums)
        return total, [{name: next(given) for name in own} for own in leaves]

    def _merged(self, columns: Columns) -> dict[str, torch.Tensor]:
        """Merged matrices, summed in float32 and of the type that the model computes in."""
        found = {}
        for name, target in self._targets.items():
            parts = []
            for expert, own in zip(self._experts.parameters, columns, strict=True):
                factors = own[name].to(expert[target].device)  # coefficients stay on the CPU, which fits them
                parts.append(expert[target] * (factors[:, None] if self._matrices[name].transposed else factors))
            found[target] = torch.stack(parts).sum(0).to(self._rest[target].dtype)
        return found

    def _width(self, name: str) -> int:
        weight: Any = self._matrices[name].module.weight
        return int(weight.shape[0 if self._matrices[name].transposed else 1])


def fit(
    model: DamFit,
    texts: Sequence[Sequence[Ids]],
    settings: DamSettings | None = None,
    say: Callable[[str], None] = lambda _: None,
    kept: Kept | None = None,
) -> list[dict[str, torch.Tensor]]:
    """Fits coefficients, beginning at the mean, or where a fit that was killed has been.

    Args:
        model: The merged model.
        texts: Of each expert, its texts as token ids; whoever has fewer begins again.
        settings: How.
        say: Told of progress.
        kept: Keeps how far the fit is, to go on from there; None: nothing is kept.

    Returns:
        Of each expert, the factors of its columns, (in,) float32 on the CPU, by the matrix's name on disk.
    """
    settings = settings or DamSettings()
    columns = model.uniform()
    flat = [one for own in columns for one in own.values()]
    optimiser = Mofo.of(flat, settings.rate, settings.share, settings.decay, settings.largest)
    epoch = list(_batches(texts, settings.batch))
    steps = epoch * settings.epochs
    done = 0 if kept is None else kept.restore([*flat, *optimiser.moments])
    optimiser.steps = done
    for step in range(done, len(steps)):
        loss, slopes = model.gradient(columns, steps[step], settings.terms)
        optimiser.step(flat, [one for own in slopes for one in own.values()])
        if kept is not None and step + 1 < len(steps):
            kept.keep([*flat, *optimiser.moments], step + 1, end=(step + 1) % len(epoch) == 0)
        say(f"step {step + 1} of {len(steps)}: loss {loss:.4g}")
    return columns


def _batches(texts: Sequence[Sequence[Ids]], size: int) -> Iterator[list[list[Ids]]]:
    most = max(map(len, texts))
    for start in range(0, most, size):
        yield [[own[place % len(own)] for place in range(start, min(start + size, most))] for own in texts]


def _mean(experts: Sequence[CheckpointSource], name: str) -> torch.Tensor:
    total = experts[0].tensor(name).float().clone()
    for expert in experts[1:]:
        total += expert.tensor(name).float()
    return total / len(experts)


def _add(sums: Sequence[torch.Tensor], more: Sequence[torch.Tensor | None]) -> None:
    for total, one in zip(sums, more, strict=True):
        if one is not None:
            total += one.detach().to(total.device)
