"""Two ways in which genes say what a path through layers is: a few jumps, and one indicator for each layer.

==============  =======================================================================================================
``path``        A path goes through all depth and jumps a few times: each jump has a share of the depth in which it
                lies, and genes for where, to which model, how many layers back or ahead, and the scale of what goes
                along. Ours: with three models and two jumps 10 genes.
``data_flow``   As published (Akiba et al. 2025, doi:10.1038/s42256-024-00975-8, data flow space): the layers of all
                models, one model after the other, repeated r times, are slots; a slot's layer is on the path if its
                gene is above one half. Thousands of genes for scales, one for each pair of layers, are one for each
                slot here, which has an effect where the path jumps to that slot.
==============  =======================================================================================================

That most scales have no effect at a time, so that genes depend on other genes, is what Niloy 2026
(https://arxiv.org/abs/2605.12326) finds hard about the published space, and why there are two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.genome.gene_block import NotExpressible
from evomerge.genome.layers.path import Step
from evomerge.genome.weight_rules import middle_of, whole

__all__ = ["Jumps", "Slots", "Walk"]

Genes = NDArray[np.float64]
_WIDEST = 0.7  # of the logarithm of a scale
_THIRD = 1.0 / 3.0
_UNSEEN = 0.5  # the gene of what has no effect
_ON, _OFF = 0.75, 0.25


class Walk(Protocol):
    """Genes of the layers of a path, in their order."""

    @property
    def scaled(self) -> bool:
        """Whether scales are searched."""

    @property
    def most(self) -> int:
        """Most layers of a path."""

    @property
    def moves(self) -> bool:
        """Whether a layer may stand elsewhere than in its own model."""

    def labels(self, models: Sequence[str]) -> tuple[str, ...]:
        """One per gene, for models of these names."""

    def steps(self, genes: Genes) -> tuple[Step, ...]:
        """The layers that genes ``(n,)`` stand for, at least one."""

    def genes(self, steps: Sequence[Step]) -> Genes:
        """Genes of these layers; what has no effect is in the middle.

        Raises:
            NotExpressible: If there are none.
        """


@dataclass(frozen=True)
class Jumps:
    """A path of few jumps over the whole depth: the space called ``path``.

    The ``n``-th jump leaves a model after a layer of the ``n``-th part of its depth, so no two sets of places mean the
    same. It lands in the same layer of the other model that it left one in, up to ``reach`` layers before it, which are
    then run again, or up to ``reach`` layers after it, those in between being left out; but never at or behind the
    place of the next jump. A jump that goes on with the next layer of the same model is none, and has no scale.

    Attributes:
        models: Number of models.
        layers: Number of layers of each.
        count: Number of jumps, less than that.
        reach: Most layers that are repeated or left out at one of them.
        scaled: Whether the scale of what goes along is searched.
    """

    models: int
    layers: int
    count: int
    reach: int
    scaled: bool

    @property
    def most(self) -> int:
        """Most layers of a path."""
        return self.layers + self.count * self.reach

    @property
    def moves(self) -> bool:
        """Whether a layer may stand elsewhere than in its own model."""
        return self.reach > 0

    def labels(self, models: Sequence[str]) -> tuple[str, ...]:
        """See :meth:`Walk.labels`."""
        found = ["model of the first layers"] if self.models > 1 else []
        for number in range(1, self.count + 1):
            found += [f"jump {number} {part}" for part in self._parts]
        return tuple(found)

    def steps(self, genes: Genes) -> tuple[Step, ...]:
        """See :meth:`Walk.steps`."""
        model, rest = (whole(genes[0], self.models), genes[1:]) if self.models > 1 else (0, genes)
        jumps = [dict(zip(self._parts, own, strict=True)) for own in rest.reshape(self.count, -1)]
        blocks = zip(jumps, self._blocks(), strict=True)
        places = [start + whole(jump["place"], end - start) for jump, (start, end) in blocks]
        found = [Step(model, layer) for layer in range(places[0])]
        for jump, place, following in zip(jumps, places, [*places[1:], self.layers], strict=True):
            model = whole(jump["model"], self.models) if self.models > 1 else 0
            landed = min(max(place + self._shift(jump.get("shift", _UNSEEN)), 0), following - 1)
            first = Step(model, landed)
            if not first.follows(found[-1]):
                first = Step(model, landed, _scale(jump.get("scale", _UNSEEN)))
            found += [first, *(Step(model, layer) for layer in range(landed + 1, following))]
        return tuple(found)

    def genes(self, steps: Sequence[Step]) -> Genes:
        """See :meth:`Walk.genes`."""
        other = NotExpressible(f"the path is none of at most {self.count} jumps of this search")
        blocks = list(self._blocks())
        found: list[dict[str, float] | None] = [None] * self.count
        if steps[0] != Step(steps[0].source, 0) or steps[-1].layer != self.layers - 1:
            raise other
        models = [steps[0].source] * self.count  # that the path is at behind each jump
        for before, step in pairwise(steps):
            if step.follows(before):
                if step.scale != 1.0:
                    raise other
                continue
            place = before.layer + 1
            number = next((n for n, (start, end) in enumerate(blocks) if start <= place < end), None)
            if number is None or found[number] is not None or abs(step.layer - place) > self.reach:
                raise other
            start, end = blocks[number]
            found[number] = {"place": middle_of(place - start, end - start), "scale": _gene_of(step.scale),
                             "shift": self._gene(step.layer - place)}  # fmt: skip
            models[number:] = [step.source] * (self.count - number)
        genes = [middle_of(steps[0].source, self.models)] if self.models > 1 else []
        for jump, model, (start, end) in zip(found, models, blocks, strict=True):
            # Where nothing is seen of a jump it comes as late as it can: the one before may land behind other places.
            last = {"place": middle_of(end - start - 1, end - start), "shift": _UNSEEN, "scale": _UNSEEN}
            own = {**(jump or last), "model": middle_of(model, self.models)}
            genes += [own[part] for part in self._parts]
        if _unlike(self.steps(np.array(genes)), steps):
            raise other
        return np.array(genes)

    @property
    def _parts(self) -> tuple[str, ...]:
        """Parts of each jump that have a gene."""
        wanted = {"place": True, "model": self.models > 1, "shift": self.reach > 0, "scale": self.scaled}
        return tuple(part for part, there in wanted.items() if there)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Places of each jump, from the first to before the last: the number of the layer that is not gone on with."""
        bounds = [1 + number * (self.layers - 1) // self.count for number in range(self.count + 1)]
        yield from pairwise(bounds)

    def _shift(self, gene: float) -> int:
        """Layers ahead: none from a third of the gene's range to two thirds."""
        if not self.reach or _THIRD <= gene <= 1.0 - _THIRD:
            return 0
        far = 1 + whole(abs(gene - _UNSEEN) / _THIRD - 0.5, self.reach)
        return int(math.copysign(far, gene - _UNSEEN))

    def _gene(self, shift: int) -> float:
        if not shift:
            return _UNSEEN
        away = _THIRD * (0.5 + middle_of(abs(shift) - 1, self.reach))
        return _UNSEEN + math.copysign(away, shift)


@dataclass(frozen=True)
class Slots:
    """The published space, called ``data_flow``: an indicator for each slot.

    A slot ``t`` holds the ``t mod (models * layers)``-th of all layers. Where more slots are on than the path may have
    layers, those with the largest genes are taken, of equal ones the first; where none is on, the one with the largest.

    Attributes:
        models: Number of models.
        layers: Number of layers of each.
        repeats: How often all layers are repeated; 3 in the paper.
        longest: Most layers of a path.
        scaled: Whether scales are searched.
    """

    models: int
    layers: int
    repeats: int
    longest: int
    scaled: bool

    @property
    def count(self) -> int:
        """Number of slots."""
        return self.models * self.layers * self.repeats

    @property
    def most(self) -> int:
        """Most layers of a path."""
        return min(self.longest, self.count)

    @property
    def moves(self) -> bool:
        """Whether a layer may stand elsewhere than in its own model."""
        return True

    def labels(self, models: Sequence[str]) -> tuple[str, ...]:
        """See :meth:`Walk.labels`."""
        of = [f"layer {t % self.layers} of {models[self._at(t)[0]]} ({1 + t // (self.models * self.layers)})"
              for t in range(self.count)]  # fmt: skip
        return (*of, *(f"scale into {slot}" for slot in of if self.scaled))

    def steps(self, genes: Genes) -> tuple[Step, ...]:
        """See :meth:`Walk.steps`."""
        on = genes[: self.count]
        count = min(max(int((on > 0.5).sum()), 1), self.longest)
        found: list[Step] = []
        for t in sorted(np.argsort(-on, kind="stable")[:count].tolist()):
            step = Step(*self._at(t))
            if self.scaled and not step.follows(found[-1] if found else None):
                step = Step(step.source, step.layer, _scale(genes[self.count + t]))
            found.append(step)
        return tuple(found)

    def genes(self, steps: Sequence[Step]) -> Genes:
        """See :meth:`Walk.genes`."""
        on, scales, t = np.full(self.count, _OFF), np.full(self.count, _UNSEEN), -1
        for step in steps:
            wanted = (step.source, step.layer)
            t = next((at for at in range(t + 1, self.count) if self._at(at) == wanted), self.count)
            if t == self.count:
                break
            on[t], scales[t] = _ON, _gene_of(step.scale)
        genes = np.concatenate([on, scales]) if self.scaled else on
        if _unlike(self.steps(genes), steps):
            raise NotExpressible(f"the path does not fit into {self.repeats} times the layers of all models")
        return genes

    def _at(self, slot: int) -> tuple[int, int]:
        """Model and layer of a slot."""
        return slot // self.layers % self.models, slot % self.layers


def _scale(gene: float) -> float:
    return math.exp((2.0 * gene - 1.0) * _WIDEST)


def _gene_of(scale: float) -> float:
    """The gene of a scale, or the nearest there is."""
    return min(max(0.5 + 0.5 * math.log(scale) / _WIDEST, 0.0), 1.0)


def _unlike(found: Sequence[Step], wanted: Sequence[Step]) -> bool:
    """Whether two paths are others, for more than rounding of their scales."""
    layers = [[(step.source, step.layer) for step in steps] for steps in (found, wanted)]
    one, other = ([step.scale for step in steps] for steps in (found, wanted))
    return layers[0] != layers[1] or not np.allclose(one, other, rtol=1e-9, atol=0)
