"""Search spaces of a model of six layers, for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evomerge.genome import GenomeSettings, GenomeSpec, ModelFacts, build
from evomerge.recipe import CheckpointRef, Coefficient, ParameterGroups, Recipe

LAYERS = 6
PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "input_layernorm")
NAMES = [
    "model.embed_tokens.weight",
    *(f"model.layers.{layer}.{part}.weight" for layer in range(LAYERS) for part in PARTS),
    "model.norm.weight",
    "lm_head.weight",
]
A, B, C = (CheckpointRef(f"experts/{letter}") for letter in "abc")
BASE = CheckpointRef("base")

WEIGHT = Coefficient("weight", -0.5, 1.5, 1.0)
DENSITY = Coefficient("density", 0.1, 1.0, 1.0, minimum=0.0, maximum=1.0)
LAMBDA = Coefficient("lambda", 0.0, 2.0, 1.0, per_model=False, searched=False)
SHARE = Coefficient("weight", 0.0, 1.0, 1.0, simplex=True)
T = Coefficient("t", 0.0, 1.0, 0.0, per_model=False, minimum=0.0, maximum=1.0)


def template(sources: Sequence[CheckpointRef] = (A, B, C), **changes: Any) -> Recipe:
    fields: dict[str, Any] = {"method": "ties", "options": {}, "base": BASE, "groups": ParameterGroups(())}
    return Recipe(sources=tuple(sources), **{**fields, **changes})


def space(
    declared: Sequence[Coefficient] = (WEIGHT,),
    models: Sequence[CheckpointRef] = (A, B, C),
    names: Sequence[str] = NAMES,
    symmetric: bool = True,
    depths: Sequence[int] = (),
    **settings: Any,
) -> GenomeSpec:
    facts = ModelFacts(depths=depths)
    return build(GenomeSettings(**settings), declared, template(models), names, symmetric=symmetric, models=facts)
