"""On and off: genes that take an expert's delta out of all modules of a kind, over the genes of its weights.

A switch is one number in [0, 1] like every gene: on from 0.5 up, off below. It is the one place where different genomes
are the same recipe: all values of a half mean the same, and the weight of an expert that is off everywhere is not seen.
`take` answers the middle of the half, and the middle of a range for what is not seen, so that a recipe has one genome.
A recipe that was scored is found again by its digest, whichever genome proposed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.genome.gene_block import TOLERANCE, GeneBlock, NotExpressible
from evomerge.genome.groups import DepthProfile
from evomerge.recipe import Coefficient, Group

__all__ = ["Switch", "SwitchedBlock", "joined", "switches"]

_ON, _OFF = 0.75, 0.25


@dataclass(frozen=True)
class Switch:
    """One expert in all groups of one kind of modules.

    Attributes:
        model: The expert's position.
        rows: The groups.
        label: For people.
    """

    model: int
    rows: tuple[int, ...]
    label: str


@dataclass(frozen=True, eq=False)
class SwitchedBlock:
    """The genes of one coefficient on all groups, and switches over them.

    Attributes:
        inner: The genes of the values; no proportions among them.
        switches: The switches, whose groups are all among those of ``inner``.
        off: The value that leaves the base as it is.
    """

    inner: tuple[GeneBlock, ...]
    switches: tuple[Switch, ...]
    off: float

    @property
    def coefficient(self) -> str:
        """Name of the coefficient."""
        return self.inner[0].coefficient

    @property
    def labels(self) -> tuple[str, ...]:
        """One per gene."""
        values = tuple(label for block in self.inner for label in block.labels)
        return values + tuple(switch.label for switch in self.switches)

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return sum(block.n_genes for block in self.inner) + len(self.switches)

    def put(self, genes: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Writes the values, and the one without effect where a switch is off."""
        start = 0
        for block in self.inner:
            block.put(genes[start : start + block.n_genes], values)
            start += block.n_genes
        for switch, gene in zip(self.switches, genes[start:], strict=True):
            if gene < 0.5:
                values[list(switch.rows), switch.model] = self.off

    def take(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genes whose `put` writes what stands in the array of a recipe.

        Raises:
            NotExpressible: If there are none.
        """
        seen = np.ones(values.shape, dtype=bool)
        found = []
        for switch in self.switches:
            cells = list(switch.rows), switch.model
            on = bool((values[cells] != self.off).any())
            seen[cells] = on
            found.append(_ON if on else _OFF)
        return np.concatenate([*(_genes(block, values, seen) for block in self.inner), np.array(found)])

    def mark(self, searched: NDArray[np.bool_]) -> None:
        """Sets a mask of the array of a recipe where these genes write."""
        for block in self.inner:
            block.mark(searched)


def switches(
    coefficient: Coefficient,
    groups: Sequence[Group],
    searched: Sequence[int],
    owners: Sequence[str],
    changed: Sequence[frozenset[int] | None],
) -> Iterator[Switch]:
    """The switches of a coefficient.

    Args:
        coefficient: The coefficient.
        groups: All groups.
        searched: Those in which the coefficient is searched.
        owners: Labels of the experts.
        changed: For each expert the groups in which it differs from the base; None is all.
    """
    kinds: dict[tuple[str, ...], list[int]] = {}
    for row in sorted(searched):
        kinds.setdefault(groups[row].filters or groups[row].kinds, []).append(row)
    for kind, rows in kinds.items():
        for model, (owner, own) in enumerate(zip(owners, changed, strict=True)):
            if own is None or not own.isdisjoint(rows):
                yield Switch(model, tuple(rows), f"on{owner} {' '.join(kind) or 'rest'}")


def joined(profiles: Sequence[DepthProfile], groups: Sequence[Group]) -> list[DepthProfile]:
    """Profiles in which the kinds of modules of a layer have one value, from those in which each has its own."""
    curves = [profile for profile in profiles if profile.curve]
    found: list[DepthProfile] = []
    by_layers: dict[tuple[int, int], list[int]] = {}
    for profile in profiles:
        layers = groups[profile.groups[0]].layers
        if not profile.curve and layers is not None:
            by_layers.setdefault(layers, []).extend(profile.groups)
        elif not profile.curve:
            found.append(profile)
    for rows in by_layers.values():
        kinds = " ".join(groups[rows[0]].kinds or groups[rows[0]].filters)
        found.append(DepthProfile(groups[rows[0]].label.removesuffix(kinds).strip(), tuple(sorted(rows)), curve=False))
    if curves:
        found.append(_one_curve(curves, groups))
    return sorted(found, key=lambda profile: profile.groups)


def _one_curve(curves: Sequence[DepthProfile], groups: Sequence[Group]) -> DepthProfile:
    firsts = sorted({layers for curve in curves for row in curve.groups if (layers := groups[row].layers) is not None})
    placed = []
    for curve in curves:
        members = list(zip(curve.groups, curve.place, strict=True))
        at: dict[int, int] = {}
        for row, place in members:
            if (layers := groups[row].layers) is not None:
                at[place] = firsts.index(layers)
        placed += [(row, at[place]) for row, place in members]
    placed.sort()
    return DepthProfile("", tuple(row for row, _ in placed), True, tuple(place for _, place in placed))


def _genes(block: GeneBlock, values: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The genes of some values, of which not all are seen; those in the middle where that leaves a choice."""
    rows = list(block.rows)
    given, mask, span = values[rows], seen[rows], block.high - block.low
    middle = (block.low + block.high) / 2
    controls = np.full((block.weights.shape[1], given.shape[1]), middle)
    for model in range(given.shape[1]):
        weights = block.weights[mask[:, model]]
        if len(weights):
            away = given[mask[:, model], model] - middle  # the rows of weights add up to 1
            controls[:, model] += np.linalg.lstsq(weights, away, rcond=None)[0]
            if np.abs(weights @ (controls[:, model] - middle) - away).max() > TOLERANCE * span:
                raise NotExpressible(f"the values of {block.coefficient} do not lie on a curve of this search")
    return block.inside((controls - block.low) / span).ravel()
