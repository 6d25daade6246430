"""Neurons and heads of a checkpoint: which tensors, along which dimension, are permuted together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from evomerge.checkpoints import CheckpointSource

Axes = tuple[tuple[str, int], ...]
"""Names of tensors, and the dimension along which their units lie."""

# What reads the neurons of an MLP, and what makes them.
_READERS = {
    "down_proj": ("gate_proj", "up_proj"),
    "w2": ("w1", "w3"),
    "fc2": ("fc1",),
    "dense_4h_to_h": ("dense_h_to_4h",),
}
_READER = re.compile(rf"^(?P<prefix>.+\.)(?P<part>{'|'.join(_READERS)})\.weight$")
_OUT = ("o_proj", "out_proj", "dense")
_QUERY = re.compile(r"^(?P<prefix>.+\.)q_proj\.weight$")


@dataclass(frozen=True)
class Attention:
    """The heads of one attention module.

    Attributes:
        prefix: What the names of its tensors begin with.
        queries: Tensors whose units are query heads.
        keys: Tensors whose units are key/value heads.
        heads: Number of query heads.
        groups: Number of key/value heads.
    """

    prefix: str
    queries: Axes
    keys: Axes
    heads: int
    groups: int


def neurons(source: CheckpointSource) -> dict[str, Axes]:
    """The MLPs of a checkpoint by the beginning of their names, and the tensors along which their neurons lie."""
    found: dict[str, Axes] = {}
    for name, spec in source.specs.items():
        match = _READER.match(name)
        if match is None or len(spec.shape) != 2:
            continue
        prefix, width = match["prefix"], spec.shape[1]
        makers = [f"{prefix}{part}.{kind}" for part in _READERS[match["part"]] for kind in ("weight", "bias")]
        makers = [maker for maker in makers if maker in source.specs]
        if makers and all(source.specs[maker].shape[0] == width for maker in makers):
            found[prefix] = (*((maker, 0) for maker in makers), (name, 1))
    return found


def attentions(source: CheckpointSource) -> tuple[list[Attention], list[str]]:
    """The attention modules of a checkpoint whose heads may be permuted, and the prefixes of those that are not known.

    Positions are rotated within heads, so the order of heads means nothing.
    """
    found, unknown = [], []
    for name in source.specs:
        match = _QUERY.match(name)
        if match is None:
            continue
        one = _attention(source, match["prefix"])
        if one is None:
            unknown.append(match["prefix"])
        else:
            found.append(one)
    return found, unknown


def _attention(source: CheckpointSource, prefix: str) -> Attention | None:
    specs = {name.removeprefix(prefix): spec.shape for name, spec in source.specs.items() if name.startswith(prefix)}
    config = source.config.get("text_config") or source.config
    heads = config.get("num_attention_heads")
    groups = config.get("num_key_value_heads") or heads
    out = next((part for part in _OUT if f"{part}.weight" in specs), None)
    if out is None or not isinstance(heads, int) or not isinstance(groups, int) or heads % groups:
        return None
    wide, narrow = specs["q_proj.weight"][0], specs.get("k_proj.weight", (0,))[0]
    if wide % heads or narrow != wide // heads * groups:
        return None
    queries: list[tuple[str, int]] = [("q_proj.weight", 0), (f"{out}.weight", 1)]
    keys: list[tuple[str, int]] = [("k_proj.weight", 0), ("v_proj.weight", 0)]
    for part, length, into in (
        ("q_proj.bias", wide, queries),
        ("q_norm.weight", wide, queries),
        ("k_proj.bias", narrow, keys),
        ("v_proj.bias", narrow, keys),
        ("k_norm.weight", narrow, keys),
    ):
        if specs.get(part) == (length,) and heads > 1:
            into.append((part, 0))
    known = {part for part, _ in (*queries, *keys)} | {f"{out}.bias", "q_norm.weight", "k_norm.weight"}
    if specs.get("v_proj.weight", (0,))[0] != narrow or set(specs) - known - {"rotary_emb.inv_freq"}:
        return None
    named = [tuple((prefix + part, axis) for part, axis in axes) for axes in (queries, keys)]
    return Attention(prefix, named[0], named[1], heads, groups)


def permuted(tensor: torch.Tensor, axis: int, order: torch.Tensor, units: int) -> torch.Tensor:
    """A tensor whose units along a dimension are in another order; each is as many entries as fit."""
    size = tensor.shape[axis] // units
    places = (order[:, None] * size + torch.arange(size)).flatten()
    return tensor.index_select(axis, places)


def by_unit(tensor: torch.Tensor, axis: int, units: int) -> torch.Tensor:
    """A tensor as (units, entries of each), float64."""
    return tensor.double().movedim(axis, 0).reshape(units, -1)


def inner(first: Mapping[str, Any], second: Mapping[str, Any], axes: Axes, units: int) -> torch.Tensor:
    """Inner products of units over all their tensors, (units, units).

    Args:
        first: Name to tensor of the reference.
        second: The same of the other model.
        axes: The tensors.
        units: How many there are.
    """
    total = torch.zeros(units, units, dtype=torch.float64)
    for name, axis in axes:
        total += by_unit(first[name], axis, units) @ by_unit(second[name], axis, units).T
    return total
