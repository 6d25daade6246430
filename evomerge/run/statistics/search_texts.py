"""The statistics of a search's space: the texts of the search, and the keys that its recipes name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from evomerge.errors import InputError
from evomerge.fitness import TaskSuite
from evomerge.genome import GenomeSpec
from evomerge.merging import Checkpoints, Merger
from evomerge.methods import Need
from evomerge.recipe import Tokenizer
from evomerge.run.run_config import RunConfig
from evomerge.run.statistics.required import Required, required
from evomerge.run.statistics.texts import Texts, read_texts


def calibration(
    config: RunConfig, checkpoints: Checkpoints | None, suite: TaskSuite | None, spec: GenomeSpec | None
) -> Texts | None:
    """The texts that the statistics of a search are computed on; None where candidates read none.

    A recipe that is searched and names its statistics keeps them, unless texts are named beside it.

    Args:
        config: The search.
        checkpoints: Its opened checkpoints.
        suite: Its tasks.
        spec: Its space. What a problem has kept from being known is None, and then nothing is read here either.

    Raises:
        InputError: With everything that is wrong with texts and statistics.
    """
    if checkpoints is None or suite is None or spec is None:
        return None
    template = spec.template
    keyed = template.statistics and not config.calibration and not config.calibration_of
    if (not _needs(spec, checkpoints) or keyed) and not config.start_sensitivity:
        return None
    unlike = template.tokenizer != Tokenizer() or template.embeddings != "merge"
    texts = read_texts(config, checkpoints, suite, unlike=unlike)
    required_of(spec, texts, config, checkpoints)
    return texts


def required_of(
    spec: GenomeSpec, texts: Texts | None, config: RunConfig, checkpoints: Checkpoints
) -> tuple[Required, ...]:
    """The statistics that the candidates of a space read; none where they read none, or name keys of their own.

    Raises:
        InputError: With everything that is wrong with them.
    """
    if texts is None:
        return ()
    return required(spec.template, _needs(spec, checkpoints), texts, config, checkpoints)


def keyed_spec(spec: GenomeSpec, statistics: Sequence[Required]) -> GenomeSpec:
    """The space whose recipes name the keys of some statistics; as it is without any."""
    if not statistics:
        return spec
    return replace(spec, template=replace(spec.template, statistics=tuple(one.key for one in statistics)))


def unread(config: RunConfig, texts: Texts | None) -> Iterator[str]:
    """Warns of texts that nobody reads."""
    given = [key for key in ("calibration", "calibration_of") if getattr(config, key)]
    if texts is None and given:
        yield f"{' and '.join(given)} have no effect: neither {config.method} nor a step reads statistics of texts"


def _needs(spec: GenomeSpec, checkpoints: Checkpoints) -> tuple[Need, ...]:
    outputs = Merger(checkpoints).outputs(spec.template)
    if outputs.needs and outputs.problems:
        raise InputError(outputs.problems)
    return outputs.needs
