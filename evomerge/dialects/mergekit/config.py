"""The typed content of one mergekit configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.dialects.mergekit.settings import Parameters


@dataclass(frozen=True)
class SourceEntry:
    """A model that is merged, or layers of one.

    Attributes:
        model: Its name.
        layers: Half-open range of its layers; None for all.
        parameters: Those of this model here.
    """

    model: ModelName
    layers: tuple[int, int] | None = None
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class SliceEntry:
    """Layers of the merged model that follow each other.

    Attributes:
        sources: The layers that are merged, equally many of each.
        base: The base of these layers where it is another than the configuration's.
        parameters: Those of these layers.
    """

    sources: tuple[SourceEntry, ...]
    base: ModelName | None = None
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class ModuleEntry:
    """A part of the model with layers of its own: its language model, its vision tower.

    Attributes:
        models: The models of which all layers are merged; empty where there are slices.
        slices: The layers, one range after the other.
        parameters: Those of the module.
    """

    models: tuple[SourceEntry, ...] = ()
    slices: tuple[SliceEntry, ...] = ()
    parameters: Parameters = field(default_factory=dict)

    def entries(self) -> Iterator[tuple[str, SourceEntry]]:
        """All models that it names, with the place of each."""
        yield from ((f"models[{index}]", entry) for index, entry in enumerate(self.models))
        for number, part in enumerate(self.slices):
            yield from ((f"slices[{number}].sources[{index}]", entry) for index, entry in enumerate(part.sources))


@dataclass(frozen=True)
class TokenEntry:
    """The embedding of a token.

    Attributes:
        kind: ``model``: of the same token of a model; ``model_token``: of another one; ``zero``; or None for the rules.
        model: The model.
        token: The other token there, by its text or by its number.
        force: Whether models that have the token get this embedding for it too.
    """

    kind: str | None = None
    model: ModelName | None = None
    token: str | int | None = None
    force: bool = False


@dataclass(frozen=True)
class TokenizerEntry:
    """The tokenizer of the merged model.

    Attributes:
        source: ``union``, ``base`` or a model.
        tokens: Tokens whose embeddings are said.
        pad_to_multiple_of: Number of which the rows of the embeddings become a multiple.
    """

    source: ModelName | str = "union"
    tokens: Mapping[str, TokenEntry] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None


@dataclass(frozen=True)
class Configuration:
    """One document.

    Attributes:
        where: Its place for messages: the file, and in a file of several documents which one it is.
        method: The merge method.
        modules: The parts of the model by name; one of the name None is the whole model.
        name: By which other documents name its model.
        base: The base model.
        parameters: Those of everything.
        dtype: The type that tensors are cast to before they are merged.
        out_dtype: The type that merged tensors are stored in.
        tokenizer: The tokenizer; None leaves it and the embeddings as they are.
        chat_template: ``auto``, the name of a known template, or a template.
    """

    where: str
    method: str
    modules: Mapping[str | None, ModuleEntry]
    name: str | None = None
    base: ModelName | None = None
    parameters: Parameters = field(default_factory=dict)
    dtype: str | None = None
    out_dtype: str | None = None
    tokenizer: TokenizerEntry | None = None
    chat_template: str | None = None

    def entries(self) -> Iterator[tuple[str, SourceEntry]]:
        """All models that are merged, with the place of each."""
        for name, module in self.modules.items():
            prefix = "" if name is None else f"modules.{name}."
            yield from ((prefix + where, entry) for where, entry in module.entries())

    def bases(self) -> Iterator[ModelName]:
        """The bases of the whole and of slices."""
        if self.base is not None:
            yield self.base
        yield from (part.base for module in self.modules.values() for part in module.slices if part.base is not None)

    def names(self) -> tuple[ModelName, ...]:
        """All models that the weights come from, each once: the base first, then in the order of the text."""
        return tuple(dict.fromkeys([*self.bases(), *(entry.model for _, entry in self.entries())]))

    def filters(self) -> frozenset[str]:
        """All parts of tensor names that parameters ask for."""
        levels = (level for _, level, _ in self.levels())
        return frozenset(part for level in levels for setting in level.values() for part in setting.filters)

    def levels(self) -> Iterator[tuple[str, Parameters, bool]]:
        """All mappings of parameters, with the place of each and whether it is a model's."""
        yield "parameters", self.parameters, False
        for name, module in self.modules.items():
            prefix = "" if name is None else f"modules.{name}."
            if name is not None:
                yield f"{prefix}parameters", module.parameters, False
            for number, part in enumerate(module.slices):
                yield f"{prefix}slices[{number}].parameters", part.parameters, False
        for where, entry in self.entries():
            yield f"{where}.parameters", entry.parameters, True
