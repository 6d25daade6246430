"""The recipe value, its JSON form and its digest.

Two formats are read. Format 2 is written for every new recipe; a recipe that was read in format 1 stays in it, so that
its digest, by which runs know their candidates, stays what it was.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.errors import InputError
from evomerge.recipe import checks, formats
from evomerge.recipe.files import read_file
from evomerge.recipe.finishing import PostStep, Tokenizer
from evomerge.recipe.groups import ParameterGroups
from evomerge.recipe.layers import Ends, OutputLayer
from evomerge.recipe.sources import AdapterRef, CheckpointRef, ModelRef, without_empty

FORMAT = 2
# Recipes of recipes of recipes: deeper ones are a mistake, or made to exhaust the stack.
DEEPEST = 8


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything needed to build one merged model.

    In the plain case, without ``layers``, each tensor is merged from the tensors of that name in all sources. Its row
    of the coefficients is that of its group, and the k-th source takes the k-th column.

    Attributes:
        method: Name of the merge method.
        options: The method's options, defaults filled in.
        sources: The checkpoints, adapters on checkpoints, and recipes whose models are merged.
        base: The source that deltas are taken from, or None.
        groups: Which tensors share coefficients; one row of the coefficients for each group.
        coefficients: Name to values: ``(groups, slots)`` where each merged tensor has its own, else ``(groups,)``.
            There are as many slots as sources, or as inputs of the output layer that has most, whichever is more; where
            fewer tensors are merged, the first slots are used. Rows of frozen groups are not used.
        layers: The output layers, for models put together from layers; empty where every layer is merged with the same
            layer of the other sources.
        ends: Which sources the tensors before and after the recipe's own layers are merged from; None is all.
        post: Steps after the merge, in their order.
        statistics: Digests of the data that the method has read.
        dtype: Inputs are rounded to it before anything is computed; the arithmetic itself is in float32.
        out_dtype: The type that merged tensors are rounded to.
        tokenizer: The tokenizer that the model gets.
        embeddings: ``merge``, or ``base`` for input and output embeddings that are the base's.
        unmatched: Tensors that not all sources have, or not in one shape: ``refuse``; ``freeze`` for exactly the
            reference's tensors, copies where some source has no match, so that what only other sources have is left
            out; ``keep`` for those as well, each copied from the first source that has it.
        chat_template: The chat template that the model gets: None for the reference's, the position of a source or
            ``base`` for theirs, the template itself, or the name of a known one.
        seed: Root of the method's random masks.
        format: Version of the JSON form, see :meth:`as_format_1`.
    """

    method: str
    options: Mapping[str, Any]
    sources: tuple[Source, ...]
    base: Source | None
    groups: ParameterGroups
    coefficients: Mapping[str, np.ndarray] = field(default_factory=dict)
    layers: tuple[OutputLayer, ...] = ()
    ends: Ends | None = None
    post: tuple[PostStep, ...] = ()
    statistics: tuple[str, ...] = ()
    dtype: str = "float32"
    out_dtype: str = "bfloat16"
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    embeddings: str = "merge"
    unmatched: str = "refuse"
    chat_template: int | str | None = None
    seed: int = 0
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Makes the arrays read-only and refuses shapes and values that no model can be built from."""
        frozen = {name: np.array(values, dtype=np.float64) for name, values in self.coefficients.items()}
        for array in frozen.values():
            array.setflags(write=False)
        object.__setattr__(self, "coefficients", frozen)
        problems = checks.problems(vars(self))
        if self._depth > DEEPEST:
            problems.append(f"recipes are nested {self._depth} deep; at most {DEEPEST} are allowed")
        if problems:
            raise InputError(problems)

    @property
    def first(self) -> Source:
        """The source of frozen tensors and of whatever is not merged: the base, else the first source."""
        return self.base if self.base is not None else self.sources[0]

    @property
    def reference(self) -> CheckpointRef:
        """The checkpoint that config and tokenizer come from: that of :attr:`first`, through recipes and adapters."""
        first = self.first
        return first.reference if isinstance(first, Recipe) else first.on if isinstance(first, AdapterRef) else first

    @property
    def checkpoints(self) -> tuple[CheckpointRef, ...]:
        """All checkpoints that the recipe names, those of inner recipes too, the reference first."""
        return tuple(dict.fromkeys([self.reference, *self._checkpoints()]))

    def named(self) -> Iterator[Source]:
        """The base, if there is one, and all sources."""
        if self.base is not None:
            yield self.base
        yield from self.sources

    @property
    def references(self) -> tuple[ModelRef, ...]:
        """All checkpoints and then all adapters that the recipe names, in inner recipes too, the reference first."""
        inner = (source.references if isinstance(source, Recipe) else (source,) for source in self.named())
        adapters = (ref for refs in inner for ref in refs if isinstance(ref, AdapterRef))
        return tuple(dict.fromkeys([*self.checkpoints, *adapters]))

    @property
    def models(self) -> tuple[CheckpointRef, ...]:
        """The sources of a recipe that merges checkpoints alone.

        Raises:
            InputError: If some source is an adapter or a recipe.
        """
        found = tuple(source for source in self.sources if isinstance(source, CheckpointRef))
        if len(found) != len(self.sources):
            raise InputError("the recipe has sources that are adapters or recipes; expected checkpoints alone")
        return found

    @property
    def label(self) -> str:
        """The short name shown to people where this recipe is a source of another."""
        return f"{self.method}-{self.digest[:8]}"

    @property
    def has_layers(self) -> bool:
        """Whether the model, or that of a recipe inside, is put together from layers."""
        return bool(self.layers) or any(isinstance(s, Recipe) and s.has_layers for s in self.named())

    @property
    def slots(self) -> int:
        """The most tensors that are merged into one: the number of columns of a coefficient per model."""
        return checks.slots(self.sources, self.layers)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, with sources named by their content where it is known."""
        data = self.to_json()
        data["models" if self.format == 1 else "sources"] = [source.identity() for source in self.sources]
        if self.base is not None:
            data["base"] = self.base.identity()
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        """Equal recipes build equal models."""
        return isinstance(other, Recipe) and self.digest == other.digest

    def __hash__(self) -> int:
        """Follows :meth:`__eq__`."""
        return hash(self.digest)

    @property
    def known_by_content(self) -> bool:
        """Whether :meth:`identity` means the same weights anywhere."""
        return all(source.known_by_content for source in self.named())

    def identity(self) -> dict[str, Any]:
        """The part of another recipe's digest that stands for this one."""
        return {"recipe": self.digest}

    def to_source(self) -> dict[str, Any]:
        """The JSON object that stands for this recipe among the sources of another."""
        return {"recipe": self.to_json()}

    def to_json(self) -> dict[str, Any]:
        """The canonical JSON object of the recipe's format; of format 2 without empty fields."""
        if self.format == 1:
            return self._to_json_1()
        groups = self.groups.to_json()
        groups["groups"] = [{"label": group["label"]} | without_empty(group) for group in groups["groups"]]
        found = {
            "options": dict(self.options),
            "base": None if self.base is None else self.base.to_source(),
            "coefficients": self._values(),
            "layers": [layer.to_json() for layer in self.layers],
            "ends": None if self.ends is None else self.ends.to_json(),
            "post": [step.to_json() for step in self.post],
            "statistics": list(self.statistics),
            "tokenizer": self.tokenizer.to_json(),
            "embeddings": None if self.embeddings == "merge" else self.embeddings,
            "chat_template": self.chat_template,
            "unmatched": None if self.unmatched == "refuse" else self.unmatched,
        }
        return {
            "format": self.format,
            "method": self.method,
            "sources": [source.to_source() for source in self.sources],
            "groups": groups,
            **without_empty(found),
            "dtype": self.dtype,
            "out_dtype": self.out_dtype,
            "seed": self.seed,
        }

    def _to_json_1(self) -> dict[str, Any]:
        return {
            "format": 1,
            "method": self.method,
            "options": dict(self.options),
            "models": [model.to_json() for model in self.models],
            "base": self.base.to_json() if isinstance(self.base, CheckpointRef) else None,
            "groups": self.groups.to_json(),
            "coefficients": self._values(),
            "layout": [list(layer.inputs[0]) for layer in self.layers] or None,
            "dtype": self.dtype,
            "out_dtype": self.out_dtype,
            "tokenizer": self.tokenizer.source or "reference",
            "chat_template": self.chat_template or "reference",
            "seed": self.seed,
        }

    def as_format_1(self) -> Recipe:
        """The same recipe in format 1, by whose digest older runs know it.

        Raises:
            InputError: If it has something that format 1 cannot say.
        """
        return replace(self, format=1)

    @classmethod
    def from_json(cls, data: Any) -> Recipe:
        """Reads what :meth:`to_json` wrote, in either format.

        Raises:
            InputError: With everything that is wrong: unknown, missing and unreadable fields, and values that no model
                can be built from.
        """
        return cls._read(data, 1)

    def save(self, path: str | Path) -> None:
        """Writes the JSON form, indented for people."""
        Path(path).write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Reads a file that :meth:`save` wrote.

        Raises:
            InputError: If the file is missing, is not JSON, or is not a recipe.
        """
        return cls.from_json(read_file(path))

    @classmethod
    def _read(cls, data: Any, depth: int) -> Recipe:
        if depth > DEEPEST:
            raise InputError(f"recipes are nested more than {DEEPEST} deep")
        return cls(**formats.read(data, lambda inner: cls._read(inner, depth + 1)))

    @property
    def _depth(self) -> int:
        inner = [source._depth for source in self.named() if isinstance(source, Recipe)]
        return 1 + max(inner, default=0)

    def _checkpoints(self) -> Iterator[CheckpointRef]:
        for source in self.named():
            if isinstance(source, Recipe):
                yield from source.checkpoints
            else:
                yield source.on if isinstance(source, AdapterRef) else source

    def _values(self) -> dict[str, Any]:
        return {name: array.tolist() for name, array in self.coefficients.items()}


Source = ModelRef | Recipe
"""Names what is merged: a checkpoint, an adapter on one, or the model of another recipe."""
