"""The layout that a budget carries: ``genome.depth=auto``, and the warning where genes are many and candidates few."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from evomerge.genome.settings import AUTO, GenomeSettings
from evomerge.genome.weight_rules import FREE

__all__ = ["Chosen", "choose", "few_for"]

# Layouts from the finest, and how many candidates each of their genes wants. In the study of layouts and algorithms at
# equal budget (experiments/spaces, results/spaces/study.md; 10 seeds, up to 96 candidates) no finer layout was better
# than one set of weights or a line over depth: with two experts one set per layer (18 genes, five candidates each) was
# 1.3 to 2.0 points behind these, a curve (8 genes, twelve each) 1.0 to 1.7; with six experts all were level. So a finer
# one waits for more candidates per gene than were seen to be too few.
_FINER = 30.0
PER_GENE: tuple[tuple[str, float], ...] = (("layer", _FINER), ("smooth", _FINER), ("linear", 2.0), ("model", 0.0))
# Fewer candidates for each gene than this cannot tell even which way a gene should go.
FEW = 2.0


@dataclass(frozen=True)
class Chosen:
    """A layout that was chosen for a budget.

    Attributes:
        settings: The settings with it.
        genes: Their number.
        evaluations: The budget, in candidates.
        kept: Whether it is not the budget's but that of the run that is gone on with.
    """

    settings: GenomeSettings
    genes: int
    evaluations: int
    kept: bool = False

    def describe(self) -> str:
        """One sentence for people."""
        why = "as the run began" if self.kept else f"for {self.evaluations} candidates"
        return f"genome.depth={AUTO} has chosen {self.settings.depth}, {why}"


def choose(settings: GenomeSettings, evaluations: int, genes: Callable[[GenomeSettings], int]) -> Chosen:
    """The finest layout whose genes the budget carries.

    Args:
        settings: With the depth ``auto``; everything that they say beside it stays as it is.
        evaluations: How many candidates will be scored.
        genes: Number of genes that a search with these settings has. A layout that the model has too few layers for
            raises a ``ValueError``, and is not chosen.

    Returns:
        The layout; the coarsest where the budget carries none.
    """
    if settings.weights != FREE:  # the rule has few genes whatever the layout
        layout = laid_out(settings, "model")
        return Chosen(layout, genes(layout), evaluations)
    for depth, wanted in PER_GENE:
        layout = laid_out(settings, depth)
        try:
            found = Chosen(layout, genes(layout), evaluations)
        except ValueError:
            if depth == PER_GENE[-1][0]:
                raise
            continue
        if evaluations >= wanted * found.genes:
            return found
    return found


def laid_out(settings: GenomeSettings, depth: str) -> GenomeSettings:
    """Settings with another depth.

    Coarser ones than one set per layer give embeddings, the last norm and the head the weights of the nearest layers,
    unless the user has said otherwise: genes of their own would be most of all genes there.
    """
    plain = settings.own_groups == GenomeSettings().own_groups and settings.ends == GenomeSettings.ends
    if depth == "layer" or not plain:
        return replace(settings, depth=depth)
    return replace(settings, depth=depth, own_groups=(), ends="nearest")


def few_for(genes: int, evaluations: int, *, automatic: bool = False) -> str | None:
    """The warning where genes are many and candidates few; None where they are not.

    Args:
        genes: Number of genes.
        evaluations: How many candidates will be scored.
        automatic: Whether the layout is the one that the budget chose, so that there is none of fewer genes.
    """
    if evaluations >= FEW * genes:
        return None
    fewer = "" if automatic else f"genome={AUTO}, which chooses a layout of fewer genes where there is one, or "
    return (
        f"{genes} genes for {evaluations} candidates: with fewer than {FEW:g} candidates for each gene a search can "
        f"hardly tell what a gene does; write {fewer}evaluations={math.ceil(FEW * genes)} or more"
    )
