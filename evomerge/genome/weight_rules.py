"""Rules by which the weights of all models follow from a few genes, whatever their number.

==============  =========================================================================================
rule            weights
==============  =========================================================================================
``layer_swap``  the first model's in the middle, the second's in the first and last layers, means of both in between
                (Bandarkar et al. 2025, Layer swapping, https://arxiv.org/abs/2410.01335; that both count the same in
                between, and how many layers there may be, is ours)
``trajectory``  the models are checkpoints of one run, oldest first: which is the newest, their spacing, how many, how
                weights fall with age (Li et al. 2025, Model merging in pre-training, https://arxiv.org/abs/2505.12082;
                ``free``, and the bounds of all genes, are ours)
``metric``      a power of each model's own score, for one exponent (metrics-weighted averaging, Yu and Choi 2025,
                https://arxiv.org/abs/2504.18580; its single-parameter form in our reading)
==============  =========================================================================================

Whole numbers are genes like all others: a gene's range is divided evenly among them. `take` answers the middle of a
part, so that a recipe has one genome; where different numbers give the same weights, that of the smallest.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.genome.gene_block import TOLERANCE, NotExpressible, inside

__all__ = ["AGES", "FREE", "RULES", "Metric", "Rule", "RuledBlock", "Trajectory", "alike", "middle_of", "whole"]

FREE = "free"
RULES = (FREE, "layer_swap", "trajectory", "metric")
AGES = ("sma", "wma", "ema", "free")
_UNSEEN = 0.5  # the gene of what has no effect

Weights = NDArray[np.float64]


class Rule(Protocol):
    """Weights from genes.

    Attributes:
        labels: One per gene.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """One per gene."""

    def weights(self, genes: NDArray[np.float64]) -> Weights:
        """Weights ``(places, models)``, adding up to 1 in each place."""

    def genes(self, weights: Weights) -> NDArray[np.float64] | None:
        """Genes of these weights, or None if there are none."""


@dataclass(frozen=True, eq=False)
class RuledBlock:
    """The genes of the weights on some groups; see :class:`evomerge.genome.gene_block.Block`.

    Attributes:
        coefficient: Its name.
        rule: The rule.
        rows: The groups it fills.
        places: The place of each group among those of the rule.
    """

    coefficient: str
    rule: Rule
    rows: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """One per gene."""
        return self.rule.labels

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.rule.labels)

    def put(self, genes: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Writes the weights."""
        values[list(self.rows)] = self.rule.weights(genes)[list(self.places)]

    def take(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genes whose `put` writes what stands in the array of a recipe.

        Raises:
            NotExpressible: If there are none.
        """
        given = values[list(self.rows)]
        whole = np.full((1 + max(self.places), values.shape[1]), np.nan)
        for place, row in zip(self.places, given, strict=True):
            if not (np.isnan(whole[place]).all() or np.allclose(whole[place], row, rtol=0, atol=TOLERANCE)):
                raise NotExpressible(f"the values of {self.coefficient} follow no rule of this search")
            whole[place] = row
        genes = self.rule.genes(whole)
        if genes is None:
            raise NotExpressible(f"the values of {self.coefficient} follow no rule of this search")
        return genes

    def mark(self, searched: NDArray[np.bool_]) -> None:
        """Sets a mask of the array of a recipe where these genes write."""
        searched[list(self.rows)] = True


@dataclass(frozen=True)
class Trajectory:
    """Checkpoints of one run, oldest first.

    Attributes:
        models: Number of checkpoints.
        age: How weights fall with age, from the newest one taken: ``sma`` not at all, ``wma`` by one step each,
            ``ema`` as an exponential moving average whose start is the oldest, ``free`` by a factor that is a gene.
    """

    models: int
    age: str = "free"

    @property
    def labels(self) -> tuple[str, ...]:
        """One per gene."""
        decay = {"ema": ("smoothing",), "free": ("decay",)}.get(self.age, ())
        return ("newest checkpoint", "spacing", "window", *decay)

    def weights(self, genes: NDArray[np.float64]) -> Weights:
        """See :meth:`Rule.weights`."""
        newest = whole(genes[0], self.models)
        spacing = 1 + whole(genes[1], self._spacings)
        window = 1 + whole(genes[2], self.models)
        return self._weights(newest, spacing, window, float(genes[3]) if len(genes) > 3 else _UNSEEN)

    def genes(self, weights: Weights) -> NDArray[np.float64] | None:
        """See :meth:`Rule.genes`."""
        given = weights[0]
        for newest, spacing, window in itertools.product(
            range(self.models), range(1, 1 + self._spacings), range(1, 1 + self.models)
        ):
            places = self._places(newest, spacing, window)
            gene = self._decay_of(given[places])
            if gene is not None and alike(self._weights(newest, spacing, window, gene), weights):
                whole = [
                    middle_of(newest, self.models),
                    middle_of(spacing - 1, self._spacings),
                    middle_of(window - 1, self.models),
                ]
                return np.array([*whole, gene][: len(self.labels)])
        return None

    @property
    def _spacings(self) -> int:
        return max(1, self.models // 2)

    def _places(self, newest: int, spacing: int, window: int) -> list[int]:
        """The checkpoints that are taken, newest first; the first ones of a run limit their number."""
        return list(range(newest, -1, -spacing))[:window]

    def _weights(self, newest: int, spacing: int, window: int, gene: float) -> Weights:
        places = self._places(newest, spacing, window)
        own = _by_age(self.age, len(places), gene)
        found = np.zeros((1, self.models))
        found[0, places] = own / own.sum()
        return found

    def _decay_of(self, given: NDArray[np.float64]) -> float | None:
        """The last gene of the weights of the checkpoints that are taken, or None if they have none."""
        if len(given) < 2 or self.age in ("sma", "wma"):
            return _UNSEEN
        if min(given) <= 0:
            return None
        gene = _smoothing_gene(float(given[0])) if self.age == "ema" else -np.log(given[1] / given[0]) / _DECAY
        return float(np.clip(gene, 0.0, 1.0)) if -TOLERANCE <= gene <= 1 + TOLERANCE else None


# A checkpoint's weight is at least exp(-3) of that of the next newer one, and a smoothing at least 0.05, at most 0.95.
_DECAY = 3.0
_SMOOTHING = (0.05, 0.95)


def _by_age(age: str, count: int, gene: float) -> NDArray[np.float64]:
    """Weights of ``count`` checkpoints, newest first."""
    ages = np.arange(count, dtype=np.float64)
    if age == "sma":
        return np.ones(count)
    if age == "wma":
        return count - ages
    if age == "free":
        return np.exp(-_DECAY * gene * ages)
    smoothing = _SMOOTHING[0] + gene * (_SMOOTHING[1] - _SMOOTHING[0])
    weights = smoothing * (1.0 - smoothing) ** ages
    weights[-1] /= smoothing  # the average begins with the oldest
    return weights


def _smoothing_gene(newest: float) -> float:
    return (newest - _SMOOTHING[0]) / (_SMOOTHING[1] - _SMOOTHING[0])


@dataclass(frozen=True)
class Metric:
    """Powers of the models' own scores.

    Attributes:
        scores: One for each model, positive, higher ones better.
        highest: The exponent of a gene of 1; 0 is the mean of the models.
    """

    scores: tuple[float, ...]
    highest: float = 10.0

    labels = ("exponent of the score",)

    def weights(self, genes: NDArray[np.float64]) -> Weights:
        """See :meth:`Rule.weights`."""
        # Relative to the best, so that no power is beyond what a float holds.
        own = (np.array(self.scores) / max(self.scores)) ** (self.highest * genes[0])
        return np.asarray(own / own.sum())[None]

    def genes(self, weights: Weights) -> NDArray[np.float64] | None:
        """See :meth:`Rule.genes`."""
        scores = np.array(self.scores)
        least, most = int(scores.argmin()), int(scores.argmax())
        if scores[least] == scores[most]:
            gene = np.array([_UNSEEN])
        elif min(weights[0]) <= 0:
            return None
        else:
            exponent = np.log(weights[0, most] / weights[0, least]) / np.log(scores[most] / scores[least])
            try:
                gene = inside(np.array([exponent / self.highest]), "weight", "beyond the highest exponent")
            except NotExpressible:
                return None
        return gene if alike(self.weights(gene), weights) else None


def whole(gene: float, count: int) -> int:
    """The whole number below ``count`` that a gene stands for."""
    return min(int(gene * count), count - 1)


def middle_of(number: int, count: int) -> float:
    """The gene in the middle of those that stand for a whole number below ``count``."""
    return (number + 0.5) / count


def alike(found: Weights, wanted: Weights) -> bool:
    """Whether weights are those of a recipe, where it says some."""
    told = ~np.isnan(wanted)
    return bool((np.abs(found[: len(wanted)] - wanted)[told] <= TOLERANCE).all())
