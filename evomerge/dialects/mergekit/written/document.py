"""From a recipe to mergekit's YAML. What mergekit cannot say is refused, naming the field.

A recipe among the sources of another becomes a document of its own, which the other names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from evomerge import methods
from evomerge.dialects.mergekit.facts import Facts, ModelFacts
from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.dialects.mergekit.written.layers import Names, slices
from evomerge.dialects.mergekit.written.tokens import tokens
from evomerge.dialects.mergekit.written.values import Written, parameter
from evomerge.errors import InputError
from evomerge.recipe import DEFAULT_LAYER_PATTERN, AdapterRef, Recipe, Source


def written(recipe: Recipe, facts: Facts) -> str:
    """Writes a recipe as mergekit's YAML.

    Args:
        recipe: The recipe.
        facts: Gives the facts about the checkpoints that it names.

    Returns:
        The text: a document for each recipe inside, and then that of the recipe itself.

    Raises:
        InputError: With everything in it that mergekit has no words for.
    """
    writer = _Writer(facts)
    final = writer.document(recipe, "")
    if writer.problems:
        raise InputError(list(dict.fromkeys(writer.problems)))
    return yaml.safe_dump_all([*writer.documents.values(), final], sort_keys=False, allow_unicode=True)


@dataclass
class _Writer:
    """Writes documents, each recipe once.

    Attributes:
        facts: Facts about checkpoints.
        documents: Documents of recipes inside, by name.
        problems: What mergekit has no words for.
    """

    facts: Facts
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _known: dict[str, ModelFacts] = field(default_factory=dict)

    def name(self, source: Source, where: str) -> ModelName:
        """The name of a source; a recipe is written first."""
        if not isinstance(source, Recipe):
            return ModelName.of(source)
        if source.label not in self.documents:
            self.documents[source.label] = {}  # keeps its place, and ends what names itself
            self.documents[source.label] = {"name": source.label, **self.document(source, where)}
        return ModelName(source.label)

    def facts_of(self, source: Source) -> ModelFacts:
        """The facts about a source's model."""
        if isinstance(source, Recipe):
            return self._known[source.digest]
        return self.facts(source.on if isinstance(source, AdapterRef) else source)

    def document(self, recipe: Recipe, where: str) -> dict[str, Any]:
        """The document of a recipe; where it is none, what is wrong is among the problems."""
        names = [self.name(source, f"{where}sources[{index}].") for index, source in enumerate(recipe.sources)]
        base = None if recipe.base is None else self.name(recipe.base, f"{where}base.")
        known = Names(tuple(names), base)
        found = self.facts_of(recipe.first)
        problems = [*_problems(recipe, known)]
        document: dict[str, Any] = {}
        try:
            values = Written.of(recipe)
            if not problems:
                document, tensors = self._merge(recipe, known, values, found)
                self._known[recipe.digest] = ModelFacts(tensors, recipe.out_dtype)
        except InputError as error:
            problems += error.problems
        self._known.setdefault(recipe.digest, found)

        def template(place: int | str) -> str | None:
            source = recipe.base if place == "base" else recipe.sources[int(place)]
            return None if source is None else self.facts_of(source).chat_template

        try:
            document |= {"dtype": recipe.dtype, "out_dtype": recipe.out_dtype} | tokens(recipe, known, template)
        except InputError as error:
            problems += error.problems
        self.problems += [f"{where}{problem}" for problem in problems]
        return document

    def _merge(
        self, recipe: Recipe, names: Names, values: Written, found: ModelFacts
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The keys for what is merged, and the names of the merged tensors."""
        method = methods.load(recipe.method)
        document: dict[str, Any] = {"merge_method": recipe.method}
        if method.base == "none":
            document["base_model"] = names.sources[0].written()
        elif names.base is not None:
            document["base_model"] = names.base.written()
        beside = method.base == "optional" and names.base is not None and names.base not in names.sources
        shared = dict(values.parameters)
        if recipe.layers or beside:
            # Among models the base would be merged; slices have it for its config alone.
            facts = [self.facts_of(source) for source in recipe.sources]
            document["slices"], tensors = slices(recipe, names, values, facts, found)
        else:
            tensors = found.names
            rows = {name: recipe.groups.index(name) for name in tensors}
            models: list[dict[str, Any]] = [{"model": name.written()} for name in names.sources]
            for coefficient, array in values.coefficients.items():
                if array.ndim == 1:
                    shared[coefficient] = parameter({name: float(array[row]) for name, row in rows.items()})
                    continue
                for position, entry in enumerate(models):
                    own = {name: float(array[row, position]) for name, row in rows.items()}
                    entry.setdefault("parameters", {})[coefficient] = parameter(own)
            document["models"] = models
        return document | ({"parameters": shared} if shared else {}), tensors


def _problems(recipe: Recipe, names: Names) -> Iterator[str]:
    """The fields of a recipe that mergekit has nothing for."""
    method = methods.load(recipe.method)
    for number, layer in enumerate(recipe.layers):
        if layer.scale != 1.0:
            yield f"layers[{number}].scale is {layer.scale:g}; mergekit scales no hidden states"
    if recipe.layers and recipe.groups.layer_pattern != DEFAULT_LAYER_PATTERN:
        yield f"groups.layer_pattern is {recipe.groups.layer_pattern!r}; slices take layers by the usual names"
    if recipe.post:
        yield f"post names {', '.join(step.name for step in recipe.post)}; mergekit takes no steps after the merge"
    if recipe.statistics:
        yield "statistics names data that the method reads; mergekit's methods read none"
    if recipe.embeddings != "merge":
        yield f"embeddings is {recipe.embeddings!r}; mergekit merges them"
    if recipe.unmatched != "refuse":
        yield f"unmatched is {recipe.unmatched!r}; mergekit has rules of its own for tensors that only some models have"
    if not recipe.layers:
        for name in dict.fromkeys(names.sources):
            if names.sources.count(name) > 1:
                yield f"sources name {name} {names.sources.count(name)} times; mergekit takes a model once"
    if method.takes_deltas(names.base is not None) and names.base in names.sources:
        yield f"base is {names.base}, which is one of the sources too; mergekit merges no delta of the base"
