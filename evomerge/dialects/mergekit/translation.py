"""From configurations to a recipe: every document is a recipe, and those that name others have these as sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evomerge.dialects.mergekit.assembly import Frame, assembled
from evomerge.dialects.mergekit.blocks import Block, Shape, shape_of
from evomerge.dialects.mergekit.config import Configuration
from evomerge.dialects.mergekit.documents import result_of
from evomerge.dialects.mergekit.facts import Facts, ModelFacts
from evomerge.dialects.mergekit.finishing import finished
from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.dialects.mergekit.parameters import Vocabulary
from evomerge.dialects.mergekit.values import ValuedBlock, settled, valued
from evomerge.dialects.mergekit_numbers import numbers_in
from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, Number, Recipe, Source


@dataclass(frozen=True)
class Translation:
    """A recipe that came from a configuration.

    Attributes:
        recipe: The recipe.
        notes: What the configuration says and mergekit does not read, one sentence each.
        numbers: The numbers of the configuration as it gives them, if they were asked for.
    """

    recipe: Recipe
    notes: tuple[str, ...] = ()
    numbers: tuple[Number, ...] = ()


def translated(configurations: Sequence[Configuration], facts: Facts, *, traced: bool = False) -> Translation:
    """Translates the documents of one file.

    Args:
        configurations: The documents.
        facts: Gives the facts about a checkpoint that they name.
        traced: Whether to say which coefficients each number of the result's document stands for. Tensors then share a
            group only where the same numbers apply to them.

    Raises:
        InputError: With everything that no recipe says, or that does not fit the models.
    """
    result = result_of(configurations)
    known = {other.name: other for other in configurations if other.name is not None}
    translator = _Translator(known, facts, result if traced else None)
    recipe, _ = translator.document(result, ())
    unused = [name for name in known if name not in translator.done and name != result.name]
    notes = [f"{known[name].where}: its model is no part of the result, so it is not built" for name in unused]
    return Translation(recipe, (*translator.notes, *notes), translator.numbers)


@dataclass(frozen=True)
class Shaped:
    """A configuration, the shape of its merge, and the words of its method."""

    configuration: Configuration
    shape: Shape
    words: Vocabulary


def shapes(configurations: Sequence[Configuration], facts: Facts) -> Iterator[Shaped]:
    """The shapes of the documents that the result is made of, each after those that it names.

    Args:
        configurations: The documents of one file, as :func:`translated` takes them.
        facts: Gives the facts about a checkpoint that they name.

    Raises:
        InputError: As :func:`translated`.
    """
    known = {other.name: other for other in configurations if other.name is not None}
    translator = _Translator(known, facts)
    translator.document(result_of(configurations), ())
    yield from translator.shapes


@dataclass
class _Translator:
    """Translates documents, each once.

    Attributes:
        known: The documents by name.
        facts: Facts about checkpoints.
        traced: The document of which numbers are traced.
        done: Recipes of documents by name, with the facts about their models.
        notes: What mergekit does not read.
        numbers: The numbers of the traced document.
        shapes: Shapes of the documents, in the order in which they were translated.
    """

    known: Mapping[str, Configuration]
    facts: Facts
    traced: Configuration | None = None
    done: dict[str, tuple[Recipe, ModelFacts]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    numbers: tuple[Number, ...] = ()
    shapes: list[Shaped] = field(default_factory=list)

    def document(self, configuration: Configuration, trail: tuple[str, ...]) -> tuple[Recipe, ModelFacts]:
        """The recipe of a document, and the facts about its model."""
        inner = self._inner(configuration, trail)

        def facts(name: ModelName) -> ModelFacts:
            if name.path in inner:
                return inner[name.path][1]
            source = name.source()
            return self.facts(source.on if isinstance(source, AdapterRef) else source)

        def source(name: ModelName) -> Source:
            return inner[name.path][0] if name.path in inner else name.source()

        words = Vocabulary.of(configuration.method)
        self.notes += [f"{configuration.where}: {note}" for note in words.unread(configuration)]
        shape = shape_of(configuration, facts)
        self.shapes.append(Shaped(configuration, shape, words))
        blocks = _all_valued(configuration, shape.blocks, words, traced=configuration is self.traced)
        first = configuration.base or next(entry.model for _, entry in configuration.entries())
        stored = facts(first).dtype
        # Without a type tensors are merged as they are stored, and deltas in the type of the base.
        dtype = configuration.dtype or (stored if words.method.base == "required" else "float32")
        out_dtype = configuration.out_dtype or configuration.dtype or stored
        frame = Frame(
            words.method,
            configuration.base,
            dtype,
            out_dtype,
            configuration.filters(),
            source,
            lambda recipe: finished(recipe, configuration, source, facts),
        )
        try:
            recipe = assembled(blocks, shape.stacked, frame)
            if configuration is self.traced:
                self.numbers = numbers_in(configuration, blocks, recipe)
        except InputError as error:
            raise InputError([f"{configuration.where}: {problem}" for problem in error.problems]) from error
        names = tuple(tensor.name for block in blocks for tensor in block.tensors)
        return recipe, ModelFacts(names, out_dtype, facts(first).chat_template)

    def _inner(self, configuration: Configuration, trail: tuple[str, ...]) -> dict[str, tuple[Recipe, ModelFacts]]:
        """The recipes of the documents that one names."""
        name = configuration.name
        trail = trail if name is None else (*trail, name)
        found: dict[str, tuple[Recipe, ModelFacts]] = {}
        problems: list[str] = []
        for model in configuration.names():
            if model.path not in self.known:
                continue
            if model.path in trail:
                raise InputError(f"{configuration.where}: documents name each other in a circle: {', '.join(trail)}")
            if model != ModelName(model.path):
                problems.append(
                    f"{configuration.where}: {model} is a revision or an adapter of the merge {model.path!r}; merge "
                    "that to a folder first, and name the folder"
                )
                continue
            if model.path not in self.done:
                self.done[model.path] = self.document(self.known[model.path], trail)
            found[model.path] = self.done[model.path]
        if problems:
            raise InputError(problems)
        return found


def _all_valued(
    configuration: Configuration, blocks: Sequence[Block], words: Vocabulary, *, traced: bool
) -> tuple[ValuedBlock, ...]:
    problems: list[str] = []
    found: list[ValuedBlock] = []
    for block in blocks:
        try:
            found.append(valued(block, words, traced=traced))
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    try:
        found = list(settled(found, words)) if not problems else found
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError([f"{configuration.where}: {problem}" for problem in problems])
    return tuple(found)
