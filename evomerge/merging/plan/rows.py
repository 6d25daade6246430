"""Rows of embeddings: which of them are merged with which, where vocabularies differ."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evomerge.checkpoints import CheckpointSource, embedding_rows, is_vocabulary
from evomerge.errors import InputError
from evomerge.merging.plan.inputs import Input
from evomerge.merging.plan.outputs import OutputTensor
from evomerge.merging.plan.recipe_source import RecipeSource
from evomerge.merging.vocabulary.defaults import Defaults, Member, defaults
from evomerge.merging.vocabulary.merged import MergedTokenizer, merged_tokenizer
from evomerge.merging.vocabulary.stored import StoredTokenizer, TokenizerSource
from evomerge.merging.vocabulary.token_rows import token_rows
from evomerge.recipe import Recipe, Tokenizer


@dataclass(frozen=True)
class Rows:
    """The rows that are read for one output tensor.

    Attributes:
        inputs: The inputs, their rows chosen.
        count: Number of the output's rows; None where they are those of the model that gives it its shape.
        tail: The output's last rows, which are not merged; None where all are.
        key: Stands for the choice; empty where every input is read whole.
    """

    inputs: tuple[Input, ...]
    count: int | None = None
    tail: Input | None = None
    key: tuple[Hashable, ...] = ()


def common_rows(inputs: Sequence[Input], model: Input, shape: Sequence[int]) -> Rows:
    """Finds the rows that all inputs of an output tensor have.

    Rows of one number mean the same token in all of them. The first that all have are merged; those that only some have
    stay as the model has them that gives the output its shape, and what that one lacks is left out.

    Args:
        inputs: What is merged.
        model: The tensor of the model that gives the output its shape.
        shape: That shape.
    """
    specs = [entry.source.specs.get(entry.name) for entry in inputs]
    if not is_vocabulary(inputs[0].name) or any(spec is None or spec.shape[1:] != tuple(shape[1:]) for spec in specs):
        return Rows(tuple(inputs))
    counts = [spec.shape[0] for spec in specs if spec is not None and spec.shape]
    common = min([shape[0], *counts])
    if {shape[0], *counts} == {common}:
        return Rows(tuple(inputs))
    tail = model.of_rows(common, shape[0]) if common < shape[0] else None
    return Rows(tuple(entry.of_rows(0, common) for entry in inputs), None, tail, (str(model.source.path), common))


class TokenMatching:
    """Embeddings merged token by token, for one recipe.

    Args:
        recipe: A recipe that says what tokenizer its model gets.
        sources: The base, or None, and the sources, opened; a source's place is its position here.

    Attributes:
        tokenizer: The model's tokenizer.
        digest: Stands for the tokens of all sources and of the model.

    Raises:
        InputError: If tokenizers cannot be read, or the recipe names tokens that are not there.
    """

    def __init__(self, recipe: Recipe, sources: Sequence[CheckpointSource | None]) -> None:
        self._said: Tokenizer = recipe.tokenizer
        self._sources = sources
        self._tokenizers = _tokenizers(sources)
        rows = [0 if source is None else embedding_rows(source) or 0 for source in sources]
        pairs = [None if found is None else (found, count) for found, count in zip(self._tokenizers, rows, strict=True)]
        self.tokenizer: MergedTokenizer = merged_tokenizer(recipe.tokenizer, pairs)
        text = json.dumps([recipe.tokenizer.to_json(), dict(self.tokenizer.ids)], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        for found in self._tokenizers:
            digest.update(json.dumps(None if found is None else dict(found.ids), sort_keys=True).encode())
        self.digest = digest.hexdigest()
        self.tokenizer = replace(self.tokenizer, digest=self.digest)
        self._defaults = functools.lru_cache(maxsize=8)(self._work_out)
        self._defaults(tuple(rows))

    @property
    def tokens(self) -> int:
        """Number of rows that tokens take."""
        return max(self.tokenizer.ids.values(), default=-1) + 1

    def rows(self, inputs: Sequence[tuple[int, Input]], name: str) -> Rows:
        """Chooses the rows of an output tensor's inputs.

        Args:
            inputs: The place of each input's source, and the input.
            name: The output tensor.
        """
        specs = [None if source is None else source.specs.get(name) for source in self._sources]
        counts = tuple(0 if spec is None else spec.shape[0] for spec in specs)
        found = self._defaults(counts)
        tensors = [None if spec is None else (source, name) for source, spec in zip(self._sources, specs, strict=True)]
        padding = self._padding()
        chosen = tuple(self._chosen(entry, place, found, tensors, padding or 0) for place, entry in inputs)
        giver = self._sources[self.tokenizer.place]
        left = counts[self.tokenizer.place] - self.tokens
        tail = None
        if padding is None and left > 0 and giver is not None:
            whole = Input(giver, name, stored=not isinstance(giver, RecipeSource))
            tail = whole.of_rows(self.tokens, self.tokens + left)
        total = self.tokens + (max(0, left) if padding is None else padding)
        return Rows(chosen, total, tail, (self.digest, counts, str(giver.path if giver else "")))

    def config(self, config: Mapping[str, Any], tensors: Mapping[str, OutputTensor]) -> dict[str, Any]:
        """A config with the size of the model's vocabulary, and the ids of the tokens that it names.

        Args:
            config: The config but for these.
            tensors: The model's tensors.
        """
        found = self.tokenizer.special_ids("config.json", config)
        rows = next((t.spec.shape[0] for name, t in tensors.items() if is_vocabulary(name)), self.tokens)
        text = found.get("text_config")
        if "vocab_size" not in found and isinstance(text, Mapping) and "vocab_size" in text:
            found["text_config"] = {**text, "vocab_size": rows}
        else:
            found["vocab_size"] = rows
        return found

    def _padding(self) -> int | None:
        """Rows behind the tokens that make a multiple; None where the tokenizer's model says how many there are."""
        multiple = self._said.pad_to_multiple_of
        return None if multiple is None else -self.tokens % multiple

    def _work_out(self, counts: tuple[int, ...]) -> Defaults:
        members: dict[int, Member] = {}
        places: list[Member | None] = []
        for place, (source, found) in enumerate(zip(self._sources, self._tokenizers, strict=True)):
            if source is None or found is None:
                places.append(None)
                continue
            label = "the base" if place == 0 else f"sources[{place - 1}]"
            name = f"{label} ({str(source.path)!r})"
            places.append(members.setdefault(id(source), Member(name, found.ids, counts[place])))
        return defaults(self.tokenizer.ids, places, self._said.tokens, self.tokenizer.place)

    def _chosen(self, entry: Input, place: int, found: Defaults, tensors: Sequence[Any], padding: int) -> Input:
        where, row = found.of(place)
        if not padding and (where == place).all() and (row == np.arange(len(row))).all():
            return entry.of_rows(0, len(row))  # read in place
        stored = not any(isinstance(source, RecipeSource) for source, _ in filter(None, tensors))
        return replace(entry, rows=token_rows(tensors, found, place, padding), stored=stored)


def row_problems(template: CheckpointSource, sources: Mapping[str, CheckpointSource]) -> Iterator[str]:
    """Sources with a tokenizer of their own making, whose rows are not the template's."""
    made = [s for s in (template, *sources.values()) if isinstance(s, RecipeSource) and s.plan.outputs.tokenizer]
    if not made:
        return
    ids = tokenizer_of(template).ids
    for where, source in sources.items():
        try:
            unlike = [token for token, at in tokenizer_of(source).ids.items() if ids.get(token) not in (None, at)]
        except InputError as error:
            yield from error.problems
            continue
        if unlike:
            yield (
                f"{where} has {len(unlike)} tokens in other rows than the merged model, such as {unlike[0]!r}; merge "
                "token by token (tokenizer=base or union)"
            )


def tokenizer_of(source: CheckpointSource) -> TokenizerSource:
    """The tokenizer of a source: its folder's, or that of a recipe's model."""
    if isinstance(source, RecipeSource) and source.plan.outputs.tokenizer is not None:
        return source.plan.outputs.tokenizer
    return StoredTokenizer(source.path)


def _tokenizers(sources: Sequence[CheckpointSource | None]) -> list[TokenizerSource | None]:
    """The tokenizer of each source, read.

    Raises:
        InputError: If some cannot be read; all problems.
    """
    found: dict[int, TokenizerSource] = {}
    problems: list[str] = []
    for source in sources:
        if source is None or id(source) in found:
            continue
        found[id(source)] = tokenizer_of(source)
        try:
            found[id(source)].ids  # noqa: B018 - read now, so that all problems are told
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return [None if source is None else found[id(source)] for source in sources]
