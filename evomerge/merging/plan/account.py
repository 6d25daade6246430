"""The account of a merge: for every tensor of the merged model and of its sources, what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.checkpoints import CheckpointSource, is_vocabulary
from evomerge.merging.checkpoints import is_weight
from evomerge.merging.plan.outputs import Outputs, OutputTensor
from evomerge.recipe import Recipe

_SHOWN = 3  # names in a line of the table


@dataclass(frozen=True)
class Entry:
    """Tensors that the same becomes of.

    Attributes:
        what: ``merged``, ``frozen``, ``copied``, ``kept`` or ``left out``.
        why: The reason, for people; empty for merged ones.
        names: The tensors, in the order of the files.
        weights: Number of their elements.
    """

    what: str
    why: str
    names: tuple[str, ...]
    weights: int

    def line(self, shown: int | None = _SHOWN) -> str:
        """The entry in words.

        Args:
            shown: Number of names that are told; None is all.
        """
        count = f"{len(self.names)} tensor{'' if len(self.names) == 1 else 's'}, {_count(self.weights)} weights"
        if self.what == "merged":
            return f"{self.what}: {count}"
        told = self.names[:shown]
        others = f" and {len(self.names) - len(told)} more" if len(told) < len(self.names) else ""
        return f"{self.what}: {count}, {self.why}: {', '.join(told)}{others}"

    def to_json(self) -> dict[str, Any]:
        """All fields; the names of merged tensors, which are most, are left out."""
        names = {} if self.what == "merged" else {"names": list(self.names)}
        return {"what": self.what, "why": self.why, "tensors": len(self.names), "weights": self.weights, **names}


def account(recipe: Recipe, outputs: Outputs, sources: Sequence[tuple[str, CheckpointSource]]) -> tuple[Entry, ...]:
    """Accounts for every tensor of a merged model and for the weights of its sources that are not in it.

    Args:
        recipe: The recipe.
        outputs: Its outputs.
        sources: The recipe's opened base and sources, each with the name that people know it by.
    """
    found = [_entry("merged", "", list(outputs.merged.values()))]
    groups = {row: group.label for row, group in enumerate(recipe.groups.groups)}
    copies: dict[tuple[str, str], list[OutputTensor]] = {}
    for tensor in outputs.tensors.values():
        if tensor.context is None:
            copies.setdefault(_why(tensor, recipe, outputs, groups), []).append(tensor)
    found += [_entry(what, why, tensors) for (what, why), tensors in copies.items()]
    return tuple(entry for entry in [*found, *_left_out(outputs, sources)] if entry.names)


def _why(tensor: OutputTensor, recipe: Recipe, outputs: Outputs, groups: Mapping[int, str]) -> tuple[str, str]:
    if tensor.name in outputs.kept:
        return "kept", f"of {tensor.inputs[0].source.path.name}"
    if tensor.row is None:
        return "copied", "integers and computed tables"
    if recipe.embeddings == "base" and is_vocabulary(tensor.name):
        return "frozen", "embeddings of the base"
    if recipe.groups.groups[tensor.row].frozen:
        return "frozen", f"group {groups[tensor.row]}"
    return "frozen", "without a match in every source"


def _left_out(outputs: Outputs, sources: Sequence[tuple[str, CheckpointSource]]) -> Iterator[Entry]:
    """Weights of sources that have no place in the merged model."""
    read = {(id(entry.source), entry.name) for tensor in outputs.tensors.values() for entry in tensor.inputs}
    stay = outputs.specs.keys() - outputs.kept
    for label, source in sources:
        names = [
            name
            for name, spec in source.specs.items()
            if (id(source), name) not in read and name not in stay and name not in source.aliases
            and is_weight(name, spec)
        ]  # fmt: skip
        weights = sum(source.specs[name].numel for name in names)
        yield Entry("left out", f"of {label}", tuple(names), weights)


def _entry(what: str, why: str, tensors: Sequence[OutputTensor]) -> Entry:
    return Entry(what, why, tuple(tensor.name for tensor in tensors), sum(tensor.spec.numel for tensor in tensors))


def _count(number: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)
