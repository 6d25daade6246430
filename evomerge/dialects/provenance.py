"""Where a mergekit configuration says what a tensor is merged with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evomerge.dialects.mergekit.blocks import Block, Member
from evomerge.dialects.mergekit.config import Configuration
from evomerge.dialects.mergekit.facts import Facts
from evomerge.dialects.mergekit.parameters import Vocabulary, per_model
from evomerge.dialects.mergekit.settings import Gradient, Parameters
from evomerge.dialects.mergekit.translation import Shaped, shapes
from evomerge.dialects.mergekit.values import Roles

_UNSAID = "not said; mergekit's default"


@dataclass(frozen=True)
class Said:
    """One value and its place in the file.

    Attributes:
        document: The configuration, for a file of several.
        parameter: mergekit's name for it.
        model: The model that it is for; None where it is for the merged tensor.
        value: The value for this tensor, as mergekit reads it; None where nothing is said and no default is a number.
        place: Its place: ``models[0].parameters.weight[1] (filter 'mlp')``.
    """

    document: str
    parameter: str
    model: str | None
    value: float | None
    place: str


def provenance(configurations: Sequence[Configuration], facts: Facts, tensor: str) -> list[Said]:
    """Finds the places of all values that a tensor is merged with, those of merges that it is merged from too.

    Args:
        configurations: The documents of a file that has been translated without a problem.
        facts: Gives the facts about a checkpoint.
        tensor: The name of a tensor of the result; of one that the file says nothing of, none are found.
    """
    known = {shaped.configuration.name: shaped for shaped in shapes(configurations, facts)}
    result = next(reversed(known.values()))  # documents come after those that they name
    return list(_said(result, known, tensor))


def _said(shaped: Shaped, known: Mapping[str | None, Shaped], tensor: str) -> Iterator[Said]:
    for block in shaped.shape.blocks:
        for member in block.members:
            if member.name == tensor:
                yield from _values(shaped, block, member)
                for (model, _), name in zip(block.sources, member.inputs, strict=True):
                    if model.path in known:
                        yield from _said(known[model.path], known, name)


def _values(shaped: Shaped, block: Block, member: Member) -> Iterator[Said]:
    words, where = shaped.words, shaped.configuration.where
    names = {id(level): place for place, level, _ in shaped.configuration.levels() if level}
    roles = Roles.of(block, words.method)
    if roles.copied:
        model = block.sources[roles.merged[0]][0]
        yield Said(where, "copy", str(model), None, f"{block.where}: the only model, so its tensor is taken as it is")
        return
    if not words.coefficients and not words.options:
        yield Said(where, words.method.name, None, None, "the method has no parameters")
    for name in words.coefficients:
        if not per_model(name):
            yield Said(where, name, None, *_place(name, block.shared, member.name, member.depth, names, words))
            continue
        for index in roles.merged:
            model, place = block.sources[index][0], member.inputs[index]
            found = _place(name, block.levels[index], place, member.depth, names, words)
            yield Said(where, name, str(model), *found)
    for name in words.options:
        yield Said(where, name, None, *_place(name, block.shared, member.name, member.depth, names, words))


def _place(
    name: str, stack: Sequence[Parameters], tensor: str, depth: float, names: Mapping[int, str], words: Vocabulary
) -> tuple[float | None, str]:
    """The value of a parameter, and where it stands."""
    for level in stack:
        for number, (part, values) in enumerate(level[name].choices if name in level else ()):
            if part is None or part in tensor:
                entry = f"[{number}]" if len(level[name].choices) > 1 or part is not None else ""
                taken = "" if part is None else f" (filter {part!r})"
                return values.at(depth), f"{names[id(level)]}.{name}{entry}{taken}{_along(values, depth)}"
    default = words.options.get(name) if name in words.options else words.read_value(name, (), tensor, depth)
    return (None if default is None else float(default)), _UNSAID


def _along(values: Gradient, depth: float) -> str:
    """The place between the points of a gradient."""
    if len(values.points) == 1:
        return ""
    place = depth * (len(values.points) - 1)
    left = min(int(place), len(values.points) - 2)
    ends = f"{values.points[left]:g} and {values.points[left + 1]:g}"
    return f", between its points {left} and {left + 1} ({ends}) at depth {depth:.3g}"
