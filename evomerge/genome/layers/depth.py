"""From settings to the genes of a model's depth, with everything about them that does not fit the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evomerge.genome.layers.fusion import fusion_of
from evomerge.genome.layers.genes import MERGE, MODELS, DepthGenes, PathGenes
from evomerge.genome.layers.path import writers_of
from evomerge.genome.layers.walks import Jumps, Slots, Walk
from evomerge.genome.settings import OF_WEIGHTS, PATHS, SEARCHED, GenomeSettings
from evomerge.recipe import Recipe, Tokenizer, count_layers, source_labels

__all__ = ["depth_of"]

_MERGE = "the merge"


def depth_of(settings: GenomeSettings, plan: Recipe, names: Iterable[str]) -> tuple[DepthGenes | None, list[str]]:
    """The genes of a model's depth that the user's choices ask for, and why these do not fit the model.

    Args:
        settings: The choices.
        plan: The recipe of candidates, but for coefficients.
        names: The model's tensors.

    Returns:
        The genes, None where models keep their layers or there are problems; and these, one sentence each.
    """
    names, pattern = list(names), plan.groups.layer_pattern
    if settings.layers not in PATHS:
        return fusion_of(settings, names, pattern)
    layers, writers = count_layers(names, pattern), writers_of(names, pattern)
    labels = [] if settings.through == MERGE else source_labels(plan)
    models = (*labels, *([] if settings.through == MODELS else [_MERGE]))
    problems = list(_problems(settings, plan, layers, writers, models))
    if problems:
        return None, problems
    alone = 0 if len(models) == 1 else settings.outside
    return PathGenes(_walk(settings, layers, len(models)), models, settings.through, writers, layers, alone), []


def _walk(settings: GenomeSettings, layers: int, models: int) -> Walk:
    scaled = settings.scales == SEARCHED
    if settings.layers == PATHS[1]:
        return Slots(models, layers, settings.repeats, _longest(settings, layers), scaled)
    return Jumps(models, layers, settings.jumps, _reach(settings, layers), scaled)


def _longest(settings: GenomeSettings, layers: int) -> int:
    return settings.longest or 3 * layers // 2


def _reach(settings: GenomeSettings, layers: int) -> int:
    """Most layers that one jump repeats, so that all jumps together give no longer path."""
    return (_longest(settings, layers) - layers) // settings.jumps


def _problems(
    settings: GenomeSettings, plan: Recipe, layers: int, writers: tuple[str, ...], models: tuple[str, ...]
) -> Iterator[str]:
    asked = f"genome.layers={settings.layers}"
    if layers < 2:
        yield f"{asked} needs two layers, but the tensor names show {layers}"
    elif settings.layers == PATHS[0] and settings.jumps >= layers:
        yield f"genome.jumps is {settings.jumps}; a path through {layers} layers has at most {layers - 1}"
    elif settings.layers == PATHS[0] and _longest(settings, layers) < layers:
        yield f"genome.longest is {settings.longest}, but {asked} goes through all {layers} layers; set it to as many"
    elif settings.layers == PATHS[0] and len(models) == 1 and not _reach(settings, layers):
        yield (
            f"{asked} has one model and leaves no room for {settings.jumps} repeated layers, so there is one path; "
            "raise genome.longest"
        )
    if settings.scales == SEARCHED and layers >= 2 and not writers:
        yield (
            f"{asked} scales hidden states by the projections that add to them, and no tensor has a name of one that "
            "is known, such as o_proj or down_proj; write genome.scales=none"
        )
    if settings.outside is not None and settings.outside >= len(models):
        yield f"genome.outside is {settings.outside}; expected a place among {', '.join(models)}, 0 the first"
    if plan.embeddings != "merge" or plan.tokenizer != Tokenizer():
        yield f"{asked} takes embeddings of one model as they are; leave out embeddings and tokenizer"
    if plan.unmatched != "refuse":
        yield f"{asked} takes whole layers, so unmatched={plan.unmatched} has no meaning; leave it out"
    if settings.through == MODELS:
        yield from _idle(settings, plan)


def _idle(settings: GenomeSettings, plan: Recipe) -> Iterator[str]:
    """Choices about coefficients, where nothing has any."""
    plain = GenomeSettings()
    given = [name for name in OF_WEIGHTS if getattr(settings, name) != getattr(plain, name)]
    if given or plan.post:
        named = " and ".join([*(f"genome.{name}" for name in given), *(["post"] if plan.post else [])])
        yield (
            f"genome.through=models takes layers as they are, so {named} would change nothing; leave it out, or write "
            "genome.through=both for paths through the models and their merge"
        )
