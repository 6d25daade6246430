"""Facts about models that other tools' files leave open, from the headers of their checkpoints."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from evomerge.checkpoints import DEFAULT_TEMPLATE, chat_templates, locate, open_all, stored_dtype
from evomerge.dialects.mergekit.facts import Facts, ModelFacts
from evomerge.merging import Checkpoints
from evomerge.merging.checkpoints import is_weight
from evomerge.recipe import CheckpointRef
from evomerge.run import paths


def facts_of(references: Iterable[CheckpointRef], *, offline: bool) -> Facts:
    """Opens checkpoints and gives the facts about each.

    Args:
        references: The checkpoints; the tensors of all have the names of the first, where only a prefix differs.
        offline: Never ask the hub.

    Raises:
        InputError: If some cannot be found or read; all problems.
    """
    found = open_all(references, lambda ref: locate(paths.resolve(ref.source), ref.revision, offline=offline))
    return facts_from(Checkpoints(found))


def facts_from(opened: Checkpoints) -> Facts:
    """The facts about checkpoints that are open."""

    @functools.cache
    def facts(ref: CheckpointRef) -> ModelFacts:
        source = opened[ref]
        names = (n for n, spec in source.specs.items() if n not in source.aliases and is_weight(n, spec))
        dtype = str(stored_dtype(source)).removeprefix("torch.")
        return ModelFacts(tuple(names), dtype, chat_templates(source.path).get(DEFAULT_TEMPLATE))

    return facts
