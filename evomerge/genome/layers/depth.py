"""From settings to the genes of a model's depth, with everything about them that does not fit the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from evomerge.genome.layers.fusion import fusion_of
from evomerge.genome.layers.genes import MERGE, MODELS, DepthGenes, PathGenes
from evomerge.genome.layers.path import writers_of
from evomerge.genome.layers.walks import Jumps, Slots, Walk
from evomerge.genome.settings import OF_WEIGHTS, PATHS, SEARCHED, GenomeSettings
from evomerge.recipe import Recipe, Tokenizer, count_layers, source_labels

__all__ = ["depth_of"]

_MERGE = "the merge"


def depth_of(
    settings: GenomeSettings, plan: Recipe, names: Iterable[str], depths: Sequence[int] = ()
) -> tuple[DepthGenes | None, list[str]]:
    """The genes of a model's depth that the user's choices ask for, and why these do not fit the model.

    Args:
        settings: The choices.
        plan: The recipe of candidates, but for coefficients.
        names: The model's tensors.
        depths: Number of layers of each of the plan's sources; none: as many as the model has.

    Returns:
        The genes, None where models keep their layers or there are problems; and these, one sentence each.
    """
    names, pattern = list(names), plan.groups.layer_pattern
    if settings.layers not in PATHS:
        return fusion_of(settings, names, pattern)
    writers, own = writers_of(names, pattern), count_layers(names, pattern)
    labels = [] if settings.through == MERGE else source_labels(plan)
    models = (*labels, *([] if settings.through == MODELS else [_MERGE]))
    layers = (*(depths or [own] * len(labels)), *([] if settings.through == MODELS else [own]))[-len(models) :]
    problems = list(_problems(settings, plan, layers, writers, models))
    if problems:
        return None, problems
    alone = 0 if len(models) == 1 else settings.outside
    return PathGenes(_walk(settings, layers), models, settings.through, writers, layers, alone), []


def _walk(settings: GenomeSettings, layers: tuple[int, ...]) -> Walk:
    scaled = settings.scales == SEARCHED
    if settings.layers == PATHS[1]:
        return Slots(layers, settings.repeats, _longest(settings, layers), scaled)
    reach = max((_longest(settings, layers) - max(layers)) // settings.jumps, 0)
    while reach and Jumps(layers, settings.jumps, reach, scaled).most > _longest(settings, layers):
        reach -= 1  # of models of unlike depth some paths are longer than the deepest, jumps apart
    return Jumps(layers, settings.jumps, reach, scaled)


def _longest(settings: GenomeSettings, layers: tuple[int, ...]) -> int:
    return settings.longest or 3 * max(layers) // 2


def _problems(
    settings: GenomeSettings, plan: Recipe, layers: tuple[int, ...], writers: tuple[str, ...], models: tuple[str, ...]
) -> Iterator[str]:
    asked, least = f"genome.layers={settings.layers}", min(layers)
    if least < 2:
        yield f"{asked} needs two layers, but the tensor names show {least}"
    elif settings.layers == PATHS[0] and settings.jumps >= least:
        yield f"genome.jumps is {settings.jumps}; a path through {least} layers has at most {least - 1}"
    elif settings.layers == PATHS[0]:
        yield from _too_short(settings, layers)
    if settings.scales == SEARCHED and least >= 2 and not writers:
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


def _too_short(settings: GenomeSettings, layers: tuple[int, ...]) -> Iterator[str]:
    """A limit that leaves no room for paths over the whole depth, or for more than one of them."""
    walk, longest = _walk(settings, layers), _longest(settings, layers)
    if max(layers) > longest or walk.most > longest:
        yield (
            f"genome.longest is {longest}, but genome.layers={settings.layers} goes through all {max(layers)} layers; "
            f"set it to {'as many' if len(set(layers)) == 1 else f'{walk.most} or more'}"
        )
    elif len(layers) == 1 and not walk.moves:
        yield (
            f"genome.layers={settings.layers} has one model and leaves no room for {settings.jumps} repeated layers, "
            "so there is one path; raise genome.longest"
        )


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
