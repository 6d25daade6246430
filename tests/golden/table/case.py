"""The form of an entry in the table of cases: how evomerge computes what an official function gave."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from evomerge import methods
from evomerge.merging import Checkpoints, Merger, needs_of
from evomerge.post import steps_of
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from evomerge.recipe.finishing import PostStep

Tensors = Mapping[str, torch.Tensor]
EXPERTS = ("expert0", "expert1", "expert2")


@dataclass(frozen=True)
class Family:
    """A base and its experts, as checkpoints on disk, with the case that is computed from them.

    Attributes:
        folder: One folder for each model, as transformers would save it.
        case: The case's ``case.json``: settings under their official names.
        inputs: The folder that the models' weights are from, for whatever else lies there.
        statistics: Statistics of data, where the case was given some.
    """

    folder: Path
    case: Mapping[str, Any]
    inputs: Path
    statistics: Tensors

    @property
    def settings(self) -> Mapping[str, Any]:
        """The official function's settings."""
        return self.case["settings"]

    def model(self, name: str) -> Tensors:
        """All tensors of ``base`` or an expert."""
        return load_file(self.folder / name / "model.safetensors")

    def delta(self, name: str) -> dict[str, torch.Tensor]:
        """An expert minus the base."""
        base = self.model("base")
        return {tensor: values - base[tensor] for tensor, values in self.model(name).items()}


Compute = Callable[[Family], Tensors]
"""Gives the tensors of a case, under the names that the case expects."""


Given = Mapping[str, Callable[[str, str], "torch.Tensor | None"]]
"""For each need, by its key: an array by the name of the model and of the tensor."""


@dataclass
class GivenStatistics:
    """Statistics from a case.

    Attributes:
        found: For each key a function of the tensor's name.
    """

    found: dict[str, Callable[[str], torch.Tensor | None]]

    def missing(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Those that the case has not."""
        return tuple(key for key in keys if key not in self.found)

    def tensor(self, key: str, name: str) -> torch.Tensor | None:
        """The array of a tensor."""
        return self.found[key](name)

    def transposed(self, key: str, name: str) -> bool:
        """All matrices are those of linear layers."""
        return False

    def release(self) -> None:
        """Nothing is kept."""


@dataclass(frozen=True)
class Merge:
    """A merge by recipe.

    Attributes:
        method: Its name.
        options: Other options than the defaults.
        values: Coefficients, the same for all tensors; those that are not named are neutral.
        post: Steps after the merge.
        sources: The models that are merged.
        base: The base, or None.
        only: Module kinds of the tensors that are merged; all others stay the base's. Empty: all are merged.
    """

    method: str
    values: Mapping[str, float | Sequence[float]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    post: tuple[PostStep, ...] = ()
    sources: tuple[str, ...] = EXPERTS
    base: str | None = "base"
    only: tuple[str, ...] = ()

    def __call__(self, family: Family) -> Tensors:
        recipe = self.recipe(family.folder)
        return dict(Merger(Checkpoints.open(recipe)).stream(recipe))

    def given(self, folder: Path, statistics: Given) -> Tensors:
        """The merge of models in a folder by a method or steps that are given statistics."""
        recipe, arrays = self.recipe(folder), GivenStatistics({})
        for need in needs_of(methods.load(recipe.method), recipe.options, steps_of(recipe.post)):
            of = (self.base or "base",) if need.count(2) == 1 else self.sources
            for model in of:
                key = hashlib.sha256(f"{need.key} {model}".encode()).hexdigest()
                arrays.found[key] = functools.partial(statistics[need.key], model)
        recipe = replace(recipe, statistics=tuple(arrays.found))
        return dict(Merger(Checkpoints.open(recipe), statistics=arrays).stream(recipe))

    def recipe(self, folder: Path) -> Recipe:
        """The recipe, of models in a folder."""
        method = methods.load(self.method)
        options = method.resolve(self.options)
        groups = (Group("merged", kinds=self.only), Group("rest", frozen=True)) if self.only else (Group("all"),)
        coefficients = {}
        for declared in method.coefficients(options):
            shape = (len(groups), len(self.sources)) if declared.per_model else (len(groups),)
            coefficients[declared.name] = np.full(shape, self.values.get(declared.name, declared.neutral))
        unknown = self.values.keys() - coefficients.keys()
        assert not unknown, f"{self.method} has no coefficients {sorted(unknown)}"
        return Recipe(
            self.method,
            options,
            tuple(CheckpointRef(str(folder / name)) for name in self.sources),
            None if self.base is None else CheckpointRef(str(folder / self.base)),
            ParameterGroups(groups),
            coefficients,
            post=self.post,
            out_dtype="float32",
        )


@dataclass(frozen=True)
class Computed:
    """A result that is no merge, or more than one.

    Attributes:
        method: Name of the method that it is a result of.
        compute: Gives the tensors.
    """

    method: str
    compute: Compute

    def __call__(self, family: Family) -> Tensors:
        return self.compute(family)


def write_family(inputs: Path, folder: Path) -> None:
    """Writes the models of a folder of cases as transformers would save them."""
    for path in inputs.glob("*.safetensors"):
        if path.stem == "base" or path.stem.startswith(("expert", "merged")):
            target = folder / path.stem
            target.mkdir(parents=True)
            (target / "model.safetensors").write_bytes(path.read_bytes())
            config = inputs / "config.json"
            text = config.read_text(encoding="utf-8") if config.exists() else json.dumps(_config(load_file(path)))
            (target / "config.json").write_text(text, encoding="utf-8")


def _config(tensors: Tensors) -> dict[str, Any]:
    """A config that fits the tensors' shapes; of names that are no Llama's one that says nothing of them."""
    if not {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"} <= tensors.keys():
        return {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
    vocabulary, hidden = tensors["model.embed_tokens.weight"].shape
    layers = {name.split(".")[2] for name in tensors if name.startswith("model.layers.")}
    # Some families lack most tensors of a layer.
    queries, keys = (
        tensors[name].shape[0] if (name := f"model.layers.0.self_attn.{own}_proj.weight") in tensors else hidden
        for own in "qk"
    )
    width = math.gcd(queries, keys)
    return {
        # Llama with heads that need not divide the hidden size.
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": tensors["model.layers.0.mlp.up_proj.weight"].shape[0],
        "num_attention_heads": queries // width,
        "num_key_value_heads": keys // width,
        "head_dim": width,
        "num_hidden_layers": len(layers),
        "tie_word_embeddings": "lm_head.weight" not in tensors,
    }


def differences(case: Mapping[str, Any], expected: Tensors, found: Tensors) -> Iterator[str]:
    """Reasons why a result is not the expected one, one sentence each."""
    for name, wanted in expected.items():
        if name not in found:
            yield f"{name} is missing"
            continue
        got = found[name]
        if got.shape != wanted.shape:
            yield f"{name} has shape {list(got.shape)} instead of {list(wanted.shape)}"
            continue
        tolerance, relative = allowed(case, name)
        away = (got.double() - wanted.double()).abs()
        if not bool((away <= tolerance + relative * wanted.double().abs()).all()):
            yield f"{name} is {float(away.nan_to_num(torch.inf).max()):.3g} away; at most {tolerance:.3g} is allowed"


def allowed(case: Mapping[str, Any], name: str) -> tuple[float, float]:
    """How far a tensor may be away: absolutely, and as a share of its elements."""
    said = case.get("tolerance")
    if said is None:
        return float(case["tolerance_abs"]), float(case.get("tolerance_rel", 0.0))
    if said == "exact":
        return 0.0, 0.0
    if name in said:  # a sentence that begins with a number
        return float(str(said[name]).split()[0]), 0.0
    return float(said["atol"]), float(said["rtol"])
