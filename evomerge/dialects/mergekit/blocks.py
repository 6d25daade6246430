"""The shape of a merge: which tensors of which models each tensor comes from, as mergekit's planner has it.

A block is tensors that have their models in common: one layer of a merged model that is put together from layers, what
stands before or after these, or a whole module of models that are merged layer by layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evomerge.dialects.mergekit.config import Configuration, ModuleEntry, SliceEntry, SourceEntry
from evomerge.dialects.mergekit.facts import ModelFacts
from evomerge.dialects.mergekit.grouping import patterned
from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.dialects.mergekit.settings import Parameters
from evomerge.errors import InputError
from evomerge.recipe import DEFAULT_LAYER_PATTERN, layer_of, stands_before

FactsOf = Callable[[ModelName], ModelFacts]

# Modules by mergekit's names for them, tried in order; what none of them takes belongs to the language model.
_MODULES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("multi_modal_projector",), r"projector|merger"),
    (("vision_tower", "vision_model"), r"vision|visual"),
    (("encoder",), r"^(?:model\.)?encoder\."),
    (("decoder",), r"^(?:model\.)?decoder\."),
)
_REST = ("default", "text_decoder", "shared")


@dataclass(frozen=True)
class Member:
    """One tensor of a block.

    Attributes:
        name: Its name in the merged model.
        inputs: Its name in each model of the block.
        depth: Its place in its slice, from 0 to 1.
    """

    name: str
    inputs: tuple[str, ...]
    depth: float


@dataclass(frozen=True)
class Block:
    """Tensors that have their models in common.

    Attributes:
        where: The place in the configuration, for messages.
        sources: The models, each with the layer that is taken, if it is one.
        base: Their base.
        levels: Parameters of each source, from the innermost to the outermost.
        shared: The same without those of single models.
        members: The tensors.
        layer: Number of the merged model's layer; None outside layers, or where models are merged layer by layer.
    """

    where: str
    sources: tuple[tuple[ModelName, int | None], ...]
    base: ModelName | None
    levels: tuple[tuple[Parameters, ...], ...]
    shared: tuple[Parameters, ...]
    members: tuple[Member, ...]
    layer: int | None = None


@dataclass(frozen=True)
class Shape:
    """All blocks of a merged model.

    Attributes:
        blocks: Those outside layers first: one for each module that is merged layer by layer; or, of a model that is
            put together from layers, what stands before and what stands after these.
        stacked: Whether the model is put together from layers, rather than merged layer by layer.
    """

    blocks: tuple[Block, ...]
    stacked: bool


def shape_of(configuration: Configuration, facts: FactsOf) -> Shape:
    """Works out the shape of a configuration's merge.

    Args:
        configuration: The configuration.
        facts: Gives the facts about a model.

    Raises:
        InputError: If models do not have the layers that it names, or equally many where all are merged.
    """
    template = facts(configuration.base or next(entry.model for _, entry in configuration.entries()))
    modules = _members(configuration, template)
    blocks: list[Block] = []
    problems: list[str] = []
    for name, module in configuration.modules.items():
        where = "" if name is None else f"modules.{name}."
        try:
            if module.models:
                blocks.append(_whole(configuration, module, where, modules[name], facts))
            else:
                blocks += _Stack(configuration, module, where, modules[name], facts).blocks()
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError([f"{configuration.where}: {problem}" for problem in problems])
    return Shape(tuple(blocks), _stacked(blocks, facts))


def _stacked(blocks: Sequence[Block], facts: FactsOf) -> bool:
    """Whether layers are others than the same layer of the same models, each once."""
    layers = [block for block in blocks if block.layer is not None]
    models, base = [model for model, _ in blocks[0].sources], blocks[0].base
    alike = all([model for model, _ in block.sources] == models and block.base == base for block in blocks)
    same = all(layer == block.layer for block in layers for _, layer in block.sources)
    return bool(layers) and not (alike and same and all(len(facts(model).layers) == len(layers) for model in models))


def _members(configuration: Configuration, template: ModelFacts) -> Mapping[str | None, tuple[str, ...]]:
    """The tensors of each module that the configuration names."""
    names = [name for name in configuration.modules if name is not None]
    if len(template.counts) <= 1 or not names:
        if len(names) > 1 or any(name not in _REST for name in names):
            raise InputError(f"{configuration.where}: modules names {', '.join(names)}; this model has one, default")
        if len(template.counts) > 1 and configuration.modules[None].slices:
            raise InputError(
                f"{configuration.where}: slices of a model of several parts ({', '.join(template.counts)}); write "
                "modules, with the slices of each part"
            )
        return dict.fromkeys(configuration.modules, template.names)
    found: dict[str | None, list[str]] = {name: [] for name in names}
    left: list[str] = []
    for tensor in template.names:
        kinds = next((kinds for kinds, pattern in _MODULES if re.search(pattern, tensor)), _REST)
        owner = next((name for name in names if name in kinds), None)
        (left if owner is None else found[owner]).append(tensor)
    problems = [f"modules.{name} is no part of this model" for name, tensors in found.items() if not tensors]
    if left:
        problems.append(f"modules says nothing of {len(left)} tensors, {left[0]!r} among them")
    if problems:
        raise InputError([f"{configuration.where}: {problem}" for problem in problems])
    return {name: tuple(tensors) for name, tensors in found.items()}


def _whole(
    configuration: Configuration, module: ModuleEntry, where: str, names: Sequence[str], facts: FactsOf
) -> Block:
    """The block of models that are merged layer by layer. The base is one of them, listed or not."""
    entries, base = list(module.models), configuration.base
    if base is not None and all(entry.model != base for entry in entries):
        entries.append(SourceEntry(base))
    depths = {str(entry.model): len(facts(entry.model).layers) for entry in entries}
    if len(set(depths.values())) > 1:
        told = ", ".join(f"{model} has {count}" for model, count in depths.items())
        raise InputError(f"{where}models have different numbers of layers ({told}); name layers by slices")
    template = facts(base or entries[0].model)
    members = tuple(Member(name, (name,) * len(entries), template.depth(name)) for name in names)
    return _block(f"{where}models", [(entry, None) for entry in entries], base, _outer(configuration, module), members)


def _outer(configuration: Configuration, module: ModuleEntry) -> tuple[Parameters, ...]:
    return module.parameters, configuration.parameters


def _block(
    where: str,
    taken: Sequence[tuple[SourceEntry, int | None]],
    base: ModelName | None,
    shared: tuple[Parameters, ...],
    members: Sequence[Member],
    layer: int | None = None,
) -> Block:
    sources = tuple((entry.model, number) for entry, number in taken)
    levels = tuple((entry.parameters, *shared) for entry, _ in taken)
    names = [model for model, _ in sources]
    for model in names:
        if names.count(model) > 1:
            raise InputError(f"{where} names {model} twice; mergekit keeps one of them. Name it once")
    return Block(where, sources, base, levels, shared, tuple(members), layer)


@dataclass(frozen=True)
class _Stack:
    """A module that is put together from layers."""

    configuration: Configuration
    module: ModuleEntry
    where: str
    names: Sequence[str]
    facts: FactsOf

    def blocks(self) -> list[Block]:
        """The tensors before the layers and those after them, then each layer."""
        slices = self.module.slices
        problems: list[str] = []
        found: list[Block] = []
        try:
            found += self._ends(slices[0], slices[-1])
        except InputError as error:
            problems += error.problems
        count = 0
        for index, part in enumerate(slices):
            if beyond := list(self._beyond(part, f"{self.where}slices[{index}]")):
                problems += beyond
                count += 1
                continue
            for place in self._layers(part):
                try:
                    found.append(self._layer(part, f"{self.where}slices[{index}]", place, count))
                except InputError as error:
                    problems += [problem for problem in error.problems if problem not in problems]
                count += 1
        if count == 0:
            problems.append(f"{self.where}slices have no layer; expected one or more")
        if problems:
            raise InputError(problems)
        return found

    def _beyond(self, part: SliceEntry, where: str) -> Iterator[str]:
        """Ranges that end behind a model's last layer, however far; looked at before any layer is."""
        for index, entry in enumerate(part.sources):
            start, end = entry.layers or (0, 0)
            held = self.facts(entry.model).layers
            if end > start and end > 1 + max(held, default=-1):
                named = f"{where}.sources[{index}].layer_range is {[start, end]}"
                yield f"{named}, but {entry.model} has {len(held)} layers"

    def _layers(self, part: SliceEntry) -> range:
        start, end = part.sources[0].layers or (0, 0)
        return range(end - start)

    def _ends(self, first: SliceEntry, last: SliceEntry) -> Iterator[Block]:
        """The tensors outside layers: of the first slice's models before them, of the last one's after them."""
        outside = [name for name in self.names if layer_of(name, DEFAULT_LAYER_PATTERN) is None]
        groups = patterned((), self.names)
        before = [name for name in outside if stands_before(groups.place(name), name)]
        after = [name for name in outside if not stands_before(groups.place(name), name)]
        # As many models as the first slice has, and the first ones: mergekit pairs the two lists.
        paired = last.sources[: len(first.sources)]
        end = len(self.module.slices) - 1
        for number, part, entries, names in ((0, first, first.sources, before), (end, last, paired, after)):
            where = f"{self.where}slices[{number}].sources"
            taken = [(entry, None) for entry in entries]
            members = [Member(name, (name,) * len(entries), 0.0) for name in names]
            yield _block(where, taken, part.base or self.configuration.base, self._shared(part), members)

    def _layer(self, part: SliceEntry, where: str, place: int, number: int) -> Block:
        taken = [(entry, (entry.layers or (0, 0))[0] + place) for entry in part.sources]
        entry, layer = taken[0]
        total = len(self._layers(part))
        depth = place / (total - 1) if total > 1 else 1.0
        members = [
            Member(numbered(name, number), tuple(numbered(name, other) for _, other in taken), depth)
            for name in self.facts(entry.model).layers.get(layer, ())
        ]
        base = part.base or self.configuration.base
        return _block(f"{where}.sources", taken, base, self._shared(part), members, number)

    def _shared(self, part: SliceEntry) -> tuple[Parameters, ...]:
        return part.parameters, *_outer(self.configuration, self.module)


def numbered(name: str, number: int) -> str:
    """The name of the same tensor in another layer."""
    found = re.search(DEFAULT_LAYER_PATTERN, name)
    assert found is not None
    return f"{name[: found.start(1)]}{number}{name[found.end(1) :]}"
