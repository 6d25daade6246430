"""From a recipe and its opened sources to the tensors of its model."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from evomerge import methods
from evomerge.checkpoints import CheckpointSource, TensorSpec, dtype_at_rest, is_vocabulary, stored_dtype
from evomerge.errors import InputError
from evomerge.kernels import random_key
from evomerge.merging.checkpoints import Checkpoints, is_weight
from evomerge.merging.plan.common import how
from evomerge.merging.plan.inputs import Input
from evomerge.merging.plan.origins import Origin, origins
from evomerge.merging.plan.output_config import output_config
from evomerge.merging.plan.outputs import DTYPES, Outputs, OutputTensor
from evomerge.merging.plan.problems import count_problems, first_of, input_problems, layer_problems, step_count_problems
from evomerge.merging.plan.recipe_source import RecipeSource
from evomerge.merging.plan.rows import Rows, TokenMatching, common_rows, row_problems, tokenizer_of
from evomerge.merging.plan.sums import LowRankSum
from evomerge.merging.plan.unmatched import kept, lacks_match, second_heads, surplus
from evomerge.merging.vocabulary.merged import MergedTokenizer
from evomerge.merging.vocabulary.templates import chosen_templates
from evomerge.methods import TensorContext
from evomerge.post import Step, steps_of
from evomerge.recipe import Recipe, Source, Tokenizer, UnknownTensorName, count_layers, layer_of

Open = Callable[[Source], CheckpointSource]
"""Gives the opened source that a recipe names."""


def derive_outputs(recipe: Recipe, checkpoints: Checkpoints, opened: Open) -> Outputs:
    """Works out what a recipe makes of its sources.

    Args:
        recipe: The recipe; its coefficients are not looked at.
        checkpoints: The opened checkpoints.
        opened: Opens a source of the recipe.

    Raises:
        InputError: If a source cannot be opened. All other problems are part of the outputs.
    """
    return _Derivation(recipe, checkpoints, opened).outputs()


class _Derivation:
    """Works out the outputs of one recipe."""

    def __init__(self, recipe: Recipe, checkpoints: Checkpoints, opened: Open) -> None:
        self.recipe, self.method = recipe, methods.load(recipe.method)
        self.base, *self.sources = _opened(recipe, opened)
        # The model of a recipe may have other layers than the checkpoints; then so has what is merged with it.
        self.reference = checkpoints.reference
        self.template = (self.base or self.sources[0]) if isinstance(recipe.first, Recipe) else self.reference
        self.most = stored_dtype(self.template)
        try:
            self.options = self.method.resolve(recipe.options)
        except InputError:
            self.options = dict(recipe.options)  # the plan says what is wrong with them
        self.steps: tuple[Step, ...] = ()
        with contextlib.suppress(InputError):  # here as well
            self.steps = steps_of([replace(step, coefficients={}) for step in recipe.post])
        self.how = how(recipe, self.options)
        # Of the base, and of each source.
        self.identities = [source and json.dumps(source.identity()) for source in (recipe.base, *recipe.sources)]
        self.matching: TokenMatching | None = None

    def outputs(self) -> Outputs:
        """All tensors, with the problems found on the way."""
        problems = list(self._match_tokens())
        unknown: list[str] = []
        rows: list[tuple[Origin, int | None]] = []
        try:
            for origin in origins(self.recipe, self.template, self.sources):
                try:
                    rows.append((origin, self._row(origin)))
                except InputError as error:
                    unknown += error.problems
        except UnknownTensorName as error:  # of whom nobody can say on which side of the layers it stands
            unknown += error.problems
        problems += first_of(unknown, "more tensors belong to no group either")
        layers = [layer.to_json() for layer in self.recipe.layers]
        ends = [] if self.recipe.ends is None else [self.recipe.ends.to_json()]
        tokens = [] if self.matching is None else [self.matching.digest]
        prepared_key = json.dumps([self.how, self.identities, layers, *ends, *tokens])
        live = [
            origin.name
            for origin, row in rows
            if row is not None and not self._frozen(origin, row) and not self._unmatched(origin)
        ]
        # Without steps some methods add up stored parts, else whole tensors: these are not the same inputs.
        survey_key = json.dumps([prepared_key, self.recipe.seed, live, *(["steps"] if self.steps else [])])
        tensors = {origin.name: self._tensor(origin, row, survey_key) for origin, row in rows}
        more = self._kept()
        tensors |= more
        problems += [
            *layer_problems(self.recipe, self._named()),
            *self._surplus_problems(),
            *input_problems(tensors.values()),
        ]
        problems += count_problems(self.recipe, self.method, tensors.values())
        problems += step_count_problems(self.recipe, self.steps, tensors.values())
        config: Mapping[str, Any] = self.template.config
        if self.recipe.layers and not problems:
            try:
                config = output_config(self.recipe, self.template, self.sources)
            except InputError as error:
                problems += error.problems
        if self.matching is not None and not problems:
            config = self.matching.config(config, tensors)
        known = all(source is None or source.known_by_content for source in (self.recipe.base, *self.recipe.sources))
        tokenizer, templates = self._tokens(problems)
        return Outputs(
            self.method, self.options, tensors, frozenset(more), self.template.aliases, self.template, config,
            config != self.reference.config, prepared_key, survey_key, known, tuple(problems), tokenizer, templates,
            self.steps, count_layers(tensors, self.recipe.groups.layer_pattern), tuple(self._named().values()),
        )  # fmt: skip

    def _tokens(self, problems: list[str]) -> tuple[MergedTokenizer | None, Mapping[str, str] | None]:
        """Tokenizer and chat templates, where they are not those of the reference; adds the problems of the latter."""
        inner = self.template.plan.outputs if isinstance(self.template, RecipeSource) else None
        folders = [None if s is None else tokenizer_of(s).templates for s in (self.base, *self.sources)]
        try:
            templates = chosen_templates(self.recipe.chat_template, folders)
        except InputError as error:
            problems += error.problems
            templates = None
        if self.matching is not None:
            return self.matching.tokenizer, templates
        return (None, templates) if inner is None else (inner.tokenizer, templates or inner.chat_templates)

    def _row(self, origin: Origin) -> int | None:
        """The row of coefficients of an output tensor; None for what no merge makes."""
        source, name = self._model(origin)
        if not is_weight(name, source.specs[name]):
            return None
        if origin.layer is not None and origin.layer.row is not None:
            return origin.layer.row
        if self._of_base(name):
            return 0  # of coefficients that are not used; its group may not be among the recipe's
        return self.recipe.groups.index(origin.name)

    def _model(self, origin: Origin) -> tuple[CheckpointSource, str]:
        """The tensor that an output tensor has its type and shape from."""
        if origin.layer is None:
            return self.template, origin.name
        source, name = origin.inputs[0]
        return self.sources[source], name

    def _identity(self, origin: Origin) -> str:
        """Stands for the source that an output tensor has its type and shape from."""
        source, _ = self._model(origin)
        return source.plan.recipe.digest if isinstance(source, RecipeSource) else str(source.path)

    def _tensor(self, origin: Origin, row: int | None, survey_key: str) -> OutputTensor:
        model, name = self._model(origin)
        if row is None:
            spec = model.specs[name]
            copied = ("copied", self._identity(origin), name)
            return OutputTensor(origin.name, spec, (Input(model, name),), None, None, False, copied)
        spec = TensorSpec(self._stored(dtype_at_rest(model, name)), model.specs[name].shape)
        own = [(0, origin.base)] if self.base is not None and origin.base is not None else []
        named = [*own, *((index + 1, name) for index, name in origin.inputs)]
        apart = self._unmatched(origin)
        by_token = self.matching is not None and origin.layer is None and is_vocabulary(origin.name)
        if apart and not by_token:
            stays = ("frozen", self._identity(origin), name, self.recipe.out_dtype)
            entry = Input(model, name, stored=not isinstance(model, RecipeSource))
            return OutputTensor(origin.name, spec, (entry,), row, None, False, stays)
        whole = apart or self._frozen(origin, row)
        named = named[:1] if whole else named
        dtype = None if whole else DTYPES[self.recipe.dtype]
        inputs = [(place, self._input(place, own, dtype)) for place, own in named]
        rows = self._rows(inputs, Input(model, name, stored=not isinstance(model, RecipeSource)), by_token)
        if rows.count is not None:
            spec = TensorSpec(spec.dtype, (rows.count, *spec.shape[1:]))
        names = tuple((self.identities[place], name) for place, name in named)
        out = (self.recipe.out_dtype, *rows.key)
        if whole:
            frozen = ("frozen", *names[0], *out)
            return OutputTensor(origin.name, spec, rows.inputs, row, None, False, frozen, rows.tail)
        context = self._context(origin)
        key = (survey_key if self.method.survey is not None else self.how, context, names, *out)
        summed = self.method.sums is not None and rows.tail is None and not self.steps  # steps see whole models
        based, parts = bool(own), LowRankSum.of(rows.inputs, bool(own)) if summed else None
        places, like = tuple(place for place, _ in named), (spec, rows.inputs, row, context)
        return OutputTensor(origin.name, *like, based, key, rows.tail, parts, places)

    def _rows(self, inputs: Sequence[tuple[int, Input]], model: Input, by_token: bool) -> Rows:
        """The rows that are read of an output tensor's inputs, which come with the places of their sources."""
        if by_token and self.matching is not None:
            return self.matching.rows(inputs, model.name)
        return common_rows([entry for _, entry in inputs], model, model.source.specs[model.name].shape)

    def _match_tokens(self) -> Iterator[str]:
        """Looks tokens up where the recipe merges by token; where it merges by row, tells of those in other rows."""
        if self.recipe.tokenizer == Tokenizer():
            yield from [] if self.recipe.embeddings == "base" else row_problems(self.template, self._named())
            return
        source = self.recipe.tokenizer.source
        if self.recipe.embeddings == "base" and source not in (None, "base"):
            yield f"embeddings is 'base', so the tokens are the base's, but tokenizer.source is {source!r}"
            return
        try:
            self.matching = TokenMatching(self.recipe, (self.base, *self.sources))
        except InputError as error:
            yield from error.problems

    def _stored(self, own: torch.dtype) -> torch.dtype:
        """The type that a merged tensor is stored in.

        That is the recipe's, but a model that is stored in a narrow type has its few float32 tensors for a reason: the
        corrections of a router's load balancing and the decays of state-space layers do not survive rounding.
        """
        out = DTYPES[self.recipe.out_dtype]
        return own if own == torch.float32 and out == self.most else out

    def _input(self, place: int, name: str, dtype: torch.dtype | None = None) -> Input:
        """A tensor of the base, which has place 0, or of a source."""
        source = self.sources[place - 1] if place else self.base
        assert source is not None
        return Input(source, name, dtype, stored=not isinstance(source, RecipeSource))

    def _context(self, origin: Origin) -> TensorContext:
        place = self.recipe.groups.place(origin.name)
        keys: tuple[int, ...] = ()
        if self.method.stochastic:
            # Of a checkpoint by its weights, wherever it lies; of a recipe by its position, so that the masks stay
            # what they are while the recipe's own coefficients are searched.
            experts = [(getattr(self.recipe.sources[i], "fingerprint", None) or i, name) for i, name in origin.inputs]
            keys = tuple(random_key(self.recipe.seed, expert, name) for expert, name in experts)
        return TensorContext(origin.name, place.layer, place.kind, keys)

    def _unmatched(self, origin: Origin) -> bool:
        """Whether a tensor stays the template's because some source has no match, and the recipe takes that."""
        if self.recipe.unmatched == "refuse" or origin.layer is not None or self._of_base(origin.name):
            return False
        inputs = [(self.sources[source], name) for source, name in origin.inputs]
        if self.base is not None and origin.base is not None:
            inputs.append((self.base, origin.base))
        return lacks_match(origin.name, self.template.specs[origin.name], inputs)

    def _kept(self) -> dict[str, OutputTensor]:
        """Tensors that only some sources have, where the recipe keeps them."""
        if self.recipe.unmatched != "keep":
            return {}
        opened = [(identity, s) for identity, s in zip(self.identities, (self.base, *self.sources), strict=True) if s]
        return kept(self.template, [(str(identity), source, self._surplus(source)) for identity, source in opened])

    def _surplus(self, source: CheckpointSource) -> list[str]:
        """Weights that have no place in the merged model: of more layers than it has, or of another architecture."""
        names = surplus(self.template, source)
        # Layers that the recipe names are looked at one by one.
        pattern = self.recipe.groups.layer_pattern
        outside = [name for name in names if not self.recipe.layers or layer_of(name, pattern) is None]
        return [name for name in outside if not self._of_base(name)]

    def _frozen(self, origin: Origin, row: int) -> bool:
        return self._of_base(origin.name) or self.recipe.groups.groups[row].frozen

    def _of_base(self, name: str) -> bool:
        """Whether a tensor holds embeddings, and the recipe takes the base's."""
        return self.recipe.embeddings == "base" and is_vocabulary(name)

    def _surplus_problems(self) -> Iterator[str]:
        """Weights that have no place in the merged model, unless the recipe says what becomes of them."""
        for where, source in self._named().items():
            more = self._surplus(source)
            if self.recipe.unmatched != "refuse":
                more = second_heads(self.template, more) if self.recipe.unmatched == "keep" else []
            if more:
                others = f" and {len(more) - 1} more" if more[1:] else ""
                yield f"{where} has {more[0]!r}{others}, for which there is nothing in {str(self.template.path)!r}"

    def _named(self) -> dict[str, CheckpointSource]:
        """All sources and the base, by their names in messages."""
        named = {f"sources[{index}]": source for index, source in enumerate(self.sources)}
        return named | ({} if self.base is None else {"the base": self.base})


def _opened(recipe: Recipe, opened: Open) -> list[Any]:
    """The base, or None, and the sources of a recipe."""
    found: list[CheckpointSource | None] = []
    problems: list[str] = []
    for name, source in [("base", recipe.base), *((f"sources[{i}]", s) for i, s in enumerate(recipe.sources))]:
        try:
            found.append(None if source is None else opened(source))
        except InputError as error:
            inner = isinstance(source, Recipe)
            problems += [f"{name}: {problem}" if inner else problem for problem in error.problems]
    if problems:
        raise InputError(problems)
    return found
