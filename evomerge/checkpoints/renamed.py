"""A source in the form of another one: under its tensor names, with output embeddings where that one has them.

A checkpoint saved from a bare base model has no prefix in its names (``h.0.ln_1.weight``), one saved from the model
with its head has (``transformer.h.0.ln_1.weight``). Published bases and their fine-tuned descendants often differ in
this, and transformers loads both. A tied checkpoint is merged with an untied one as what it is: its output embeddings
are its input embeddings.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.comparison.derived import read_config
from evomerge.checkpoints.heads import is_embedding, is_head, says_tied, tied_heads, untied_heads
from evomerge.checkpoints.source import CheckpointSource, TensorSpec
from evomerge.recipe import DEFAULT_LAYER_PATTERN, DEFAULT_PATTERNS

_TOWER = re.compile(DEFAULT_PATTERNS[0][1])


class RenamedSource:
    """Another source's tensors under other names; see :class:`~evomerge.checkpoints.source.CheckpointSource`.

    Args:
        source: The source.
        names: New name to the source's own, of all its tensors.
        heads: Output embeddings that the source does not store: name to the new name of the embeddings that they are.

    Attributes:
        source: The source.
        names: New name to the source's own.
    """

    def __init__(
        self, source: CheckpointSource, names: Mapping[str, str], heads: Mapping[str, str] | None = None
    ) -> None:
        heads = heads or {}
        self.source = source
        self.names = {**names, **{head: names[name] for head, name in heads.items()}}
        self.path: Path = source.path
        self.config: Mapping[str, Any] = source.config
        self.specs: Mapping[str, TensorSpec] = {name: source.specs[own] for name, own in self.names.items()}
        new = {own: name for name, own in names.items()}
        self.aliases: Mapping[str, str] = {**{new[head]: new[name] for head, name in source.aliases.items()}, **heads}

    def tensor(self, name: str) -> torch.Tensor:
        """The values of one tensor."""
        return self.source.tensor(self.names[name])

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of a mapped file."""
        return self.source.in_place(self.names[name])

    def file(self, name: str) -> Path:
        """The file that holds a tensor's values."""
        return self.source.file(self.names[name])

    def fingerprint(self) -> str:
        """The source's own fingerprint: names do not change what it is."""
        return self.source.fingerprint()

    def release(self) -> None:
        """Gives up what the source keeps for reading."""
        self.source.release()


def in_form_of(reference: CheckpointSource, other: CheckpointSource) -> CheckpointSource:
    """Gives a source under the names of a reference, and with its output embeddings.

    Names are changed where they differ by a prefix alone. Where the reference has output embeddings of its own and
    the other is tied and stores none, it gives its input embeddings for them; where the reference is tied, output
    embeddings that equal the input ones are no tensor of their own, whatever the other's config says.

    Args:
        reference: The source whose form is wanted.
        other: The source to give it to.

    Returns:
        ``other`` itself where nothing is to be changed, or names differ otherwise.
    """
    renamed = _renamed(reference, other)
    return _with_head(reference, renamed) if untied_heads(reference) else _without_head(renamed)


def _with_head(reference: CheckpointSource, other: CheckpointSource) -> CheckpointSource:
    own = untied_heads(reference)
    if len(own) != 1 or any(map(is_head, other.specs)) or not _is_tied(other):
        return other
    wide = reference.specs[own[0]].shape[1:]
    both = [(name, spec) for name, spec in other.specs.items() if name in reference.specs]
    embeddings = [name for name, spec in both if is_embedding(name) and spec.shape[1:] == wide]
    if not embeddings:
        return other
    return RenamedSource(other, {name: name for name in other.specs}, {own[0]: embeddings[0]})


def _without_head(other: CheckpointSource) -> CheckpointSource:
    """A source whose output embeddings are no tensor of their own where their values are those of the input ones."""
    repeated = tied_heads({}, other.specs, other.tensor) if untied_heads(other) else {}
    if not repeated:
        return other
    return RenamedSource(other, {name: name for name in other.specs}, repeated)


def _is_tied(source: CheckpointSource) -> bool:
    """Whether a checkpoint that stores no output embeddings is tied: by its config, or its architecture's default."""
    said = says_tied(source.config)
    if said is None and (config := read_config(source)) is not None:
        said = getattr(config.get_text_config(), "tie_word_embeddings", None)
    return bool(said)


def _renamed(reference: CheckpointSource, other: CheckpointSource) -> CheckpointSource:
    wanted, given = (_body(source.specs) for source in (reference, other))
    if not wanted or not given or wanted & given:
        return other
    for longer, shorter in ((wanted, given), (given, wanted)):
        prefix = _prefix(longer, shorter)
        if prefix:
            add, remove = (prefix, "") if longer is wanted else ("", prefix)
            new = {own: own if is_head(own) else add + own.removeprefix(remove) for own in other.specs}
            return RenamedSource(other, {name: own for own, name in new.items()})
    for whole, part in ((wanted, given), (given, wanted)):
        if (prefixes := _language_model(whole, part)) is not None:
            add, remove = prefixes if whole is wanted else prefixes[::-1]
            return RenamedSource(other, _moved(reference, other, add, remove))
    return other


def _language_model(whole: set[str], part: set[str]) -> tuple[str, str] | None:
    """The prefixes of a language model inside a model that also sees or hears, and by itself; None for other models."""
    if not any(_TOWER.search(name) for name in whole) or any(_TOWER.search(name) for name in part):
        return None
    sample = next((name for name in sorted(part) if re.search(DEFAULT_LAYER_PATTERN, name)), "").split(".")
    for count in range(len(sample) - 1):
        tail = ".".join(sample[count:])
        found = [name for name in whole if f".{name}".endswith(f".{tail}") and re.search(DEFAULT_LAYER_PATTERN, name)]
        if len(found) == 1:
            return found[0].removesuffix(tail), "".join(f"{module}." for module in sample[:count])
    return None


def _moved(reference: CheckpointSource, other: CheckpointSource, add: str, remove: str) -> dict[str, str]:
    """New to own names, one prefix for the other, where the reference has that name; heads by how their names end."""
    heads = [name for name in reference.specs if is_head(name)]
    found: dict[str, str] = {}
    for own in other.specs:
        new = add + own.removeprefix(remove) if own.startswith(remove) else own
        if is_head(own):
            new = next((head for head in heads if head.endswith(own) or own.endswith(head)), own)
        found[new if new in reference.specs else own] = own
    return found


def _body(names: Iterable[str]) -> set[str]:
    """Names without heads, which belong to no base model and have no prefix."""
    return {name for name in names if not is_head(name)}


def _prefix(longer: set[str], shorter: set[str]) -> str:
    """The modules that all names of one set begin with, where the names without them are those of the other."""
    first, last = (name.split(".")[:-1] for name in (min(longer), max(longer)))
    common = [
        one for one, other in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    ]
    for count in range(len(common), 0, -1):
        prefix = "".join(f"{module}." for module in common[:count])
        if {name.removeprefix(prefix) for name in longer} & shorter:
            return prefix
    return ""
