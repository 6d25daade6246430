"""A source under the tensor names of another one.

A checkpoint saved from a bare base model has no prefix in its names (``h.0.ln_1.weight``), one saved from the model
with its head has (``transformer.h.0.ln_1.weight``). Published bases and their fine-tuned descendants often differ in
this, and transformers loads both.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.heads import is_head
from evomerge.checkpoints.source import CheckpointSource, TensorSpec


class RenamedSource:
    """Another source's tensors under other names; see :class:`~evomerge.checkpoints.source.CheckpointSource`.

    Args:
        source: The source.
        names: New name to the source's own, of all its tensors.
    """

    def __init__(self, source: CheckpointSource, names: Mapping[str, str]) -> None:
        self._source = source
        self._names = names
        self.path: Path = source.path
        self.config: Mapping[str, Any] = source.config
        self.specs: Mapping[str, TensorSpec] = {name: source.specs[own] for name, own in names.items()}
        new = {own: name for name, own in names.items()}
        self.aliases: Mapping[str, str] = {new[head]: new[name] for head, name in source.aliases.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """The values of one tensor."""
        return self._source.tensor(self._names[name])

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of a mapped file."""
        return self._source.in_place(self._names[name])

    def file(self, name: str) -> Path:
        """The file that holds a tensor's values."""
        return self._source.file(self._names[name])

    def fingerprint(self) -> str:
        """The source's own fingerprint: names do not change what it is."""
        return self._source.fingerprint()

    def release(self) -> None:
        """Gives up what the source keeps for reading."""
        self._source.release()


def under_names_of(reference: CheckpointSource, other: CheckpointSource) -> CheckpointSource:
    """Gives a source under the names of a reference, where they differ by a prefix alone.

    Args:
        reference: The source whose names are wanted.
        other: The source to rename.

    Returns:
        ``other`` itself where its names are the reference's, or differ otherwise.
    """
    wanted, given = (_body(source.specs) for source in (reference, other))
    if not wanted or not given or wanted & given:
        return other
    for longer, shorter in ((wanted, given), (given, wanted)):
        prefix = _prefix(longer, shorter)
        if prefix:
            add, remove = (prefix, "") if longer is wanted else ("", prefix)
            new = {own: own if is_head(own) else add + own.removeprefix(remove) for own in other.specs}
            return RenamedSource(other, {name: own for own, name in new.items()})
    return other


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
