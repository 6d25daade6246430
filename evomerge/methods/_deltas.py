"""The product behind all methods on deltas: keep some elements, elect signs, mix, add to the base.

A delta is a model minus the base (the literature's task vector). One block of every delta is in memory at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Protocol

import torch

from evomerge.kernels import fill, flat, magnitude_bits, spans, total
from evomerge.methods._declaration import Coefficients, Sources, TensorContext
from evomerge.methods._sums import weighted_sum
from evomerge.methods._vocabulary import per_model, shared

Keep = Callable[[torch.Tensor, slice], torch.Tensor]
"""Sets the elements of a delta's block that are not kept to zero, in place. The slice says which block it is."""


class Sparsifier(Protocol):
    """Decides which elements of the deltas of one tensor are kept."""

    def keep(self, model: int, density: float) -> Keep:
        """How a fraction ``density`` of the model's delta is kept."""


Sparsify = Callable[[TensorContext, Sources], Sparsifier]
"""Gives the sparsifier of one tensor."""


def delta(base: torch.Tensor, model: torch.Tensor, span: slice) -> torch.Tensor:
    """One block of a delta in float32, as new memory. Base and model are flat."""
    return model[span].to(torch.float32) - base[span].to(torch.float32)


def delta_bits(base: torch.Tensor, model: torch.Tensor) -> Iterator[torch.Tensor]:
    """The magnitudes of a delta, block by block, as :func:`evomerge.kernels.magnitude_bits`."""
    base, model = flat(base), flat(model)
    for span in spans(base.numel()):
        yield magnitude_bits(delta(base, model, span))


def merging(
    sparsify: Sparsify | None = None,
) -> Callable[[TensorContext, Sources, Coefficients, torch.Tensor], None]:
    """A method on deltas: its ``merge``, from the way it thins deltas out (None keeps all of them)."""

    def merge(context: TensorContext, sources: Sources, coefficients: Coefficients, out: torch.Tensor) -> None:
        """Writes the base plus lambda times the mixed deltas. Where nothing is added the base stays bit by bit."""
        if out.numel() == 0:
            return
        ballot = _Ballot(context, sources, coefficients, sparsify)
        scale = shared(coefficients["lambda"])
        sign_of_ties = functools.cache(lambda: _sign_of_ties(ballot, sources, coefficients))

        def compute(span: slice) -> torch.Tensor:
            # Negated and taken off, with no negative zeros: so the base's own negative zeros stay where nothing is
            # added.
            update = ballot.mixed(span, sign_of_ties).mul_(-scale).add_(0.0)
            return ballot.base[span].to(torch.float32) - update

        fill(out, compute)

    return merge


def net_sign(context: TensorContext, sources: Sources, coefficients: Coefficients, sparsify: Sparsify) -> int:
    """The sum of the signs elected over one tensor: positive if most elements vote plus."""
    assert sources.base is not None
    return _Ballot(context, sources, coefficients, sparsify).net_sign() if sources.base.numel() else 0


def _sign_of_ties(ballot: _Ballot, sources: Sources, coefficients: Coefficients) -> float:
    if sources.options["tie"] == "positive":
        return 1.0
    counted = ballot.net_sign() if sources.survey is None else sources.survey.net_sign(coefficients)
    return float((counted > 0) - (counted < 0))


class _Ballot:
    """The deltas of one tensor under given coefficients; models of weight zero take no part."""

    def __init__(
        self, context: TensorContext, sources: Sources, coefficients: Coefficients, sparsify: Sparsify | None
    ) -> None:
        assert sources.base is not None
        weights = per_model(coefficients["weight"])
        voters = [model for model, weight in enumerate(weights) if weight != 0]
        self.base = flat(sources.base)
        self.options = sources.options
        self.weights = [weights[model] for model in voters]
        self.models = [flat(sources.models[model]) for model in voters]
        self.keeps: list[Keep | None] = [None] * len(voters)
        if sparsify is not None:
            sparsifier, densities = sparsify(context, sources), per_model(coefficients["density"])
            self.keeps = [self._keep(sparsifier, model, place, densities[model]) for place, model in enumerate(voters)]

    def net_sign(self) -> int:
        """The sum of the elected signs."""
        counted = 0
        for span in spans(self.base.numel()) if self.models else ():
            votes = self.votes(self.kept(span))
            counted += int(weighted_sum(votes, [1.0] * len(votes)).sign_().sum(dtype=torch.int64))
        return counted

    def kept(self, span: slice) -> list[torch.Tensor]:
        """The kept elements of every voter's delta in one block."""
        blocks = [delta(self.base, model, span) for model in self.models]
        return [keep(block, span) if keep else block for block, keep in zip(blocks, self.keeps, strict=True)]

    def votes(self, kept: list[torch.Tensor]) -> list[torch.Tensor]:
        """What each voter says in one block; the sign of the sum is elected."""
        if self.options["votes"] == "plain":
            return kept
        return [block * weight for block, weight in zip(kept, self.weights, strict=True)]

    def mixed(self, span: slice, sign_of_ties: Callable[[], float]) -> torch.Tensor:
        """One block of the merged delta before lambda."""
        kept = self.kept(span)
        normalise = self.options["normalise"]
        if not kept:
            return torch.zeros_like(self.base[span], dtype=torch.float32)
        if "votes" not in self.options:
            scale = (sum(self.weights) if normalise == "weight" else 1.0) or 1.0
            return weighted_sum(kept, [weight / scale for weight in self.weights])
        votes = self.votes(kept)
        elected = self._elected(votes, sign_of_ties)
        agreeing = [vote * elected > 0 for vote in votes]
        # Multiplied, not selected: what is not finite must reach the result, where it is seen.
        update = weighted_sum([block.mul_(agrees) for block, agrees in zip(kept, agreeing, strict=True)], self.weights)
        if normalise == "none":
            return update
        divisor = weighted_sum(agreeing, self.weights if normalise == "weight" else [1.0] * len(kept))
        return update.div_(divisor.add_(divisor == 0))

    def _elected(self, votes: list[torch.Tensor], sign_of_ties: Callable[[], float]) -> torch.Tensor:
        """The elected signs of one block: 1, -1, or 0 for nobody."""
        elected = weighted_sum(votes, [1.0] * len(votes)).sign_()
        if self.options["tie"] != "drop":
            tied = elected == 0
            # Most elements that nobody kept are tied too; they need no sign, which a whole pass may have to find.
            if self.options["tie"] == "positive" or any((tied & (vote != 0)).any() for vote in votes):
                elected.add_(tied * sign_of_ties())
        return elected

    def _keep(self, sparsifier: Sparsifier, model: int, place: int, density: float) -> Keep | None:
        """How a voter's delta is thinned out and rescaled; None keeps all of it."""
        if density >= 1:
            return None
        keep = sparsifier.keep(model, density)
        rescale = self.options["rescale"]
        if rescale == "none":
            return keep
        factor = 1.0 / density if rescale == "inverse" else self._l1_factor(keep, place)
        return lambda block, span: keep(block, span).mul_(factor)

    def _l1_factor(self, keep: Keep, place: int) -> float:
        """What scales the kept elements to the whole delta's sum of absolute values."""
        before = after = 0.0
        for span in spans(self.base.numel()):
            block = delta(self.base, self.models[place], span)
            before += total(block.abs())
            after += total(keep(block, span).abs())
        return before / after if after > 0 else 1.0
