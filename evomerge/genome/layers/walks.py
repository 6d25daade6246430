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

Models may have unlike numbers of layers: a jump to a deeper one lands as far down as it left, by the share of all
layers, which for models of one depth is the same layer. That is ours; slots are each model's own layers.

That most scales have no effect at a time, so that genes depend on other genes, is what Niloy 2026
(https://arxiv.org/abs/2605.12326) finds hard about the published space, and why there are two.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
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
        layers: Number of layers of each model.
        count: Number of jumps, less than that.
        reach: Most layers that are repeated or left out at one of them.
        scaled: Whether the scale of what goes along is searched.
    """

    layers: tuple[int, ...]
    count: int
    reach: int
    scaled: bool

    @property
    def models(self) -> int:
        """Number of models."""
        return len(self.layers)

    @property
    def most(self) -> int:
        """Most layers of a path."""
        depths = sorted(set(self.layers))
        if len(depths) == 1:
            return depths[0] + self.count * self.reach
        longest = {(deep, end): end for deep in depths for end in self._ends(deep, 0)}
        for number in range(1, self.count + 1):
            further: dict[tuple[int, int], int] = {}
            for (before, place), length in longest.items():
                for deep in depths:
                    landed = max(self._across(number - 1, place, before, deep) - self.reach, 0)
                    for end in self._ends(deep, number):
                        found = length + end - min(landed, end - 1)
                        further[deep, end] = max(further.get((deep, end), 0), found)
            longest = further
        return max(longest.values())

    @property
    def moves(self) -> bool:
        """Whether a layer may stand elsewhere than in its own model."""
        return self.reach > 0 or len(set(self.layers)) > 1

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
        models = [model, *(whole(jump["model"], self.models) if self.models > 1 else 0 for jump in jumps)]
        ends = [self._ends(self.layers[at], number) for number, at in enumerate(models)]
        places = [own[whole(jump["place"], len(own))] for jump, own in zip(jumps, ends[:-1], strict=True)]
        found = [Step(model, layer) for layer in range(places[0])]
        behind = zip(jumps, pairwise(models), pairwise([*places, ends[-1][0]]), strict=True)
        for number, (jump, (before, model), (place, end)) in enumerate(behind):
            same = self._across(number, place, self.layers[before], self.layers[model])
            landed = min(max(same + self._shift(jump.get("shift", _UNSEEN)), 0), end - 1)
            first = Step(model, landed)
            if not first.follows(found[-1]):
                first = Step(model, landed, _scale(jump.get("scale", _UNSEEN)))
            found += [first, *(Step(model, layer) for layer in range(landed + 1, end))]
        return tuple(found)

    def genes(self, steps: Sequence[Step]) -> Genes:
        """See :meth:`Walk.genes`."""
        other = NotExpressible(f"the path is none of at most {self.count} jumps of this search")
        found: list[dict[str, float] | None] = [None] * self.count
        if steps[0] != Step(steps[0].source, 0) or steps[-1].layer != self.layers[steps[-1].source] - 1:
            raise other
        models = [steps[0].source] * (self.count + 1)  # that the path is at before each jump, and behind the last
        for before, step in pairwise(steps):
            if step.follows(before):
                if step.scale != 1.0:
                    raise other
                continue
            place, deep = before.layer + 1, self.layers[before.source]
            number = next((n for n in range(self.count) if place in self._ends(deep, n)), None)
            if number is None or found[number] is not None:
                raise other
            ends = self._ends(deep, number)
            ahead = step.layer - self._across(number, place, deep, self.layers[step.source])
            if abs(ahead) > self.reach:
                raise other
            found[number] = {"place": middle_of(place - ends[0], len(ends)), "scale": _gene_of(step.scale),
                             "shift": self._gene(ahead)}  # fmt: skip
            models[number + 1 :] = [step.source] * (self.count - number)
        genes = [middle_of(steps[0].source, self.models)] if self.models > 1 else []
        for number, jump in enumerate(found):
            # Where nothing is seen of a jump it comes as late as it can: the one before may land behind other places.
            count = len(self._ends(self.layers[models[number]], number))
            last = {"place": middle_of(count - 1, count), "shift": _UNSEEN, "scale": _UNSEEN}
            own = {**(jump or last), "model": middle_of(models[number + 1], self.models)}
            genes += [own[part] for part in self._parts]
        if _unlike(self.steps(np.array(genes)), steps):
            raise other
        return np.array(genes)

    @property
    def _parts(self) -> tuple[str, ...]:
        """Parts of each jump that have a gene."""
        wanted = {"place": True, "model": self.models > 1, "shift": self.reach > 0, "scale": self.scaled}
        return tuple(part for part, there in wanted.items() if there)

    def _ends(self, layers: int, number: int) -> range:
        """Places at which a path leaves a model of so many layers, by its jumps before: numbers of layers not run."""
        if number == self.count:
            return range(layers, layers + 1)
        first, end = (1 + at * (layers - 1) // self.count for at in (number, number + 1))
        return range(first, end)

    def _across(self, number: int, place: int, before: int, behind: int) -> int:
        """The same place of a model of other depth: as far down, but no later than its own part for this jump ends."""
        return min(-(-place * behind // before), self._ends(behind, number)[-1])

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

    A slot ``t`` holds the ``t mod n``-th of all ``n`` layers. Where more slots are on than the path may have
    layers, those with the largest genes are taken, of equal ones the first; where none is on, the one with the largest.

    Attributes:
        layers: Number of layers of each model.
        repeats: How often all layers are repeated; 3 in the paper.
        longest: Most layers of a path.
        scaled: Whether scales are searched.
    """

    layers: tuple[int, ...]
    repeats: int
    longest: int
    scaled: bool

    @property
    def count(self) -> int:
        """Number of slots."""
        return sum(self.layers) * self.repeats

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
        slots = ((self._at(t), 1 + t // sum(self.layers)) for t in range(self.count))
        of = [f"layer {layer} of {models[model]} ({time})" for (model, layer), time in slots]
        return (*of, *(f"scale into {slot}" for slot in of if self.scaled))

    def steps(self, genes: Genes) -> tuple[Step, ...]:
        """See :meth:`Walk.steps`."""
        count = min(max(int((genes[: self.count] > 0.5).sum()), 1), self.longest)
        found: list[Step] = []
        for t in sorted(np.argsort(-genes[: self.count], kind="stable")[:count].tolist()):
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
        return self._each[slot % len(self._each)]

    @functools.cached_property
    def _each(self) -> list[tuple[int, int]]:
        return [(model, layer) for model, count in enumerate(self.layers) for layer in range(count)]


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
