"""Facts about models that other tools' files leave open, from the headers of their checkpoints."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from evomerge.checkpoints import CheckpointSource, locate, open_all, read_object, stored_dtype
from evomerge.dialects.mergekit.facts import Facts, ModelFacts
from evomerge.errors import InputError
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
        return ModelFacts(tuple(names), str(stored_dtype(source)).removeprefix("torch."), _chat_template(source))

    return facts


def _chat_template(source: CheckpointSource) -> str | None:
    """The template of a checkpoint's folder: of a file of its own, or in the tokenizer's settings."""
    own = source.path / "chat_template.jinja"
    if own.is_file():
        try:
            return own.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"{str(own)!r} cannot be read: {error}") from error
    settings = source.path / "tokenizer_config.json"
    template = read_object(settings).get("chat_template") if settings.is_file() else None
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None
