"""Genes that make a model shorter: how many layers go, which, and how much of the layer before is kept.

A layer that goes is merged into the layer before it (Liu et al. 2024, MKA, https://arxiv.org/abs/2406.16330: attention
and MLP are weighted averages, norms are the earlier layer's), or left out. Several that go one after the other share
what the layer that stays does not keep. The first layer never goes.

Every layer but the first has a gene, and those with the largest go, as many as another gene says: so an order is what
is searched. It is the second place where different genomes are the same recipe: `read` answers genes in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.genome.gene_block import NotExpressible
from evomerge.genome.layers.genes import unwrapped
from evomerge.genome.weight_rules import middle_of, whole
from evomerge.recipe import Group, OutputLayer, ParameterGroups, Recipe, count_layers

__all__ = ["KEPT", "MERGED", "REMOVED", "LayerFusion", "fusion_of"]

KEPT, MERGED, REMOVED = "kept", "merged", "removed"
_METHOD, _OPTIONS = "linear", {"normalise": "weight"}
_FUSED = ("attention", "mlp", "router")
_SHARES = (0.3, 0.9)
_GOES, _STAYS = 0.75, 0.25
_UNSEEN = 0.5  # the gene of what has no effect


@dataclass(frozen=True)
class LayerFusion:
    """The genes of a model's depth.

    Attributes:
        layers: Number of layers.
        least: Fewest layers that go.
        most: Most layers that go, fewer than there are.
        merged: Whether they are merged into the layer before; else they are left out.
        influence: How much each layer changes what it gets, for the order in which starts let layers go, least first;
            empty: the later ones first, but the last one after all others.
    """

    layers: int
    least: int
    most: int
    merged: bool = True
    influence: tuple[float, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """One per gene."""
        number = ("number of layers that go",) if self.least < self.most else ()
        share = ("share of the layer that stays",) if self.merged else ()
        return (*number, *share, *(f"layer {layer} goes" for layer in range(1, self.layers)))

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.labels)

    def applied(self, recipe: Recipe, genes: NDArray[np.float64]) -> Recipe:
        """The recipe of a model with fewer layers.

        Args:
            recipe: The recipe of the model with all of them.
            genes: In [0, 1], ``(n_genes,)``.
        """
        rest = genes[int(self.least < self.most) :]
        count = self.least + (whole(genes[0], 1 + self.most - self.least) if self.least < self.most else 0)
        share = _SHARES[0] + rest[0] * (_SHARES[1] - _SHARES[0]) if self.merged else 1.0
        order = 1 + np.argsort(-rest[int(self.merged) :], kind="stable")
        return self._shortened(recipe, frozenset(order[:count].tolist()), float(share))

    def read(self, recipe: Recipe, plain: Recipe) -> tuple[Recipe, NDArray[np.float64]]:
        """The recipe of the model with all layers, and the genes that make this one of it.

        Args:
            recipe: The recipe.
            plain: The recipe of one model as it is, where that is what layers go from.

        Raises:
            NotExpressible: If there are none.
        """
        inner, gone, share = recipe, frozenset[int](), sum(_SHARES) / 2
        if recipe.layers and recipe.method == _METHOD and len(recipe.sources) == 1:
            source = recipe.sources[0]
            inner = source if isinstance(source, Recipe) else plain
            stay = [layer.inputs[0][1] for layer in recipe.layers]
            gone = frozenset(range(self.layers)) - set(stay)
            several = [row for row, layer in enumerate(recipe.layers) if len(layer.inputs) > 1]
            share = float(recipe.coefficients["weight"][several[0], 0]) if several else share
        apart = (share - _SHARES[0]) / (_SHARES[1] - _SHARES[0])
        if not (self.least <= len(gone) <= self.most and -1e-9 <= apart <= 1 + 1e-9 and 0 not in gone):
            raise NotExpressible(f"the recipe lets layers {sorted(gone)} go, which this search does not")
        if self._shortened(inner, gone, share if self.merged else 1.0) != recipe:
            raise NotExpressible("the recipe puts layers together in a way that no gene of this search stands for")
        number = [middle_of(len(gone) - self.least, 1 + self.most - self.least)] if self.least < self.most else []
        shares = [float(np.clip(apart if gone else _UNSEEN, 0.0, 1.0))] if self.merged else []
        keys = [_GOES if layer in gone else _STAYS for layer in range(1, self.layers)]
        return inner, np.array([*number, *shares, *keys])

    def started(self, names: Sequence[str], rows: NDArray[np.float64]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Known points of all layers with the fewest and the most of them gone, those of least influence."""
        last, known = list(self._starts()), list(zip(names, rows, strict=True))
        whole = [(f"{name}-{n} layers", [*row, *more]) for name, row in known for n, more in last]
        return tuple(name for name, _ in whole), np.array([row for _, row in whole])

    def _starts(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Numbers of layers that go, fewest and most, and genes that let those of least influence go."""
        order = sorted(range(1, self.layers), key=self._rank)
        keys = [1.0 - (order.index(layer) + 0.5) / len(order) for layer in range(1, self.layers)]
        for count in dict.fromkeys((self.least, self.most)):
            number = [middle_of(count - self.least, 1 + self.most - self.least)] if self.least < self.most else []
            yield count, np.array([*number, *([_UNSEEN] if self.merged else []), *keys])

    def _rank(self, layer: int) -> float:
        if self.influence:
            return self.influence[layer]
        return float(self.layers if layer == self.layers - 1 else -layer)

    def _shortened(self, recipe: Recipe, gone: frozenset[int], share: float) -> Recipe:
        if not gone:
            return recipe
        inputs: list[list[int]] = []
        for layer in range(self.layers):
            if layer not in gone:
                inputs.append([layer])
            elif self.merged:
                inputs[-1].append(layer)
        values = np.zeros((len(inputs) + 1, max(map(len, inputs))))
        for row, own in enumerate(inputs):
            values[row, : len(own)] = [share, *[(1.0 - share) / (len(own) - 1)] * (len(own) - 1)] if own[1:] else [1.0]
        values[-1, 0] = 1.0
        groups = [Group(f"layer {row}", layers=(row, row + 1), kinds=_FUSED) for row in range(len(inputs))]
        known = recipe.groups
        return Recipe(
            _METHOD,
            dict(_OPTIONS),
            (unwrapped(recipe),),
            None,
            ParameterGroups((*groups, Group("rest", frozen=True)), known.patterns, known.layer_pattern),
            {"weight": values},
            layers=tuple(OutputLayer(tuple((0, layer) for layer in own)) for own in inputs),
            dtype=recipe.dtype,
            out_dtype=recipe.out_dtype,
        )


def fusion_of(settings: Any, names: Iterable[str], layer_pattern: str) -> tuple[LayerFusion | None, list[str]]:
    """The genes of a model's depth that the user's choices ask for, and why these do not fit the model.

    Args:
        settings: The choices, see :class:`~evomerge.genome.GenomeSettings`.
        names: The model's tensors.
        layer_pattern: Finds the layer's number in them.

    Returns:
        The genes, None where all layers stay or there are problems; and these, one sentence each.
    """
    if settings.layers == KEPT:
        return None, []
    layers, problems = count_layers(names, layer_pattern), []
    least, most = map(int, (settings.fewer[0], settings.fewer[-1])) if settings.fewer else (1, max(1, layers // 4))
    if layers < 2:
        problems.append(f"genome.layers={settings.layers} needs two layers, but the tensor names show {layers}")
    elif most >= layers:
        problems.append(f"genome.fewer lets {most} of {layers} layers go; expected at most {layers - 1}")
    if settings.influence and len(settings.influence) != layers:
        given = len(settings.influence)
        problems.append(f"genome.influence has {given} numbers for {layers} layers; expected one for each")
    fusion = LayerFusion(layers, least, most, settings.layers == MERGED, settings.influence)
    return (None if problems else fusion), problems
